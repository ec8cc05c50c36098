"""An email's request in its own tracking row, for a soft-bounce retry: no write of its own where it fits.

DynamoDB bills a write by the whole item, in units of 1 KB, and a row leaves half a unit free. What does not
fit is kept apart (`Payloads`), so that a status update does not pay for it.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

import zlib
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from engine.schemas.request import EmailRequest
from engine.schemas.rows import TrackingRow

WRITE_UNIT: Final = 1024  # bytes
# The record of the send adds sesMessageId (60 characters), sentAt and templateVersion (16), and must not need
# a second unit either.
_ADDED_BY_RECORD: Final = 133
# No request that is larger than this comes down to what a row has left, so none is compressed in vain.
_LARGEST: Final = 8 * WRITE_UNIT


class KeptRequest(
    EmailRequest, frozen=True, kw_only=True, forbid_unknown_fields=False, omit_defaults=True, rename="camel"
):
    """A request that was accepted once: one kept by a newer version must still be read."""


# What one invocation is given comes to 6 MB at most; behind a small text another hand may hide any size.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_LARGEST_INFLATED: Final = 16_000_000  # bytes

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(KeptRequest)


def keep_beside(row: TrackingRow, request: EmailRequest) -> TrackingRow | None:
    """The row with the request in it; None where that would cost a second write unit."""
    request = replace(request, metadata={}, tags={}, idempotency_key=None, campaign=None)  # in the row
    encoded = _encoder.encode(msgspec.convert(request, KeptRequest, from_attributes=True))
    if len(encoded) > _LARGEST:
        return None
    kept = replace(row, kept_request=zlib.compress(encoded))
    return kept if item_size(kept) + _ADDED_BY_RECORD <= WRITE_UNIT else None


def kept_request(row: TrackingRow) -> EmailRequest | None:
    """The request in the row; None where there is none that can be read."""
    if row.kept_request is None:
        return None
    try:
        request = _decoder.decode(inflated(row.kept_request))
    except UNREADABLE:
        return None
    return replace(
        request,
        metadata=row.metadata,
        tags=row.tags,
        idempotency_key=row.idempotency_key,
        campaign=row.campaign,
    )


UNREADABLE: Final = (zlib.error, ValueError, RecursionError)
"""What reading a kept request raises where another hand wrote it; msgspec's errors are ValueErrors."""


def inflated(compressed: bytes) -> bytes:
    """What was compressed, as far as it is no larger than a kept request can be. Raises zlib.error."""
    return zlib.decompressobj().decompress(compressed, _LARGEST_INFLATED)


def item_size(row: TrackingRow) -> int:
    """Bytes that the row takes as an item: names and values. DynamoDB counts at most as many."""
    fields = zip(row.__struct_encode_fields__, row.__struct_fields__, strict=True)
    values = {name: getattr(row, field) for name, field in fields}
    return sum(len(name) + _size(value) for name, value in values.items() if value is not None)


def _size(value: object) -> int:
    match value:
        case str():
            return len(value.encode())
        case bytes():
            return len(value)
        case Mapping():
            return 3 + sum(1 + _size(key) + _size(item) for key, item in value.items())
        case frozenset():
            return sum(map(_size, value))
        case _:  # a number: a byte for two digits, and one
            return 2 + len(repr(value)) // 2
