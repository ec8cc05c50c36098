"""The demo: every kind of fate that an email can meet, published for real and awaited to its end."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from engine.local.cases import SOURCE, Case, cases
from engine.local.environment import LocalEnvironment
from engine.tracking.lifecycle import RANK

PATIENCE: Final = 90.0  # seconds until an email that has not settled counts as stuck
_RANKS: Final = {status.value: rank for status, rank in RANK.items()}


@dataclass
class Progress:
    """How far a case has come. Times by the monotonic clock."""

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
        if self.published_at is None or self.settled_at is None:
            return None
        return self.settled_at - self.published_at

    @property
    def reached_its_end(self) -> bool:
        return self.status == self.case.status and self.code == self.case.code

    def hear(self, event: dict[str, Any]) -> None:
        """A status event of one of the case's emails; they come in any order, and the furthest counts."""
        own_id, status = event["emailId"], event["status"]
        self.seen.append(status)
        if _rank(status) < _rank(self._status_of.get(own_id, "")):
            return
        self._status_of[own_id] = status
        reason = event["reason"] or {}
        self.status, self.code = status, reason.get("code")
        self.message = reason.get("message", "")
        if self.case.code is None and status == self.case.status:
            self.code = None  # a reason beside a good end is for reading, not for comparing
        self.settled_at = time.monotonic()
        if self.case.size > 1:
            self._sum_up()

    def _sum_up(self) -> None:
        """A campaign has reached its end when each of its emails has."""
        there = list(self._status_of.values()).count(self.case.status)
        self.note = f"{there} of {self.case.size}"
        if there < self.case.size:
            self.status = "sent"


def _rank(status: str) -> int:
    return _RANKS.get(status, -1)


class Demo:
    """Publishes the cases and follows them. `show` is called whenever something has changed."""

    def __init__(self, environment: LocalEnvironment, show: Callable[[], None]) -> None:
        self.progress = [Progress(case) for case in cases()]
        self._environment = environment
        self._show = show
        self._changed = asyncio.Event()
        self._of_id = {own_id: progress for progress in self.progress for own_id in progress.case.email_ids}
        environment.listeners.append(self._hear)

    async def run(self) -> bool:
        """Whether every email found its end within `PATIENCE` seconds. What did not says why."""
        async with (
            self._environment.emails(SOURCE) as emails,
            self._environment.client("dynamodb") as dynamodb,
        ):

            async def publish(case: Case) -> None:
                for _ in range(case.publishes):
                    await emails.send_many(case.requests())

            self._row_of = _rows(dynamodb, self._environment.deployment.tracking_table)
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
                    for progress in self.progress:
                        group.create_task(self._follow(progress, publish))
            for progress in self.progress:
                await self._examine(progress)
        self._show()
        return not any(progress.problem for progress in self.progress)

    async def _follow(self, progress: Progress, publish: Callable[[Case], Awaitable[None]]) -> None:
        if progress.case.after:
            await self._until(self._named(progress.case.after))
        await publish(progress.case)
        progress.published_at = time.monotonic()
        progress.status = "published" if progress.status == "waiting" else progress.status
        self._show()
        await self._until(progress)
        for own_id in progress.case.email_ids:
            await self._noted(own_id, progress.case.until)

    async def _noted(self, own_id: str, until: str | None) -> None:
        """A note in a row makes no event to wait for."""
        while until and until not in await self._row_of(own_id):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.2)

    async def _until(self, progress: Progress) -> None:
        while not progress.reached_its_end:
            self._changed.clear()
            await self._changed.wait()

    def _named(self, title: str) -> Progress:
        return next(progress for progress in self.progress if progress.case.title == title)

    def _hear(self, event: dict[str, Any]) -> None:
        progress = self._of_id.get(event["emailId"])
        if progress is None:
            return
        progress.hear(event)
        self._changed.set()
        self._show()

    async def _examine(self, progress: Progress) -> None:
        """The ledger and SES must agree with what was told."""
        case = progress.case
        if not progress.reached_its_end:
            seen = ", ".join(dict.fromkeys(progress.seen)) or "no status event"
            progress.problem = (
                f"expected {case.status} {progress.note or case.code or ''} but saw {seen} within"
                f" {PATIENCE:.0f} s"
            )
            return
        problems = [await self._problem_of(case, own_id) for own_id in case.email_ids]
        progress.problem = next(filter(None, problems), None)

    async def _problem_of(self, case: Case, own_id: str) -> str | None:
        row = await self._row_of(own_id)
        messages = self._environment.simulator.messages
        taken = sum(message.tags.get("emailId") == own_id for message in messages)
        if case.status != "dry_run" and row.get("status") != case.status:
            return f"was told {case.status}, but its row says {row.get('status', 'nothing')}"
        if case.status != "dry_run" and case.code and row.get("failureCode") != case.code:
            return f"was told {case.code}, but its row says {row.get('failureCode', 'nothing')}"
        if taken != case.copies:
            return f"SES took it {taken} times instead of {case.copies}"
        return None


def _rows(dynamodb: Any, table: str) -> Callable[[str], Awaitable[dict[str, str]]]:
    async def row_of(own_id: str) -> dict[str, str]:
        answer = await dynamodb.get_item(TableName=table, Key={"emailId": {"S": own_id}})
        return {name: value["S"] for name, value in answer.get("Item", {}).items() if "S" in value}

    return row_of
