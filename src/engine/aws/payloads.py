"""Requests kept for a soft-bounce retry that don't fit into their tracking rows, in the State table.

They are compressed, and gone after four days: SES gives up on a delivery after 14 hours at the latest. What
one invocation claimed lies together in one item, `payload#<claim id>`: one write for the batch, and emails of
one campaign compress each other. Where they don't fit into one item, as with attachments, each email has its
own, `payload#<claim id>#<email id>`, in as many parts as it needs.
Source: https://docs.aws.amazon.com/ses/latest/dg/send-email-concepts-deliverability.html
"""

import zlib
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from engine.aws.dynamodb import chunks, from_item, get_items, put_items
from engine.aws.error_codes import service_errors
from engine.schemas.request import EmailRequest
from engine.tracking.kept_request import UNREADABLE, KeptRequest, inflated
from engine.types import Clock

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

_KEPT: Final = timedelta(days=4)
# An item holds 400 KB: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
_PART: Final = 380_000  # bytes


class _Part(Struct, frozen=True):
    """A part of what was kept; a request comes to three at most."""

    pk: str
    ttl: int = 0
    part: int = 0
    parts: Annotated[int, Meta(le=10)] = 1
    body: bytes = b""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(dict[str, KeptRequest])


class RequestPayloads:
    """Implements `Payloads`."""

    def __init__(self, client: "DynamoDBClient", table: str, clock: Clock) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    async def save(self, claim_id: str, requests: Mapping[str, EmailRequest]) -> None:
        items = self._items(f"payload#{claim_id}", requests)
        if len(items) > 1:
            items = [
                item
                for email_id, request in requests.items()
                for item in self._items(f"payload#{claim_id}#{email_id}", {email_id: request})
            ]
        await put_items(self._client, self._table, items)

    def _items(self, key: str, requests: Mapping[str, EmailRequest]) -> list[Any]:
        """One item, or several where one can't hold it: `<key>`, `<key>#1`, ..."""
        ttl = int((self._clock() + _KEPT).timestamp())
        parts = list(chunks(zlib.compress(_encoder.encode(dict(requests)), 1), _PART))
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

    async def read(self, claim_id: str, email_id: str) -> EmailRequest | None:
        together, alone = f"payload#{claim_id}", f"payload#{claim_id}#{email_id}"
        found = await self._read([together, alone])
        if not found:
            return None
        more = [f"{alone}#{part}" for part in range(1, found[0].parts)]
        parts = [found[0], *(await self._read(more))]
        if len(parts) <= len(more):
            return None  # the table has begun to expire them
        parts.sort(key=lambda item: item.part)
        try:
            return _decoder.decode(inflated(b"".join(part.body for part in parts))).get(email_id)
        except UNREADABLE:
            return None

    async def remove(self, claim_id: str, email_id: str) -> bool:
        """Forget the request of one email, of whose recipient nothing is to be kept; those beside it stay.

        Answers whether there was one.
        """
        together, alone = f"payload#{claim_id}", f"payload#{claim_id}#{email_id}"
        found = await self._read([together, alone])
        if not found:
            return False
        first = found[0]
        if first.pk == alone:
            numbers = range(first.parts)
            await self._delete([f"{alone}#{number}" if number else alone for number in numbers])
            return True
        try:
            requests = _decoder.decode(inflated(first.body))
        except UNREADABLE:
            return False
        if requests.pop(email_id, None) is None:
            return False
        if requests:
            left = [item | {"ttl": {"N": str(first.ttl)}} for item in self._items(together, requests)]
            await put_items(self._client, self._table, left)
        else:
            await self._delete([together])
        return True

    async def _delete(self, keys: list[str]) -> None:
        for key in keys:
            with service_errors("DynamoDB (State)"):
                await self._client.delete_item(TableName=self._table, Key={"pk": {"S": key}})

    async def _read(self, keys: list[str]) -> list[_Part]:
        found = await get_items(self._client, {self._table: [{"pk": key} for key in keys]})
        return [from_item(item, _Part) for item in found[self._table]]
