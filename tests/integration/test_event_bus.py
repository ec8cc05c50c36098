"""Events to the bus: ten a call, tried again one by one, and none that failed goes unsaid."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from tests.support.cloud import Cloud
from tests.support.real_clients import opened

from engine.aws.event_bus import BYTES, ENTRIES, LeftEntry, StatusBus, batched_by_size, entry_size, put_events
from engine.errors import ServiceUnavailable
from engine.schemas.operator_action import OperatorAction
from engine.schemas.status import EmailStatusChanged, Reason

if TYPE_CHECKING:
    from types_aiobotocore_events.type_defs import PutEventsRequestEntryTypeDef as Entry

EVENT = EmailStatusChanged(
    email_id="e1",
    original_email_id="e1",
    to="ada@example.com",
    template_name="welcome",
    campaign="spring",
    status="failed",
    previous_status="sending",
    reason=Reason(code="suppressed", message="the recipient has been suppressed"),
    ses_message_id=None,
    original_source="shop",
    retry_attempt=0,
    timestamp="2026-11-24T08:00:00.000Z",
    metadata={"orderId": "1042"},
    tags={"kind": "news"},
)


def entries(count: int, detail: str = "{}") -> "list[Entry]":
    return [{"Source": f"s{number}", "DetailType": "d", "Detail": detail} for number in range(count)]


class Picky:
    """Refuses each entry as often as `refusals` says for its source, and whole calls that hold `poison`."""

    def __init__(self, refusals: dict[str, int] | None = None, poison: str | None = None) -> None:
        self._refusals = refusals or {}
        self._poison = poison
        self.calls: list[list[str]] = []

    async def put_events(self, *, Entries: Any) -> dict[str, Any]:
        sources = [entry["Source"] for entry in Entries]
        self.calls.append(sources)
        if self._poison in sources:
            raise ClientError({"Error": {"Code": "ValidationException", "Message": "too large"}}, "PutEvents")
        results = [self._answer(source) for source in sources]
        return {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}

    def _answer(self, source: str) -> dict[str, str]:
        if self._refusals.get(source, 0) <= 0:
            return {"EventId": "id"}
        self._refusals[source] -= 1
        return {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}


def picky(refusals: dict[str, int] | None = None, poison: str | None = None) -> Any:
    return Picky(refusals, poison)


# -- batches -------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 2 * BYTES), max_size=40))
def test_batches_hold_every_entry_in_order_and_fit_into_a_call(sizes: list[int]) -> None:
    batches = list(batched_by_size(sizes))
    assert [index for batch in batches for index in batch] == list(range(len(sizes)))
    for batch in batches:
        assert 1 <= len(batch) <= ENTRIES
        assert len(batch) == 1 or sum(sizes[index] for index in batch) <= BYTES


@pytest.mark.parametrize(
    ("sizes", "batches"),
    [
        ([], []),
        ([1] * 11, [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [10]]),
        ([BYTES // 2, BYTES // 2, 1], [[0, 1], [2]]),
        ([1, BYTES + 1, 1], [[0], [1], [2]]),
    ],
)
def test_a_batch_is_full_at_ten_entries_or_by_bytes(sizes: Sequence[int], batches: list[list[int]]) -> None:
    assert list(batched_by_size(sizes)) == batches


def test_the_size_of_an_entry_counts_bytes_not_characters() -> None:
    assert entry_size({"Source": "é", "DetailType": "ab", "Detail": "€"}) == 2 + 2 + 3
    assert entry_size({"Detail": "abc", "EventBusName": "not counted"}) == 3


# -- answers -------------------------------------------------------------------------------------------------


async def test_entries_go_ten_a_call() -> None:
    client = picky()
    assert await put_events(client, entries(23)) == []
    assert [len(call) for call in client.calls] == [10, 10, 3]


async def test_large_entries_go_in_more_calls() -> None:
    client = picky()
    assert await put_events(client, entries(5, detail="x" * 100_000)) == []
    assert client.calls == [["s0", "s1"], ["s2", "s3"], ["s4"]]


async def test_only_the_entries_that_were_left_are_sent_again() -> None:
    client = picky({"s1": 1, "s3": 2})
    assert await put_events(client, entries(5)) == []
    assert client.calls == [["s0", "s1", "s2", "s3", "s4"], ["s1", "s3"], ["s3"]]


async def test_entries_that_are_left_after_three_tries_are_named_in_order() -> None:
    client = picky({"s12": 99, "s3": 99})
    left = await put_events(client, entries(15))
    assert left == [
        LeftEntry(3, "ThrottlingException", "slow down"),
        LeftEntry(12, "ThrottlingException", "slow down"),
    ]
    assert len(client.calls) == 2 * 3


async def test_a_call_that_fails_is_told_for_its_entries_and_the_others_are_taken() -> None:
    left = await put_events(picky(poison="s11"), entries(23))
    assert [(entry.index, entry.code) for entry in left] == [(n, "ServiceUnavailable") for n in range(10, 20)]
    assert left[0].message == "EventBridge PutEvents answered ValidationException"


async def test_a_call_that_fails_at_the_second_try_leaves_only_what_it_asked_for() -> None:
    class Breaks(Picky):
        async def put_events(self, *, Entries: Any) -> dict[str, Any]:
            if self.calls:
                raise ConnectionResetError
            return await super().put_events(Entries=Entries)

    client: Any = Breaks({"s1": 1})
    left = await put_events(client, entries(3))
    assert [(entry.index, entry.code) for entry in left] == [(1, "ServiceUnavailable")]


# -- status events -------------------------------------------------------------------------------------------


async def test_a_status_event_arrives_as_the_contract_says(cloud: Cloud) -> None:
    async with opened("events", cloud.endpoint) as client:
        await StatusBus(client, cloud.bus).publish([EVENT])
    (event,) = map(json.loads, cloud.messages(cloud._status_queue))
    assert (event["source"], event["detail-type"]) == ("sesmailengine", "Email Status Changed")
    assert event["detail"] == {
        "emailId": "e1",
        "originalEmailId": "e1",
        "to": "ada@example.com",
        "templateName": "welcome",
        "campaign": "spring",
        "status": "failed",
        "previousStatus": "sending",
        "reason": {"code": "suppressed", "message": "the recipient has been suppressed"},
        "sesMessageId": None,
        "originalSource": "shop",
        "retryAttempt": 0,
        "timestamp": "2026-11-24T08:00:00.000Z",
        "metadata": {"orderId": "1042"},
        "tags": {"kind": "news"},
    }


async def test_an_operator_action_arrives_as_the_contract_says(cloud: Cloud) -> None:
    action = OperatorAction(
        action="stop", scope="bulk", because="wrong price", by="ops", timestamp="2026-11-24T08:00:00.000Z"
    )
    async with opened("events", cloud.endpoint) as client:
        await StatusBus(client, cloud.bus).tell(action)
    (event,) = map(json.loads, cloud.messages(cloud._status_queue))
    assert (event["source"], event["detail-type"]) == ("sesmailengine", "Operator Action")
    assert event["detail"] == {
        "action": "stop",
        "scope": "bulk",
        "because": "wrong price",
        "by": "ops",
        "timestamp": "2026-11-24T08:00:00.000Z",
    }


async def test_an_event_that_was_not_taken_fails_the_publishing_and_its_code_says_why() -> None:
    """EventBridge's message stays out of it, for this one is logged and that one may quote the event."""
    client = picky({"sesmailengine": 99})
    with pytest.raises(ServiceUnavailable, match=r"left 2 of 2 events \(ThrottlingException\)$"):
        await StatusBus(client, "bus").publish([EVENT, EVENT])


async def test_a_call_that_failed_is_named_with_its_code() -> None:
    client = picky(poison="sesmailengine")
    with pytest.raises(ServiceUnavailable, match=r"\(EventBridge PutEvents answered ValidationException\)$"):
        await StatusBus(client, "bus").publish([EVENT])


async def test_to_publish_nothing_makes_no_call() -> None:
    client = picky()
    await StatusBus(client, "bus").publish([])
    assert client.calls == []
