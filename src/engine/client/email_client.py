"""The client: publishes Email Requests on the engine's bus."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from random import SystemRandom
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import aioboto3
import msgspec
from botocore.exceptions import ClientError

from engine.aws.error_codes import is_code
from engine.aws.event_bus import put_events
from engine.client.backoff import Backoff
from engine.client.publisher import RetryingPublisher
from engine.client.report import NoSuchBusError, NotAccepted, NotAcceptedError, PublishReport
from engine.client.schedule import Scheduling, cancel, create, refuse_unsendable, scheduled_event
from engine.client.stream import EmailRequests, OnProgress, PendingEvent, Stream
from engine.requests.email_job import email_id
from engine.schemas.request import EmailRequest
from engine.schemas.status import REQUEST_DETAIL_TYPE
from engine.types import Clock, Sleep

if TYPE_CHECKING:
    from types_aiobotocore_events import EventBridgeClient
    from types_aiobotocore_events.type_defs import (
        DescribeEventBusResponseTypeDef,
        PutEventsRequestEntryTypeDef,
    )

_encoder = msgspec.json.Encoder(order="deterministic")
_BACKOFF = Backoff()  # gives up after about a minute and a half


class EmailClient:
    """Publishes Email Requests on the engine's bus.

    `source` names the application. Email ids are made of it and the idempotency key, so keep it the same.
    A request without a key gets a random one before it leaves: the SDK repeats a call whose answer was lost,
    and without a key that would be two emails. `session` brings a profile or credentials other than the
    default ones. Options go to aioboto3's client (`region_name`, ...).
    """

    def __init__(
        self,
        bus: str,
        *,
        source: str,
        session: aioboto3.Session | None = None,
        sleep: Sleep = asyncio.sleep,
        clock: Clock = lambda: datetime.now(UTC),
        **options: Any,
    ) -> None:
        self._bus = bus
        self._source = source
        self._session = session or aioboto3.Session()
        self._sleep = sleep
        self._clock = clock
        self._options = options
        self._stack = AsyncExitStack()
        self._client: EventBridgeClient | None = None
        self._scheduler: Any = None  # opened at its first use: most applications schedule nothing
        self._bus_arn = ""

    async def __aenter__(self) -> Self:
        client = self._session.client("events", **self._options)
        self._client = await self._stack.enter_async_context(client)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client = self._scheduler = None
        await self._stack.aclose()

    async def check_bus(self) -> None:
        """Raise NoSuchBusError if the bus does not exist.

        A caller without events:DescribeEventBus can't know, so that counts as existing.
        """
        with suppress(ClientError):
            await self._described_bus()

    async def send(self, request: EmailRequest) -> str:
        """Request one email. Returns its email id. Raises NotAcceptedError."""
        (own_id,) = await self.send_all([request])
        return own_id

    async def send_all(self, requests: Sequence[EmailRequest]) -> list[str]:
        """Request many emails, ten a call. Returns their email ids, in order.

        Raises NotAcceptedError, which names those that EventBridge did not take.
        """
        client = self._opened()
        keyed = [_with_key(request) for request in requests]
        left = await put_events(client, [self._entry(request) for request in keyed])
        if left:
            raise NotAcceptedError([NotAccepted(e.index, e.code, e.message) for e in left], keyed)
        return [self._id_of(request) for request in keyed]

    async def send_many(
        self,
        requests: EmailRequests,
        *,
        concurrency: int = 8,
        backoff: Backoff = _BACKOFF,
        on_progress: OnProgress | None = None,
    ) -> PublishReport:
        """Request any number of emails, from an iterator or an async iterator, with flat memory.

        `concurrency` calls of ten requests are under way at once, and no more is read than they carry. What
        EventBridge throttles or fails is retried by `backoff`; what it refuses, and what can't be encoded, is
        in the report. When it takes nothing of a call after all tries, reading stops and the report says why.
        `on_progress` is called after every call. Cancelling ends the calls under way; EventBridge may have
        taken what they carried, so send it again with the same idempotency keys.
        """
        publisher = RetryingPublisher(self._opened(), backoff, self._sleep, SystemRandom().uniform)
        return await Stream(requests, publisher, self._pending_event, on_progress).run(concurrency)

    async def schedule(self, request: EmailRequest, at: datetime) -> str:
        """Request one email at a later time, in whole seconds. Returns its email id, which cancels it.

        The request's time is then `at`: what expires, expires so long after it. Doing it again with the same
        idempotency key and content changes nothing. Raises ValueError for a time without a zone or one that
        has passed, and NotScheduledError, also for a request that the engine would refuse when it is due.
        """
        if at.tzinfo is None:
            raise ValueError(f"at: {at} has no time zone; an aware datetime was expected")
        at = at.replace(microsecond=0)
        if at <= self._clock():
            raise ValueError(f"at: {at} has passed; send the request instead")
        keyed = _with_key(request)
        own_id = self._id_of(keyed)
        event = scheduled_event(await self._arn_of_bus(), self._source, own_id, at, _encoder.encode(keyed))
        refuse_unsendable(event, at)
        scheduling = Scheduling.of_bus(self._bus_arn)
        await create(await self._opened_scheduler(), scheduling.request(own_id, at, event))
        return own_id

    async def cancel_scheduled(self, email_id: str) -> bool:
        """Take a scheduled email back: True says that it will not be sent.

        False: it is handed over, due within ten seconds, or was never scheduled; after a call that raised,
        it may also mean that this one took it back. Raises NotScheduledError, ClientError and BotoCoreError.
        """
        group = Scheduling.of_bus(await self._arn_of_bus()).group
        return await cancel(await self._opened_scheduler(), group, email_id, self._clock)

    async def _arn_of_bus(self) -> str:
        """Says account and region as well, which the other names of the stack are made of."""
        if not self._bus_arn:
            self._bus_arn = (await self._described_bus())["Arn"]
        return self._bus_arn

    async def _described_bus(self) -> "DescribeEventBusResponseTypeDef":
        try:
            return await self._opened().describe_event_bus(Name=self._bus)
        except ClientError as error:
            if is_code(error, "ResourceNotFoundException"):
                raise NoSuchBusError(self._bus) from None
            raise

    async def _opened_scheduler(self) -> Any:
        if self._scheduler is None:
            client: Any = self._session.client("scheduler", **self._options)
            self._scheduler = await self._stack.enter_async_context(client)
        return self._scheduler

    def _opened(self) -> "EventBridgeClient":
        if self._client is None:
            raise RuntimeError("EmailClient is used outside its 'async with' block")
        return self._client

    def _pending_event(self, request: EmailRequest) -> PendingEvent:
        keyed = _with_key(request)
        return PendingEvent(self._id_of(keyed), self._entry(keyed))

    def _id_of(self, keyed: EmailRequest) -> str:
        return email_id(self._source, keyed.idempotency_key or "")

    def _entry(self, request: EmailRequest) -> "PutEventsRequestEntryTypeDef":
        return {
            "EventBusName": self._bus,
            "Source": self._source,
            "DetailType": REQUEST_DETAIL_TYPE,
            "Detail": _encoder.encode(request).decode(),
        }


def _with_key(request: EmailRequest) -> EmailRequest:
    if request.idempotency_key:
        return request
    return msgspec.structs.replace(request, idempotency_key=str(uuid4()))
