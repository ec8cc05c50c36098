"""What an application imports to ask for emails: typed, async, and loud about what was not accepted.

async with EmailClient("mail-EmailBus", source="shop") as emails:
    await emails.send(EmailRequest(to="ada@example.com", template_name="welcome", template_data={...}))
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import aioboto3
import msgspec

from engine.aws.put_events import put_events
from engine.domain.failures import EngineError
from engine.domain.identity import email_id
from engine.schemas.request import Attachment, EmailRequest, SenderOverride, Unsubscribe
from engine.schemas.status import REQUEST_DETAIL_TYPE

if TYPE_CHECKING:
    from types_aiobotocore_events import EventBridgeClient
    from types_aiobotocore_events.type_defs import PutEventsRequestEntryTypeDef

__all__ = [
    "Attachment",
    "EmailClient",
    "EmailRequest",
    "NotAccepted",
    "NotAcceptedError",
    "SenderOverride",
    "Unsubscribe",
]

_encoder = msgspec.json.Encoder(order="deterministic")


class NotAccepted(msgspec.Struct, frozen=True):
    """A request that EventBridge did not confirm: its place among those given, and why.

    With the code `ServiceUnavailable` the call itself failed, and it may have been taken all the same.
    """

    index: int
    code: str
    message: str


class NotAcceptedError(EngineError):
    """Some requests are not known to have reached the bus, after every try; all others did.

    Asking again for `failed` is safe: the idempotency keys in `requests` keep an email from going out twice.
    """

    def __init__(self, failed: Sequence[NotAccepted], requests: Sequence[EmailRequest]) -> None:
        first = failed[0]
        super().__init__(
            f"{len(failed)} of {len(requests)} email requests were not accepted by EventBridge, the first is"
            f" number {first.index}: {first.code} {first.message}. Send those of `failed` again, out of"
            " `requests`."
        )
        self.failed = tuple(failed)
        self.requests = tuple(requests)


class EmailClient:
    """Publishes Email Requests on the engine's bus.

    `source` names the application; with the idempotency key it makes the email's id, so keep it the same.
    A request without a key gets a random one before it leaves: the SDK repeats a call whose answer was lost,
    and without a key that would be two emails. Options go to aioboto3's client (`region_name`, ...).
    """

    def __init__(self, bus: str, *, source: str, **options: Any) -> None:
        self._bus = bus
        self._source = source
        self._options = options
        self._stack = AsyncExitStack()
        self._client: EventBridgeClient | None = None

    async def __aenter__(self) -> Self:
        client = aioboto3.Session().client("events", **self._options)
        self._client = await self._stack.enter_async_context(client)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client = None
        await self._stack.aclose()

    async def send(self, request: EmailRequest) -> str:
        """Ask for one email; answers its email id. Raises NotAcceptedError."""
        (own_id,) = await self.send_all([request])
        return own_id

    async def send_all(self, requests: Sequence[EmailRequest]) -> list[str]:
        """Ask for many, ten a call; answers their email ids in order.

        Raises NotAcceptedError, which names those that EventBridge left.
        """
        if self._client is None:
            raise RuntimeError("EmailClient is used outside its 'async with' block")
        keyed = [_with_key(request) for request in requests]
        left = await put_events(self._client, [self._entry(request) for request in keyed])
        if left:
            raise NotAcceptedError([NotAccepted(e.index, e.code, e.message) for e in left], keyed)
        return [email_id(self._source, request.idempotency_key or "") for request in keyed]

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
