"""The lanes in, and where deferred mail waits.

The direct lane is one event that a rule handed over; it has no queue behind it, so what must wait goes to
EmailRetryQueue. The queue lanes (bulk, deferred, soft-bounce retry) leave a message where it is and hide it
longer with every receive. Mail that an operator stopped is parked instead, from every lane. None leans on
Lambda's own retries, of which there are only two.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from engine.concurrency import concurrently
from engine.delivery.retry_delay import visibility, visibility_of_broken, wait_before
from engine.errors import EngineError, ServiceUnavailable
from engine.requests.email_job import (
    EmailJob,
    UnreadableRecordError,
    from_event,
    from_retry,
    read_body,
    read_event,
)
from engine.schemas.envelopes import BatchAnswer, BatchItemFailure, EventBridgeEvent, SqsEvent, SqsRecord
from engine.schemas.status import EmailStatusChanged
from engine.sending.pipeline import SendingPipeline
from engine.sending.results import Completed, DeferralReason, Deferred, Failed, Outcome
from engine.types import Clock, Telemetry

SecondsLeft = Callable[[], float]


class DeferralQueues(Protocol):
    """The queues in which mail waits. Every method may raise `ServiceUnavailable`."""

    async def defer(self, body: str, seconds: int) -> None:
        """Put a request of the direct lane into EmailRetryQueue, whole, to come back after so long."""
        ...

    async def extend_visibility(self, queue_arn: str, receipt_handle: str, seconds: int) -> None:
        """Hide a received message of a queue for so long. Receives are counted on, so waits must grow."""
        ...


class ParkedMail(Protocol):
    """Where stopped mail lies until an operator lets it go."""

    async def park(self, body: str) -> None:
        """Take a request whole, as it came. Raises ServiceUnavailable."""
        ...


class InvocationFailedError(EngineError):
    """The invocation fails on purpose, so that its event comes again and in the end lies in the DLQ."""


class DeferralAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer of the direct lane for mail that waits: in EmailRetryQueue, or `parked`."""

    email_id: str
    reason: DeferralReason
    seconds: int = 0
    status: str = "deferred"


@dataclass(frozen=True, kw_only=True)
class Lanes:
    pipeline: SendingPipeline
    queues: DeferralQueues
    parked: ParkedMail | None = None
    telemetry: Telemetry
    clock: Clock

    async def direct(
        self, event: Any, seconds_left: SecondsLeft
    ) -> EmailStatusChanged | DeferralAnswer | None:
        """One event, and what became of its email. Raises UnreadableRecordError and InvocationFailedError."""
        job = from_event(read_event(event), self.clock())
        (outcome,) = await self.pipeline.process([job], seconds_left)
        match outcome:
            case Completed(events):
                return events[-1] if events else None
            case Failed(problem):
                raise InvocationFailedError(f"email {job.email_id}: {problem}")
            case Deferred(reason, at_least, at_most):
                seconds = wait_before(reason, 1, at_least, at_most)
                try:
                    body = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
                    if reason is DeferralReason.STOPPED and self.parked:
                        await self.parked.park(body)
                        return DeferralAnswer(email_id=job.email_id, reason=reason, status="parked")
                    await self.queues.defer(body, seconds)
                except (ServiceUnavailable, RecursionError) as error:
                    message = f"email {job.email_id} could not be deferred: {error}"
                    raise InvocationFailedError(message) from None
                return DeferralAnswer(email_id=job.email_id, reason=reason, seconds=seconds)

    async def queue(self, event: dict[str, Any], seconds_left: SecondsLeft) -> BatchAnswer:
        """Any number of records; the answer names those that must stay in their queue.

        Those that were received most often come first, and so have the first slots: where a batch holds more
        than an invocation can send, none is left over again and again until it lies in the DLQ.
        Raises UnreadableRecordError for what is no batch.
        """
        records = _records(event)
        jobs: list[EmailJob] = []
        readable: list[SqsRecord] = []
        visibilities: dict[str, int] = {}
        for record in records:
            try:
                asked = read_body(record.body)
            except UnreadableRecordError as error:
                self.telemetry.record("record-unreadable", message_id=record.message_id, problem=str(error))
                visibilities[record.message_id] = 0  # waiting won't make it readable: off to the DLQ
                continue
            at = self.clock()
            jobs.append(
                from_event(asked, at) if isinstance(asked, EventBridgeEvent) else from_retry(asked, at)
            )
            readable.append(record)
        outcomes = await self.pipeline.process(jobs, seconds_left)
        parked = await self._park(readable, outcomes)
        for record, outcome in zip(readable, outcomes, strict=True):
            match outcome:
                case Deferred() if record.message_id in parked:
                    pass
                case Deferred(reason, at_least, at_most):
                    wait = visibility(reason, _receives(record), at_least, at_most)
                    visibilities[record.message_id] = wait
                case Failed():
                    visibilities[record.message_id] = visibility_of_broken(_receives(record))
        kept = [record for record in records if record.message_id in visibilities]
        await concurrently(self._hide(record, visibilities[record.message_id]) for record in kept)
        return BatchAnswer(
            batch_item_failures=[BatchItemFailure(item_identifier=record.message_id) for record in kept]
        )

    async def _park(self, records: Sequence[SqsRecord], outcomes: Sequence[Outcome]) -> set[str]:
        """The ids of the messages that are parked, and so done with in their own queue.

        One that could not be parked stays in its queue and is tried again.
        """
        parked = self.parked
        if parked is None:
            return set()

        async def park(record: SqsRecord) -> str | ServiceUnavailable:
            try:
                await parked.park(record.body)
            except ServiceUnavailable as error:
                self.telemetry.record("service-unavailable", problem=str(error))
                return error
            return record.message_id

        stopped = [
            record
            for record, outcome in zip(records, outcomes, strict=True)
            if isinstance(outcome, Deferred) and outcome.reason is DeferralReason.STOPPED
        ]
        return {one for one in await concurrently(map(park, stopped)) if isinstance(one, str)}

    async def _hide(self, record: SqsRecord, seconds: int) -> None:
        """Failing this, the message comes back after the queue's own visibility timeout."""
        try:
            await self.queues.extend_visibility(record.event_source_arn, record.receipt_handle, seconds)
        except ServiceUnavailable as error:
            self.telemetry.record(
                "extend-visibility-failed", message_id=record.message_id, problem=str(error)
            )


def _records(event: dict[str, Any]) -> list[SqsRecord]:
    try:
        return sorted(msgspec.convert(event, SqsEvent).records, key=_receives, reverse=True)
    except (ValueError, RecursionError):  # of msgspec or `int`, or for text that is not Unicode
        raise UnreadableRecordError("`Records` are no messages of SQS") from None


def _receives(record: SqsRecord) -> int:
    """How often the queue handed the message out, this time included."""
    return int(record.attributes.approximate_receive_count)
