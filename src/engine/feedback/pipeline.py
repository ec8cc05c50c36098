"""The feedback pipeline: decode → one report a recipient → find the row → judge → move → act → tell.

SES reports at least once and in any order, and this process may die at any await; the same notification then
comes again. So every effect here can be repeated, and what must not be lost comes after the write that makes
it due: `FeedbackLedger.advance` knows a redelivery of the report that moved the row, and all that follows
from the move is then done again. A counted bounce is the exception: it is counted at most once.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from traceback import extract_tb

from msgspec import Struct
from msgspec.structs import replace

from engine.errors import EngineError
from engine.feedback.bounce_policy import (
    Facts,
    Suppression,
    Verdict,
    judge,
    may_be_soft_bounce,
)
from engine.feedback.ports import RetryScheduler
from engine.feedback.reports import Report, read_time, reports
from engine.feedback.retry import retry_message, without_retry
from engine.feedback.target import affected_address, had_arrived, is_primary, proven_status
from engine.schemas.rows import SuppressionRow, TrackingRow
from engine.schemas.ses_events import Setup, Unknown, UnreadableEvent, decode
from engine.schemas.status import EmailStatusChanged, Reason
from engine.schemas.times import iso
from engine.tracking.bounce_quota import counts
from engine.tracking.kept_request import kept_request
from engine.tracking.ledger import FeedbackLedger
from engine.tracking.lifecycle import RANK, Status
from engine.tracking.ports import (
    BounceQuota,
    Payloads,
    SoftBounceHistory,
    StatusEvents,
    SuppressionWriter,
)
from engine.tracking.status_event import status_event
from engine.types import Clock, Telemetry


class FeedbackFailed(EngineError):  # noqa: N818 - it names an outcome
    """Some notifications could not be handled; Lambda must deliver the invocation again, then park it."""


class FeedbackPolicy(Struct, frozen=True, kw_only=True):
    """What the settings say about feedback."""

    soft_bounce_retry_seconds: int = 900


class Moved(Struct, frozen=True):
    """The row after the move, and what to tell about it: nothing where the report was no news."""

    row: TrackingRow
    to: Status | None = None
    previous: Status | None = None


@dataclass(frozen=True, kw_only=True)
class FeedbackPipeline:
    """Asks, decides, acts. Ports come in by constructor; whoever opened them closes them."""

    ledger: FeedbackLedger
    suppression: SuppressionWriter
    quota: BounceQuota
    soft_bounces: SoftBounceHistory
    payloads: Payloads
    retry_queue: RetryScheduler
    status_events: StatusEvents
    telemetry: Telemetry
    clock: Clock
    policy: FeedbackPolicy

    async def process(self, messages: Sequence[str]) -> None:
        """Handle the text of each SNS notification; one that fails doesn't keep the others from it.

        Raises FeedbackFailed after the last one. A notification that was handled may then come again.
        """
        problems: Counter[str] = Counter()
        for message in messages:
            try:
                await self._handle(message)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others go on and it is raised below
                problems[type(error).__name__] += 1
                self.telemetry.record("feedback-failed", problem=_problem(error))
        if problems:
            kinds = ", ".join(f"{kind} ({count})" for kind, count in sorted(problems.items()))
            # No cause is chained: Lambda prints it, and the text of an unforeseen error may quote an address.
            raise FeedbackFailed(f"{problems.total()} of {len(messages)} SES notifications failed: {kinds}")

    async def _handle(self, message: str) -> None:
        match decode(message):
            case Setup():
                self.telemetry.record("ses-topic-validated")
            case Unknown(type=kind):
                self.telemetry.record("ses-event-unknown", type=kind)
            case event:
                for report in reports(event, self.clock()):
                    await self._settle(report)

    async def _settle(self, report: Report) -> None:
        row = await self._find(report)
        if row is None:
            await self._settle_without_row(report)
            return
        verdict = judge(report, await self._facts(report, row))
        moved = await self._move(report, row, verdict)
        arrived = moved.row.status in {Status.DELIVERED, Status.OPENED}
        if arrived and (may_be_soft_bounce(report) or moved.row.soft_bounced_at):
            await self.soft_bounces.remove(row.to_email, row.email_id)
        if verdict.suppress:
            await self._suppress(affected_address(report, row), verdict.suppress)
        if verdict.counts:
            await self._count(report, row)
        if verdict.retry and moved.to and RANK[Status(moved.row.status)] <= RANK[Status.SOFT_BOUNCED]:
            verdict = await self._retry(report, moved.row, verdict)
        await self._note(moved.row, verdict)
        await self._tell(report, moved, verdict)

    # -- ask ---------------------------------------------------------------------------------------------

    async def _find(self, report: Report) -> TrackingRow | None:
        """By our own message tag; by SES's id without one (identity notifications) or without such a row."""
        row = await self.ledger.read(report.email_id) if report.email_id else None
        if row is None and report.ses_message_id:
            row = await self.ledger.find_by_ses_message_id(report.ses_message_id)
        return row

    async def _facts(self, report: Report, row: TrackingRow) -> Facts:
        primary = is_primary(report, row)
        soft_bounces = 1
        if primary and may_be_soft_bounce(report):
            soft_bounces = await self.soft_bounces.add(row.to_email, row.email_id, report.at)
        return Facts(
            attempt=row.retry_attempt,
            delivered=had_arrived(report, row),
            soft_bounces=soft_bounces,
            primary=primary,
        )

    # -- act ---------------------------------------------------------------------------------------------

    async def _move(self, report: Report, row: TrackingRow, verdict: Verdict) -> Moved:
        to = verdict.to or proven_status(report, row)
        if to is None:
            return Moved(row)
        advance = await self.ledger.advance(
            row.email_id,
            to,
            at=report.at,
            fingerprint=report.fingerprint,
            ses_message_id=report.ses_message_id or None,
            refusal=verdict.refusal,
        )
        if advance.moved:
            return Moved(advance.row, to, advance.previous)
        return Moved(advance.row, to, to) if advance.already_published else Moved(advance.row)

    async def _settle_without_row(self, report: Report) -> None:
        """Mail of another system, or of ours and expired: what it costs in reputation is the same."""
        verdict = judge(report, Facts())
        self.telemetry.record("feedback-without-row", kind=report.kind.value)
        if verdict.suppress:
            await self._suppress(affected_address(report, None), verdict.suppress)

    async def _suppress(self, address: str, why: Suppression) -> None:
        if "@" not in address:
            self.telemetry.record("address-unusable", reason=why.reason)
            return
        row = SuppressionRow(
            email=address,
            suppression_type=why.type,
            reason=why.reason,
            added_to_suppression_date=iso(self.clock()),
        )
        await self.suppression.add(row)

    async def _count(self, report: Report, row: TrackingRow) -> None:
        """For the day the email was sent. Marked first: a crash between loses a count, never doubles one."""
        if not counts(affected_address(report, row)):
            return
        if await self.ledger.mark(row.email_id, f"counted:{report.fingerprint}"):
            sent = read_time(row.sent_at) or read_time(row.timestamp) or report.at
            await self.quota.count_bounce(sent.date().isoformat())

    async def _retry(self, report: Report, row: TrackingRow, verdict: Verdict) -> Verdict:
        """Schedule it; twice is harmless, because the id of a retry follows from that of its original.

        Where the saved request has expired, the verdict says so instead.
        """
        saved = kept_request(row) or await self.payloads.read(row.claim_id or "", row.email_id)
        if saved is None:
            self.telemetry.record("retry-impossible", email_id=row.email_id, problem="no saved request")
            return without_retry(verdict)
        message = retry_message(report, row, saved)
        await self.retry_queue.schedule_retry(message, self.policy.soft_bounce_retry_seconds)
        return verdict

    async def _note(self, row: TrackingRow, verdict: Verdict) -> None:
        """Only what the row doesn't say yet, which after an Open's own move is nothing."""
        fields = dict(zip(row.__struct_encode_fields__, row.__struct_fields__, strict=True))
        news = {name: text for name, text in verdict.notes.items() if getattr(row, fields[name]) is None}
        if news:
            await self.ledger.note(row.email_id, news)

    # -- tell --------------------------------------------------------------------------------------------

    async def _tell(self, report: Report, moved: Moved, verdict: Verdict) -> None:
        """The status that the row reached, and news beside it with the status that the row has."""
        events = []
        if moved.to:
            reason = verdict.reason if moved.to is verdict.to else None
            events.append(_event(report, moved.row, moved.to, moved.previous, reason))
        if verdict.aside:
            now = Status(moved.row.status)
            events.append(_event(report, moved.row, now, now, verdict.aside))
        if events:
            await self.status_events.publish(events)
        if moved.to:
            self.telemetry.record(
                "status-reached",
                email_id=moved.row.email_id,
                status=moved.to.value,
                previous=moved.previous.value if moved.previous else "",
            )


def _event(
    report: Report, row: TrackingRow, status: Status, previous: Status | None, reason: Reason | None
) -> EmailStatusChanged:
    event = status_event(row, at=iso(report.at), status=status, previous=previous, reason=reason)
    return replace(event, reason=reason)  # the row's own may belong to a status it reached later


def _problem(error: Exception) -> str:
    """Our own errors speak; of any other only kind and place are told, for its text may hold data."""
    if isinstance(error, EngineError | UnreadableEvent):
        return f"{type(error).__name__}: {error}"
    frame = extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {PurePath(frame.filename).name}:{frame.lineno}"
