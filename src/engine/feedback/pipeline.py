"""The feedback pipeline: decode → one report a recipient → find the row → judge → move → act → tell.

SES reports at least once and in any order, and this process may die at any await; the same notification then
comes again. So every effect here can be repeated, and what must not be lost comes after the write that makes
it due: `FeedbackLedger.advance` knows a redelivery of the report that moved the row, and all that follows
from the move is then done again. A counted bounce is the exception: it is counted at most once, and a count
that may be lost is only logged.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import replace

from engine.errors import EngineError, ServiceUnavailable, describe_bug
from engine.feedback.bounce_policy import BounceContext, Verdict, adds_soft_bounce, judge
from engine.feedback.reports import Report, reports
from engine.feedback.retry import retry_message, without_retry
from engine.feedback.target import FeedbackTarget, feedback_target, had_arrived, proven_status
from engine.schemas.rows import SuppressionRow, TrackingRow
from engine.schemas.ses_events import Setup, Unknown, UnreadableEvent, decode
from engine.schemas.status import Reason
from engine.schemas.times import iso, parse_iso
from engine.tracking.bounce_quota import counts
from engine.tracking.kept_request import kept_request
from engine.tracking.ledger import FeedbackLedger
from engine.tracking.lifecycle import RANK, Status
from engine.tracking.ports import (
    BounceQuota,
    Payloads,
    RetryScheduler,
    SoftBounceHistory,
    StatusEvents,
    SuppressionWriter,
)
from engine.tracking.status_event import log_labels, status_event
from engine.types import Clock, Telemetry


class FeedbackFailed(EngineError):  # noqa: N818 - it names an outcome
    """Some notifications could not be handled; Lambda must deliver the invocation again, then park it."""


class FeedbackPolicy(Struct, frozen=True, kw_only=True):
    """What the settings say about feedback."""

    soft_bounce_retry_seconds: int = 900


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
                event = decode(message)
                if isinstance(event, Unknown):
                    self.telemetry.record("ses-event-unknown", type=event.type)
                elif isinstance(event, Setup):
                    self.telemetry.record("ses-topic-validated")
                else:
                    for report in reports(event, self.clock()):
                        await self._apply(report)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others go on and it is raised below
                problems[type(error).__name__] += 1
                # Our own errors speak; the text of any other may hold data.
                ours = isinstance(error, EngineError | UnreadableEvent)
                problem = f"{type(error).__name__}: {error}" if ours else describe_bug(error)
                self.telemetry.record("feedback-failed", problem=problem)
        if problems:
            kinds = ", ".join(f"{kind} ({count})" for kind, count in sorted(problems.items()))
            # No cause is chained: Lambda prints it, and the text of an unforeseen error may quote an address.
            raise FeedbackFailed(f"{problems.total()} of {len(messages)} SES notifications failed: {kinds}")

    async def _apply(self, report: Report) -> None:
        """Find the row, judge, move the row, act, tell."""
        # By our own message tag; by SES's id without one (identity notifications) or without such a row.
        row = await self.ledger.read(report.email_id) if report.email_id else None
        if row is None and report.ses_message_id:
            row = await self.ledger.find_by_ses_message_id(report.ses_message_id)
        target = feedback_target(report, row)
        if row is None:  # mail of another system, or of ours and expired: it costs the same in reputation
            self.telemetry.record("feedback-without-row", kind=report.kind.value)
            await self._suppress(report, None, target, judge(report, BounceContext()))
            return
        # Of deliveries to copies no row knows: they count as delivered.
        delivered = target.role != "recipient" or had_arrived(report, row)
        context = BounceContext(role=target.role, attempt=row.retry_attempt, delivered=delivered)
        if adds_soft_bounce(report, context):
            add = self.soft_bounces.add
            each = [await add(address, row.email_id, report.at) for address in target.addresses]
            context = replace(context, soft_bounces=max(each, default=1))
        verdict = judge(report, context)
        reached, previous = verdict.to or proven_status(report, row), None
        if reached:
            advance = await self.ledger.advance(
                row.email_id,
                reached,
                at=report.at,
                fingerprint=report.fingerprint,
                ses_message_id=report.ses_message_id or None,
                refusal=verdict.refusal,
            )
            row, previous = advance.row, advance.previous if advance.moved else reached
            if not advance.moved and not advance.already_published:
                reached = None  # no news: the row is past it
        if row.soft_bounced_at and row.status in {Status.DELIVERED, Status.OPENED}:
            await self.soft_bounces.remove(row.to_email, row.email_id)
        await self._suppress(report, row, target, verdict)
        counted = verdict.counts and any(map(counts, target.addresses[:1]))
        # Marked first: a crash between loses a count, and never doubles one.
        if counted and await self.ledger.mark(row.email_id, f"counted:{report.fingerprint}"):
            await self._count_bounce(report, row)
        if verdict.retry and reached and row.status_rank <= RANK[Status.SOFT_BOUNCED]:
            verdict = await self._retry(report, row, verdict)
        # Only what the row doesn't say yet, which after an Open's own move is nothing.
        fields = dict(zip(row.__struct_encode_fields__, row.__struct_fields__, strict=True))
        notes = {name: text for name, text in verdict.notes.items() if getattr(row, fields[name]) is None}
        if notes:
            await self.ledger.note(row.email_id, notes)
        await self._publish(report, row, verdict, reached, previous)

    async def _suppress(
        self, report: Report, row: TrackingRow | None, target: FeedbackTarget, verdict: Verdict
    ) -> None:
        if verdict.suppress is None:
            return
        if not target.addresses:
            self.telemetry.record("address-unusable", reason=verdict.suppress.reason)
        for address in target.addresses:
            suppressed = SuppressionRow(
                email=address,
                suppression_type=verdict.suppress.type,
                reason=verdict.suppress.reason,
                added_to_suppression_date=iso(self.clock()),
                email_id=row.email_id if row else report.email_id or None,
                diagnostic_code=report.text or None,
                added_by="feedback",
            )
            await self.suppression.add(suppressed)

    async def _count_bounce(self, report: Report, row: TrackingRow) -> None:
        """For the day the email was sent. A lost count stays lost: a redelivery finds the mark."""
        sent = parse_iso(row.sent_at or "") or parse_iso(row.timestamp) or report.at
        try:
            # A request may name any time of the calendar as its own, but nothing bounces before it was sent.
            await self.quota.count_bounce(min(sent, report.at).date().isoformat())
        except ServiceUnavailable as error:
            self.telemetry.record("count-lost", bounces=1, problem=str(error))

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

    async def _publish(
        self,
        report: Report,
        row: TrackingRow,
        verdict: Verdict,
        reached: Status | None,
        previous: Status | None,
    ) -> None:
        """The status that the row reached, and news beside it with the status that the row has."""
        told: list[tuple[Status, Status | None, Reason | None]] = []
        if reached:
            told.append((reached, previous, verdict.reason if reached is verdict.to else None))
        if verdict.extra_event:
            told.append((Status(row.status), Status(row.status), verdict.extra_event))
        if told:
            at = iso(report.at)
            events = [
                # The row's own reason may belong to a status it reached later.
                replace(status_event(row, at=at, status=now, previous=before, reason=why), reason=why)
                for now, before, why in told
            ]
            await self.status_events.publish(events)
        if reached:
            self.telemetry.record(
                "status-reached",
                email_id=row.email_id,
                status=reached.value,
                previous=previous or "",
                **log_labels(row),
            )
