"""A request lies in its tracking row where that costs no second write unit, and comes back as it was."""

import zlib
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from engine.schemas.request import Attachment, EmailRequest, SenderOverride
from engine.schemas.rows import TrackingRow
from engine.schemas.times import iso
from engine.tracking.kept_request import WRITE_UNIT, item_size, keep_beside, kept_request

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
ROW = TrackingRow(
    email_id="9b2f3c1e-5d1a-5f0e-8f57-2f0f3a1b7c4d",
    to_email="ada@example.com",
    timestamp=iso(NOW),
    date_partition="2026-11-24",
    original_email_id="9b2f3c1e-5d1a-5f0e-8f57-2f0f3a1b7c4d",
    original_source="com.example.shop",
    template_name="welcome",
    ttl=int(NOW.timestamp()) + 7_776_000,
    claim_id="0123456789abcdef0123456789abcdef",
    lease_until=NOW.timestamp() + 35.123456,
    request_hash="0123456789abcdef0123456789abcdef",
    metadata={"orderId": "1042"},
    idempotency_key="order-1042",
    campaign="spring",
    lane="bulk",
)
REQUEST = EmailRequest(
    to="Ada@Example.com",
    template_name="welcome",
    template_data={"userName": "Ädä", "orders": [{"total": 9.5, "paid": True, "coupon": None}]},
    sender_override=SenderOverride(email="shop@example.com"),
    idempotency_key="order-1042",
    priority="bulk",
    cc=["bob@example.com"],
    headers={"X-Order": "1042"},
    metadata={"orderId": "1042"},
    campaign="spring",
    topic="offers",
    expires_at=NOW + timedelta(hours=2),
)


def of_size(size: int) -> EmailRequest:
    """A request that grows with `size`, for no compression helps it much."""
    noise = Random(1).randbytes(size).hex()  # noqa: S311 - bytes, not secrets
    return EmailRequest(to="a@b.c", template_name="t", template_data={"x": noise})


def fields(request: EmailRequest | None) -> dict[str, Any]:
    """Field by field: it comes back as a type that tolerates more."""
    assert request is not None
    return asdict(request)


def test_a_request_comes_back_as_it_was() -> None:
    row = keep_beside(ROW, REQUEST)
    assert row is not None
    assert replace(row, kept_request=None) == ROW
    assert fields(kept_request(row)) == fields(REQUEST)


def test_a_request_is_kept_while_the_row_stays_within_a_write_unit_once_the_send_is_recorded() -> None:
    largest = max(size for size in range(500) if keep_beside(ROW, of_size(size)))
    row = keep_beside(ROW, of_size(largest))
    assert row is not None
    recorded = replace(
        row,
        status="sent",
        status_rank=1,
        lease_until=None,
        ses_message_id="0" * 60,
        sent_at=iso(NOW),
        template_version="0" * 16,
    )
    assert WRITE_UNIT - 40 < item_size(recorded) <= WRITE_UNIT
    assert keep_beside(ROW, of_size(largest + 20)) is None


def test_a_row_that_is_full_already_takes_no_request() -> None:
    assert keep_beside(replace(ROW, metadata={"note": "x" * 600}), of_size(0)) is None


def test_an_attachment_does_not_fit_however_well_it_compresses() -> None:
    file = Attachment(file_name="a.txt", content_type="text/plain", content="A" * 1_000_000)
    assert keep_beside(ROW, replace(REQUEST, attachments=[file])) is None


def test_a_row_without_a_request_has_none() -> None:
    assert kept_request(ROW) is None


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"no zlib",
        zlib.compress(b"no JSON"),
        zlib.compress(b'{"to": 7}'),
        zlib.compress(b'{"to": "\xff", "templateName": "t"}'),
    ],
)
def test_a_kept_request_that_can_not_be_read_is_none(kept: bytes) -> None:
    assert kept_request(replace(ROW, kept_request=kept)) is None


def test_what_a_newer_version_kept_is_read_without_what_it_added() -> None:
    body = msgspec.to_builtins(REQUEST) | {"sendAt": "2030-01-01T00:00:00Z"}
    row = replace(ROW, kept_request=zlib.compress(msgspec.json.encode(body)))
    assert fields(kept_request(row)) == fields(REQUEST)


@pytest.mark.parametrize(
    ("change", "more"),
    [
        ({"ses_message_id": "é"}, len("sesMessageId") + 2),
        ({"kept_request": b"123"}, len("keptRequest") + 3),
        ({"moves": frozenset({"ab", "c"})}, 3),
        ({"tags": {"k": "vv"}}, 1 + 1 + 2),
    ],
)
def test_an_item_is_as_large_as_its_names_and_values(change: dict[str, Any], more: int) -> None:
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    row = TrackingRow(email_id="e1")
    assert item_size(replace(row, **change)) - item_size(row) == more


@given(st.integers(0, 10**15))
def test_a_number_takes_a_byte_for_two_digits_and_one_more(number: int) -> None:
    row = TrackingRow(email_id="e1")
    size = item_size(replace(row, ttl=number)) - item_size(row) - len("ttl")
    assert (len(str(number)) + 1) // 2 + 1 <= size <= (len(str(number)) + 1) // 2 + 2
