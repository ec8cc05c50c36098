"""The client: publishes Email Requests on the engine's bus."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from random import SystemRandom
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import aioboto3
import msgspec
from botocore.exceptions import ClientError

from engine.aws.event_bus import put_events
from engine.client.backoff import Backoff
from engine.client.publisher import RetryingPublisher
from engine.client.report import NoSuchBusError, NotAccepted, NotAcceptedError, PublishReport
from engine.client.stream import EmailRequests, OnProgress, PendingEvent, Stream
from engine.requests.email_job import email_id
from engine.schemas.request import EmailRequest
from engine.schemas.status import REQUEST_DETAIL_TYPE
from engine.types import Sleep

if TYPE_CHECKING:
    from types_aiobotocore_events import EventBridgeClient
    from types_aiobotocore_events.type_defs import PutEventsRequestEntryTypeDef

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
        **options: Any,
    ) -> None:
        self._bus = bus
        self._source = source
        self._session = session or aioboto3.Session()
        self._sleep = sleep
        self._options = options
        self._stack = AsyncExitStack()
        self._client: EventBridgeClient | None = None

    async def __aenter__(self) -> Self:
        client = self._session.client("events", **self._options)
        self._client = await self._stack.enter_async_context(client)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client = None
        await self._stack.aclose()

    async def check_bus(self) -> None:
        """Raise NoSuchBusError if the bus does not exist.

        A caller without events:DescribeEventBus can't know, so that counts as existing.
        """
        try:
            await self._opened().describe_event_bus(Name=self._bus)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
                raise NoSuchBusError(self._bus) from None

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
        return [email_id(self._source, request.idempotency_key or "") for request in keyed]

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

    def _opened(self) -> "EventBridgeClient":
        if self._client is None:
            raise RuntimeError("EmailClient is used outside its 'async with' block")
        return self._client

    def _pending_event(self, request: EmailRequest) -> PendingEvent:
        keyed = _with_key(request)
        return PendingEvent(email_id(self._source, keyed.idempotency_key or ""), self._entry(keyed))

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
