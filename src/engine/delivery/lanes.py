"""The two ways in, and where held mail waits.

The direct lane is one event that a rule handed over; it has no queue behind it, so what must wait goes to
EmailRetryQueue. The queue lanes (bulk, deferred, soft-bounce retry) leave a message where it is and hide it
longer with every receive. Neither leans on Lambda's own retries, of which there are only two.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.delivery.ports import DeferralQueues
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


class InvocationFailedError(EngineError):
    """The invocation fails on purpose, so that its event comes again and in the end lies in the DLQ."""


class DeferralAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer of the direct lane for mail that waits in EmailRetryQueue."""

    email_id: str
    reason: DeferralReason
    seconds: int
    status: str = "deferred"


@dataclass(frozen=True, kw_only=True)
class Lanes:
    pipeline: SendingPipeline
    queues: DeferralQueues
    telemetry: Telemetry
    clock: Clock

    async def direct(
        self, event: dict[str, Any], seconds_left: SecondsLeft
    ) -> EmailStatusChanged | DeferralAnswer | None:
        """One event, and what became of its email. Raises UnreadableRecordError and InvocationFailedError."""
        job = from_event(read_event(event), self.clock())
        (outcome,) = await self.pipeline.process([job], seconds_left)
        match outcome:
            case Completed():
                return outcome.event
            case Deferred():
                return await self._defer(event, job, outcome)
            case Failed():
                raise InvocationFailedError(f"email {job.email_id}: {outcome.problem}")

    async def _defer(self, event: dict[str, Any], job: EmailJob, held: Deferred) -> DeferralAnswer:
        seconds = wait_before(held.reason, 1, held.seconds)
        try:
            await self.queues.defer(_as_text(event), seconds)
        except ServiceUnavailable as error:
            raise InvocationFailedError(f"email {job.email_id} could not be deferred: {error}") from None
        return DeferralAnswer(email_id=job.email_id, reason=held.reason, seconds=seconds)

    async def queue(self, event: dict[str, Any], seconds_left: SecondsLeft) -> BatchAnswer:
        """Any number of records; the answer names those that must stay in their queue.

        Those that were received most often come first, and so have the first slots: where a batch holds more
        than an invocation can send, none is left over again and again until it lies in the DLQ.
        """
        records = sorted(msgspec.convert(event, SqsEvent).records, key=_receives, reverse=True)
        read = [self._read(record) for record in records]
        outcomes = iter(await self.pipeline.process([job for job in read if job], seconds_left))
        results = [next(outcomes) if job else None for job in read]
        kept = [
            (record, outcome)
            for record, outcome in zip(records, results, strict=True)
            if not isinstance(outcome, Completed)
        ]
        await asyncio.gather(*(self._hide(record, outcome) for record, outcome in kept))
        return BatchAnswer(
            batch_item_failures=[BatchItemFailure(item_identifier=record.message_id) for record, _ in kept]
        )

    def _read(self, record: SqsRecord) -> EmailJob | None:
        try:
            asked = read_body(record.body)
        except UnreadableRecordError as error:
            self.telemetry.record("record-unreadable", message_id=record.message_id, problem=str(error))
            return None
        if isinstance(asked, EventBridgeEvent):
            return from_event(asked, self.clock())
        return from_retry(asked, self.clock())

    async def _hide(self, record: SqsRecord, outcome: Outcome | None) -> None:
        """Failing this, the message comes back after the queue's own visibility timeout."""
        try:
            await self.queues.extend_visibility(
                record.event_source_arn, record.receipt_handle, _visibility(record, outcome)
            )
        except ServiceUnavailable as error:
            self.telemetry.record("hold-failed", message_id=record.message_id, problem=str(error))


def _as_text(event: dict[str, Any]) -> str:
    try:
        return msgspec.json.encode(event).decode()
    except UnicodeEncodeError:  # a lone surrogate, which only an escape can carry
        return json.dumps(event)


def _receives(record: SqsRecord) -> int:
    """How often the queue handed the message out, this time included."""
    return int(record.attributes.approximate_receive_count)


def _visibility(record: SqsRecord, outcome: Outcome | None) -> int:
    match outcome:
        case Deferred(reason, seconds):
            return visibility(reason, _receives(record), seconds)
        case None:
            return 0  # waiting won't make it readable: off to the dead-letter queue
        case _:
            return visibility_of_broken(_receives(record))
