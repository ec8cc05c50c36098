"""Requests kept for a soft-bounce retry, in the State table, compressed.

They lie apart from the tracking rows, so that a status update does not pay for them, and are gone after
four days: SES gives up on a delivery after 14 hours at the latest. What one invocation claimed lies together
in one item, `payload#<claim id>`: one write for the batch, and emails of one campaign compress each other.
Where they don't fit into one item, as with attachments, each email has its own, `payload#<claim id>#<email
id>`, in as many parts as it needs.
Source: https://docs.aws.amazon.com/ses/latest/dg/send-email-concepts-deliverability.html
"""

import zlib
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from engine.aws.batches import chunks, get_items, put_items
from engine.schemas.request import EmailRequest
from engine.types import Clock

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient


class KeptRequest(EmailRequest, frozen=True, kw_only=True, forbid_unknown_fields=False, rename="camel"):
    """A request that was accepted once: one kept by a newer version must still be read."""


Requests = Mapping[str, EmailRequest]

_KEPT: Final = timedelta(days=4)
# An item holds 400 KB: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
_PART: Final = 380_000  # bytes

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(dict[str, KeptRequest])


class RequestPayloads:
    """Implements `Payloads`."""

    def __init__(self, client: "DynamoDBClient", table: str, clock: Clock) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    async def save(self, claim_id: str, requests: Mapping[str, EmailRequest]) -> None:
        if not requests:
            return
        ttl = int((self._clock() + _KEPT).timestamp())
        items = _items(f"payload#{claim_id}", dict(requests), ttl)
        if len(items) > 1:
            items = [
                item
                for email_id, request in requests.items()
                for item in _items(f"payload#{claim_id}#{email_id}", {email_id: request}, ttl)
            ]
        await put_items(self._client, self._table, items)

    async def read(self, claim_id: str, email_id: str) -> EmailRequest | None:
        together, alone = f"payload#{claim_id}", f"payload#{claim_id}#{email_id}"
        found = await get_items(self._client, self._table, [{"pk": together}, {"pk": alone}])
        if not found:
            return None
        head = found[0]
        more = [{"pk": f"{alone}#{part}"} for part in range(1, int(head["parts"]["N"]))]
        parts = [head, *(await get_items(self._client, self._table, more))]
        if len(parts) <= len(more):
            return None  # the table has begun to expire them
        parts.sort(key=lambda item: int(item["part"]["N"]))
        return _decoder.decode(zlib.decompress(b"".join(_body(part) for part in parts))).get(email_id)


def _items(key: str, requests: Requests, ttl: int) -> list[Any]:
    """One item, or several where one can't hold it: `<key>`, `<key>#1`, ..."""
    parts = list(chunks(zlib.compress(_encoder.encode(requests), 1), _PART))
    return [
        {
            "pk": {"S": f"{key}#{number}" if number else key},
            "part": {"N": str(number)},
            "parts": {"N": str(len(parts))},
            "body": {"B": part},
            "ttl": {"N": str(ttl)},
        }
        for number, part in enumerate(parts)
    ]


def _body(item: Mapping[str, Any]) -> bytes:
    return bytes(item["body"]["B"])
