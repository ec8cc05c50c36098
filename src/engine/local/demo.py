"""The demo: one email for every outcome, published for real and followed until its final status."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from engine.local.cases import SOURCE, Case, cases
from engine.local.environment import LocalEnvironment
from engine.schemas.status import EmailStatusChanged
from engine.tracking.lifecycle import RANK

PATIENCE: Final = 90.0  # seconds until an email without its final status counts as stuck
_RANKS: Final = {status.value: rank for status, rank in RANK.items()}


@dataclass
class CaseProgress:
    """What is known of a case. Times by the monotonic clock."""

    case: Case
    published_at: float | None = None
    settled_at: float | None = None
    status: str = "waiting"
    code: str | None = None
    message: str = ""
    problem: str | None = None
    seen: list[str] = field(default_factory=list)
    note: str = ""
    _status_of: dict[str, str] = field(default_factory=dict)  # of each email of a campaign

    @property
    def seconds(self) -> float | None:
        """From publishing to the status reached last."""
        if self.published_at is None or self.settled_at is None:
            return None
        return self.settled_at - self.published_at

    @property
    def is_settled(self) -> bool:
        """Whether the case has reached the status that it should."""
        return self.status == self.case.status and self.code == self.case.code

    def record(self, event: EmailStatusChanged) -> None:
        """Add a status event of one of the case's emails; they come in any order, the highest rank counts."""
        self.seen.append(event.status)
        if _rank(event.status) < _rank(self._status_of.get(event.email_id, "")):
            return
        self._status_of[event.email_id] = event.status
        self.status = event.status
        self.code = event.reason.code if event.reason else None
        self.message = event.reason.message if event.reason else ""
        if self.case.code is None and self.status == self.case.status:
            self.code = None  # a reason beside a good status is for reading, not for comparing
        self.settled_at = time.monotonic()
        if self.case.size > 1:
            there = list(self._status_of.values()).count(self.case.status)
            self.note = f"{there} of {self.case.size}"
            if there < self.case.size:
                self.status = "sent"


def _rank(status: str) -> int:
    return _RANKS.get(status, -1)


class Demo:
    """Publishes the cases and follows them; `progress` always says how far they are."""

    def __init__(self, environment: LocalEnvironment) -> None:
        self.progress = [CaseProgress(case) for case in cases()]
        self._environment = environment
        self._changed = asyncio.Event()
        self._by_id = {own_id: progress for progress in self.progress for own_id in progress.case.email_ids}
        environment.listeners.append(self._record)

    async def run(self) -> bool:
        """Whether every case reached its status within `PATIENCE` seconds; otherwise `problem` says why."""
        async with (
            self._environment.emails(SOURCE) as emails,
            self._environment.client("dynamodb") as dynamodb,
        ):

            async def publish(case: Case) -> None:
                for _ in range(case.publishes):
                    await emails.send_many(case.requests())

            async def row_of(email_id: str) -> dict[str, str]:
                table = self._environment.deployment.tracking_table
                answer = await dynamodb.get_item(TableName=table, Key={"emailId": {"S": email_id}})
                return {name: value["S"] for name, value in answer.get("Item", {}).items() if "S" in value}

            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
                    for progress in self.progress:
                        group.create_task(self._follow(progress, publish, row_of))
            for progress in self.progress:
                progress.problem = progress.problem or await self._problem(progress, row_of)
        return not any(progress.problem for progress in self.progress)

    async def _follow(
        self,
        progress: CaseProgress,
        publish: Callable[[Case], Awaitable[None]],
        row_of: Callable[[str], Awaitable[dict[str, str]]],
    ) -> None:
        case = progress.case
        for other in self.progress:
            if other.case.title == case.after:
                await self._settled(other)
                if case.unsubscribed:
                    progress.problem = await self._unsubscribe(other.case)
        if progress.problem:
            return
        await publish(case)
        progress.published_at = time.monotonic()
        progress.status = "published" if progress.status == "waiting" else progress.status
        await self._settled(progress)
        for email_id in case.email_ids if case.until else ():
            # An attribute of a row makes no event to wait for.
            while case.until not in await row_of(email_id):  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.2)

    async def _settled(self, progress: CaseProgress) -> None:
        while not progress.is_settled:
            self._changed.clear()
            await self._changed.wait()

    async def _unsubscribe(self, case: Case) -> str | None:
        """Let the reader of a case's email unsubscribe; what was wrong with the answer."""
        status = await self._environment.unsubscribe(case.email_ids[0])
        return None if status == HTTPStatus.OK else f"the unsubscribe page answered with HTTP status {status}"

    def _record(self, event: EmailStatusChanged) -> None:
        progress = self._by_id.get(event.email_id)
        if progress is None:
            return
        progress.record(event)
        self._changed.set()

    async def _problem(
        self, progress: CaseProgress, row_of: Callable[[str], Awaitable[dict[str, str]]]
    ) -> str | None:
        """Where status events, ledger and SES don't agree on the status that the case should reach."""
        case = progress.case
        if not progress.is_settled:
            seen = ", ".join(dict.fromkeys(progress.seen)) or "no status event"
            expected = " ".join(filter(None, (case.status, progress.note or case.code)))
            return f"expected {expected} but saw {seen} within {PATIENCE:.0f} s"
        tags = [message.tags.get("emailId") for message in self._environment.simulator.messages]
        for email_id in case.email_ids:
            row = await row_of(email_id)
            if case.status != "dry_run" and row.get("status") != case.status:
                return f"its status event says {case.status}, but its row says {row.get('status', 'nothing')}"
            if case.status != "dry_run" and case.code and row.get("failureCode") != case.code:
                return (
                    f"its status event says {case.code}, but its row says {row.get('failureCode', 'nothing')}"
                )
            if (taken := tags.count(email_id)) != case.copies:
                return f"SES took it {taken} times instead of {case.copies}"
        return None
