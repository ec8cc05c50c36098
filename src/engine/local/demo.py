"""The demo: every kind of fate that an email can meet, published for real and awaited to its end."""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from engine.domain.identity import email_id, retry_id
from engine.local.emulator import PROJECT
from engine.local.environment import LocalEnvironment
from engine.schemas.request import Attachment, EmailRequest, SenderOverride, Unsubscribe

SOURCE: Final = "demo-shop"
PATIENCE: Final = 90.0  # seconds until an email that has not settled counts as stuck

_SIMULATOR: Final = "simulator.amazonses.com"
_SAMPLES: Final = PROJECT / "starter_templates"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One email of the demo, and the end that it must find.

    `copies`: how often SES must have taken it. `after`: a case that must have ended before this one is
    published. `attempt` 1 follows the soft-bounce retry instead of the first try. `until`: an attribute of
    the row that must be there as well, for news that changes no status.
    """

    title: str
    request: EmailRequest
    status: str
    code: str | None = None
    copies: int = 1
    publishes: int = 1
    after: str | None = None
    attempt: int = 0
    until: str | None = None

    @property
    def key(self) -> str:
        return self.title.replace(" ", "-")

    @property
    def first_id(self) -> str:
        return email_id(SOURCE, self.key)

    @property
    def email_id(self) -> str:
        return retry_id(self.first_id, self.attempt) if self.attempt else self.first_id


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

    @property
    def seconds(self) -> float | None:
        if self.published_at is None or self.settled_at is None:
            return None
        return self.settled_at - self.published_at

    @property
    def reached_its_end(self) -> bool:
        return self.status == self.case.status and self.code == self.case.code


def request(to: str, template: str = "welcome", **more: Any) -> EmailRequest:
    """A request with the template's own sample data."""
    return EmailRequest(to=to, template_name=template, **({"template_data": sample(template)} | more))


def sample(template: str) -> dict[str, Any]:
    file = _SAMPLES / template / "sample.json"
    return msgspec.json.decode(file.read_bytes(), type=dict[str, Any]) if file.exists() else {}


def cases() -> list[Case]:
    """One of each."""
    invoice = Attachment(
        file_name="terms.txt",
        content_type="text/plain",
        content=base64.b64encode(b"Thirty days, no questions.\n").decode(),
    )
    lost_mailbox = f"bounce+demo@{_SIMULATOR}"
    return [
        Case(title="welcome", request=request(f"open@{_SIMULATOR}"), status="opened"),
        Case(
            title="campaign email",
            request=request(
                f"success+campaign@{_SIMULATOR}",
                priority="bulk",
                unsubscribe=Unsubscribe(url="https://shop.example.com/unsubscribe/ada"),
            ),
            status="delivered",
        ),
        Case(
            title="with attachment",
            request=request(f"success+file@{_SIMULATOR}", "order-confirmation", attachments=[invoice]),
            status="delivered",
        ),
        Case(
            title="same event twice",
            request=request("twice@example.com"),
            status="delivered",
            publishes=2,
        ),
        Case(title="hard bounce", request=request(lost_mailbox), status="bounced"),
        Case(
            title="suppressed since",
            request=request(lost_mailbox, "password-reset"),
            status="failed",
            code="suppressed",
            copies=0,
            after="hard bounce",
        ),
        Case(title="complaint", request=request(f"complaint@{_SIMULATOR}"), status="complained"),
        Case(
            title="mailbox full",
            request=request(f"mailboxfull@{_SIMULATOR}"),
            status="failed",
            code="soft-bounce-retry-failed",
            attempt=1,
        ),
        Case(
            title="out of office",
            request=request(f"ooto@{_SIMULATOR}"),
            status="delivered",
            until="autoReplyAt",
        ),
        Case(
            title="unknown template",
            request=request("ada@example.com", "no-such-template"),
            status="failed",
            code="template-not-found",
            copies=0,
        ),
        Case(
            title="missing variables",
            request=request("ada@example.com", template_data={}),
            status="failed",
            code="template-error",
            copies=0,
        ),
        Case(title="bad address", request=request("ada@"), status="failed", code="validation", copies=0),
        Case(
            title="foreign sender",
            request=request("ada@example.com", sender_override=SenderOverride(email="ceo@bank.example")),
            status="failed",
            code="sender-not-allowed",
            copies=0,
        ),
        Case(
            title="dry run",
            request=request("ada@example.com", dry_run=True),
            status="dry_run",
            code="would-send",
            copies=0,
        ),
    ]


class Demo:
    """Publishes the cases and follows them. `show` is called whenever something has changed."""

    def __init__(self, environment: LocalEnvironment, show: Callable[[], None]) -> None:
        self.progress = [Progress(case) for case in cases()]
        self._environment = environment
        self._show = show
        self._changed = asyncio.Event()
        self._of_id = {progress.case.email_id: progress for progress in self.progress}
        environment.listeners.append(self._hear)

    async def run(self) -> bool:
        """Whether every email found its end within `PATIENCE` seconds. What did not says why."""
        async with (
            self._environment.emails(SOURCE) as emails,
            self._environment.client("dynamodb") as dynamodb,
        ):

            async def publish(case: Case) -> None:
                for _ in range(case.publishes):
                    await emails.send(_keyed(case))

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
        await self._noted(progress.case)

    async def _noted(self, case: Case) -> None:
        """A note in a row makes no event to wait for."""
        while case.until and case.until not in await self._row_of(case.email_id):  # noqa: ASYNC110 - see above
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
        reason = event["reason"] or {}
        progress.status, progress.code = event["status"], reason.get("code")
        progress.message = reason.get("message", "")
        if progress.case.code is None and progress.status == progress.case.status:
            progress.code = None  # a reason beside a good end is for reading, not for comparing
        progress.seen.append(event["status"])
        progress.settled_at = time.monotonic()
        self._changed.set()
        self._show()

    async def _examine(self, progress: Progress) -> None:
        """The ledger and SES must agree with what was told."""
        case = progress.case
        row = await self._row_of(case.email_id)
        taken = sum(
            message.tags.get("emailId") == case.email_id for message in self._environment.simulator.messages
        )
        if not progress.reached_its_end:
            seen = ", ".join(progress.seen) or "no status event"
            progress.problem = (
                f"expected {case.status} {case.code or ''} but saw {seen} within {PATIENCE:.0f} s"
            )
        elif case.status != "dry_run" and row.get("status") != case.status:
            progress.problem = f"was told {case.status}, but its row says {row.get('status', 'nothing')}"
        elif case.status != "dry_run" and case.code and row.get("failureCode") != case.code:
            progress.problem = f"was told {case.code}, but its row says {row.get('failureCode', 'nothing')}"
        elif taken != case.copies:
            progress.problem = f"SES took it {taken} times instead of {case.copies}"


def _keyed(case: Case) -> EmailRequest:
    return replace(case.request, idempotency_key=case.key)


def _rows(dynamodb: Any, table: str) -> Callable[[str], Awaitable[dict[str, str]]]:
    async def row_of(own_id: str) -> dict[str, str]:
        answer = await dynamodb.get_item(TableName=table, Key={"emailId": {"S": own_id}})
        return {name: value["S"] for name, value in answer.get("Item", {}).items() if "S" in value}

    return row_of
