"""Parked mail on its way back to its lanes: all but what a brake holds.

A message is deleted only when its lane has it, and its id follows from its content, so a run may be broken
off at any point and run again: what was sent twice is one email to the engine.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import msgspec

from engine.aws.error_codes import service_errors
from engine.aws.event_bus import batched_by_size
from engine.concurrency import concurrently
from engine.errors import ServiceUnavailable
from engine.operations.queues import PARKED
from engine.operations.stack import DeployedStack
from engine.operations.taken import TakenMessages
from engine.requests.email_job import UnreadableRecordError, from_event, from_retry, read_body
from engine.schemas.envelopes import EventBridgeEvent
from engine.schemas.request import EmailRequest
from engine.schemas.retry import RetryMessage
from engine.schemas.rows import BrakeRow
from engine.tracking.brakes import STOP, applying, brake_keys

RECEIVERS: Final = 32
# Seconds that a received message is hidden. What a run that died had in hand comes back then.
HIDDEN_SECONDS: Final = 300
FRESH_SECONDS: Final = 1.0
WAIT_SECONDS: Final = 2
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
_MOST_BYTES: Final = 1_048_576
# SQS hides 120,000 messages of a queue at once and hands out no others.
MOST_HELD: Final = 100_000
_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)  # what a brake is about doesn't depend on it


class BrakeReader(Protocol):
    async def read(self, keys: Sequence[str]) -> Mapping[str, BrakeRow]:
        """Those of the brakes that are set, by their keys. Raises ServiceUnavailable."""
        ...


class QueueUrls(msgspec.Struct, frozen=True, kw_only=True):
    parked: str
    bulk: str
    retry: str


class Return(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How far parked mail has come back.

    `held`: how much each brake holds. `problem`: why the run broke off, or left some that nothing holds.
    `hidden`: about how many others had in hand when it began, such as a run that was killed.
    """

    moved: int = 0
    held: dict[str, int] = {}
    problem: str | None = None
    hidden: int = 0


class ParkedMail:
    """One run over the queue. `sqs`: an aiobotocore client."""

    def __init__(self, sqs: Any, brakes: BrakeReader, urls: QueueUrls) -> None:
        self._sqs = sqs
        self._brakes = brakes
        self._urls = urls
        self._known: dict[str, BrakeRow | None] = {}
        self._read_at = -FRESH_SECONDS
        self._taken = TakenMessages(sqs, urls.parked, f"SQS ({PARKED})", HIDDEN_SECONDS, WAIT_SECONDS)
        self._held: dict[str, str] = {}  # by message id: the brake
        self._moved = 0
        self._problem: str | None = None

    async def bring_back(self, on_progress: Callable[[Return], None] = lambda _: None) -> Return:
        """Move what no brake holds to its lane, until the queue is empty or all that is left was seen.

        Raises nothing but what cancels it; what is left can be received at once, also then.
        """
        try:
            await concurrently(self._receive_all(on_progress) for _ in range(RECEIVERS))
        finally:
            await self._taken.show_again()
        return self._progress()

    def _progress(self) -> Return:
        return Return(moved=self._moved, held=dict(Counter(self._held.values())), problem=self._problem)

    async def _receive_all(self, on_progress: Callable[[Return], None]) -> None:
        try:
            while self._problem is None:
                messages = await self._taken.receive()
                if not messages:
                    return
                await self._bring_back(messages)
                on_progress(self._progress())
                if len(self._held) >= MOST_HELD:
                    self._problem = f"brakes hold {MOST_HELD:,} emails, which is as far as a run can look"
        except ServiceUnavailable as error:
            self._problem = str(error)

    async def _bring_back(self, messages: Sequence[Any]) -> None:
        envelopes = [_read(message["Body"]) for message in messages]
        requests = [_request(envelope) for envelope in envelopes]
        brakes = await self._look(key for request in requests if request for key in brake_keys(request))
        lanes: dict[str, list[Any]] = {}
        for message, envelope, request in zip(messages, envelopes, requests, strict=True):
            brake = applying(request, brakes) if request else None
            if brake and brake.pk.startswith(STOP):
                self._held[message["MessageId"]] = brake.pk
                continue
            # What was cancelled goes as well: its lane ends it as failed.
            is_event = isinstance(envelope, EventBridgeEvent)
            is_bulk = is_event and request is not None and request.priority == "bulk"
            lanes.setdefault(self._urls.bulk if is_bulk else self._urls.retry, []).append(message)
        for url, leaving in lanes.items():
            for batch in batched_by_size([len(each["Body"].encode()) for each in leaving], _MOST_BYTES):
                await self._move([leaving[index] for index in batch], url)

    async def _look(self, keys: Iterable[str]) -> dict[str, BrakeRow]:
        """Those of the brakes that are set, as of the last second.

        The engine itself may set one while mail comes back (`BOUNCE_RATE_ACTION=hold-bulk`), and park that
        mail again: were brakes read once, it would go round for ever.
        """
        now = asyncio.get_running_loop().time()
        if now - self._read_at >= FRESH_SECONDS:
            self._known, self._read_at = {}, now
        known = self._known  # of this second, also when another receiver has begun the next
        wanted = list(dict.fromkeys(keys))
        if unknown := [key for key in wanted if key not in known]:
            found = await self._brakes.read(unknown)
            known |= {key: found.get(key) for key in unknown}
        return {key: brake for key in wanted if (brake := known[key])}

    async def _move(self, messages: Sequence[Any], url: str) -> None:
        """Send to the lane, then delete what it has taken."""
        entries = [{"Id": str(number), "MessageBody": each["Body"]} for number, each in enumerate(messages)]
        with service_errors("SQS"):
            answer = await self._sqs.send_message_batch(QueueUrl=url, Entries=entries)
        taken = [messages[int(each["Id"])] for each in answer.get("Successful", [])]
        if answer.get("Failed"):
            self._problem = f"SQS SendMessageBatch answered {answer['Failed'][0]['Code']}"
        if not taken:
            return
        self._moved += len(taken)
        await self._taken.delete(taken)


def _request(envelope: EventBridgeEvent | RetryMessage | None) -> EmailRequest | None:
    """What is asked for; None where the lane will refuse it, so that no brake concerns it."""
    match envelope:
        case EventBridgeEvent():
            return from_event(envelope, _ANY_TIME).request
        case RetryMessage():
            return from_retry(envelope, _ANY_TIME).request
    return None


def _read(body: str) -> EventBridgeEvent | RetryMessage | None:
    try:
        return read_body(body)
    except UnreadableRecordError:
        return None


async def open_parked(stack: DeployedStack, brakes: BrakeReader) -> ParkedMail:
    """Raises ClientError for a stack that has no such queue."""
    urls = QueueUrls(
        parked=await stack.queue_url(PARKED),
        bulk=await stack.queue_url("BulkEmailQueue"),
        retry=await stack.queue_url("EmailRetryQueue"),
    )
    return ParkedMail(await stack.client("sqs"), brakes, urls)
