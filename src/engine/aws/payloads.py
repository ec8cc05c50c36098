"""Requests kept for a soft-bounce retry: `payload#<emailId>` in the State table, compressed.

They lie apart from the tracking row, so that a status update does not pay for them, and are gone after four
days: SES gives up on a delivery after 14 hours at the latest. A request with large attachments goes over
several items, since one holds 400 KB.
Source: https://docs.aws.amazon.com/ses/latest/dg/send-email-concepts-deliverability.html
"""

import zlib
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from engine.aws.batches import chunks, get_items, put_items
from engine.ports import Clock
from engine.schemas.request import EmailRequest

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

_KEPT: Final = timedelta(days=4)
_PART: Final = 380_000  # bytes

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(EmailRequest)


class RequestPayloads:
    """Implements `Payloads`."""

    def __init__(self, client: "DynamoDBClient", table: str, clock: Clock) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    async def save(self, requests: Mapping[str, EmailRequest]) -> None:
        ttl = int((self._clock() + _KEPT).timestamp())
        items = [item for email_id, request in requests.items() for item in _items(email_id, request, ttl)]
        await put_items(self._client, self._table, items)

    async def read(self, email_id: str) -> EmailRequest | None:
        first = await get_items(self._client, self._table, [{"pk": _key(email_id, 0)}])
        if not first:
            return None
        count = int(first[0]["parts"]["N"])
        more = [{"pk": _key(email_id, part)} for part in range(1, count)]
        items = first + (await get_items(self._client, self._table, more) if more else [])
        if len(items) < count:
            return None
        ordered = sorted(items, key=lambda item: int(item["part"]["N"]))
        return _decoder.decode(zlib.decompress(b"".join(bytes(item["body"]["B"]) for item in ordered)))


def _key(email_id: str, part: int) -> str:
    return f"payload#{email_id}#{part}" if part else f"payload#{email_id}"


def _items(email_id: str, request: EmailRequest, ttl: int) -> list[Any]:
    parts = list(chunks(zlib.compress(_encoder.encode(request), 1), _PART))
    return [
        {
            "pk": {"S": _key(email_id, number)},
            "part": {"N": str(number)},
            "parts": {"N": str(len(parts))},
            "body": {"B": part},
            "ttl": {"N": str(ttl)},
        }
        for number, part in enumerate(parts)
    ]
