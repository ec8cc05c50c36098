"""Rows as DynamoDB items and back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.aws.dynamodb import attribute, from_item, plain, to_item
from engine.errors import ServiceUnavailable
from engine.schemas.rows import SuppressionRow, TrackingRow

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
rows = st.builds(
    TrackingRow,
    email_id=texts,
    to_email=texts,
    status_rank=st.integers(0, 6),
    retry_attempt=st.integers(0, 10),
    ttl=st.none() | st.integers(0, 2**40),
    lease_until=st.none() | st.floats(1e9, 4e9),
    metadata=st.dictionaries(texts, texts, max_size=3),
    moves=st.frozensets(texts, max_size=3),
    failure_reason=st.none() | texts,
    kept_request=st.none() | st.binary(max_size=20),
)


@given(rows)
def test_every_row_comes_back_as_it_was(row: TrackingRow) -> None:
    assert from_item(to_item(row), TrackingRow) == row


@given(st.floats(1e9, 4e9))
def test_a_lease_keeps_every_digit(lease: float) -> None:
    """Or the condition on the lease that was seen would never hold."""
    assert plain(attribute(lease)) == lease


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", {"S": "text"}),
        (7, {"N": "7"}),
        (1.5, {"N": "1.5"}),
        (b"bytes", {"B": b"bytes"}),
        (frozenset({"a"}), {"SS": ["a"]}),
        ({"a": {"b": "c"}}, {"M": {"a": {"M": {"b": {"S": "c"}}}}}),
    ],
)
def test_a_value_is_written_in_dynamodbs_notation_and_read_back(value: object, expected: Any) -> None:
    assert attribute(value) == expected
    assert plain(expected) == value


def test_what_is_not_set_is_left_out_of_the_item() -> None:
    """DynamoDB refuses an empty set and a null in a key of an index."""
    item = to_item(TrackingRow(email_id="e1"))
    assert {"sesMessageId", "moves", "ttl", "leaseUntil"}.isdisjoint(item)


def test_attributes_of_others_and_nulls_are_passed_over() -> None:
    item = {
        "email": {"S": "ada@example.com"},
        "reason": {"NULL": True},
        "addedBy": {"M": {"name": {"S": "Bob"}, "team": {"NULL": True}}},
        "history": {"L": [{"N": "1"}, {"BOOL": False}]},
    }
    assert from_item(item, SuppressionRow) == SuppressionRow(email="ada@example.com")


def test_a_whole_number_does_where_the_row_has_a_fraction_and_the_other_way_round() -> None:
    """DynamoDB gives 35.0 back as 35; another hand may have written a rank as text."""
    item = {"emailId": {"S": "e1"}, "leaseUntil": {"N": "35"}, "statusRank": {"S": "3"}}
    row = from_item(item, TrackingRow)
    assert (row.lease_until, row.status_rank) == (35.0, 3)


def test_an_attribute_of_a_wrong_type_is_passed_over() -> None:
    item = {
        "emailId": {"S": "e1"},
        "toEmail": {"S": "a@b.example"},
        "ttl": {"S": "x"},
        "metadata": {"N": "1"},
    }
    assert from_item(item, TrackingRow) == TrackingRow(email_id="e1", to_email="a@b.example")


def test_a_row_whose_key_cannot_be_read_is_a_service_that_is_away() -> None:
    with pytest.raises(ServiceUnavailable, match="TrackingRow that cannot be read"):
        from_item({"emailId": {"N": "1"}}, TrackingRow)
