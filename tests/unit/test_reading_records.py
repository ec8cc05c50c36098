"""A queue record is read in one go where it can be; it must mean what the same event from a rule means."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.cloud import request_event

from engine.requests.email_job import UnreadableRecordError, from_event, read_body, read_event
from engine.schemas.envelopes import EventBridgeEvent
from engine.schemas.request import EmailRequest

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


def by_queue(event: dict[str, Any]) -> Any:
    asked = read_body(json.dumps(event))
    assert isinstance(asked, EventBridgeEvent)
    return from_event(asked, NOW)


@pytest.mark.parametrize(
    "detail",
    [
        {},
        {"priority": "bulk", "tags": {"a": "b"}, "metadata": {"c": "d"}, "idempotencyKey": "k"},
        {"cc": ["bob@example.com"], "dryRun": True, "senderOverride": {"email": "a@shop.example"}},
        {"templateData": {"n": 1, "f": 1.5, "nested": [{"deep": None}], "text": "ünï\u2028"}},
        {"to": "nobody"},
        {"to": 3},
        {"unknown": True},
        {"templateName": "../etc"},
        {"idempotencyKey": ""},
        {"priority": "urgent", "metadata": {"kept": "yes"}, "tags": {"kept": "too"}},
    ],
)
def test_an_event_means_the_same_from_a_queue_and_from_a_rule(detail: dict[str, Any]) -> None:
    event = request_event(event_id="event-1", **detail)
    assert by_queue(event) == from_event(read_event(event), NOW)


@pytest.mark.parametrize("detail", [None, [], "text", 3])
def test_a_detail_that_is_no_object_is_refused_alike(detail: object) -> None:
    event = request_event(event_id="event-1") | {"detail": detail}
    assert by_queue(event) == from_event(read_event(event), NOW)


def test_a_request_from_a_queue_is_read_in_one_go() -> None:
    """Its detail is a request already, with no dicts on the way."""
    asked = read_body(json.dumps(request_event()))
    assert isinstance(asked, EventBridgeEvent)
    assert isinstance(asked.detail, EmailRequest)


@pytest.mark.parametrize("data", [None, 3, {}])
def test_what_holds_the_data_of_a_retry_is_no_event_however_much_it_looks_like_one(data: object) -> None:
    with pytest.raises(UnreadableRecordError, match="nor a retry message"):
        read_body(json.dumps(request_event() | {"originalEmailData": data}))


def test_a_good_request_of_another_detail_type_is_unreadable() -> None:
    """A rule that matches too much must not start a loop."""
    with pytest.raises(UnreadableRecordError, match="another detail-type"):
        read_body(json.dumps(request_event() | {"detail-type": "Email Status Changed"}))


def test_a_request_that_was_read_and_is_refused_after_all_keeps_its_address_and_its_key() -> None:
    """Text that is no valid Unicode: JSON can't carry it here, a future reader of records might."""
    detail: dict[str, Any] = {
        "idempotencyKey": "key-1",
        "metadata": {"order": "7"},
        "templateData": {"name": "\ud800"},
    }
    event = request_event(event_id="event-1", **detail)
    request = EmailRequest(
        to="ada@example.com",
        template_name="welcome",
        idempotency_key="key-1",
        metadata={"order": "7"},
        template_data={"name": "\ud800"},
    )
    told = from_event(EventBridgeEvent(id="event-1", source="shop", detail=request), NOW)
    usual = from_event(read_event(event), NOW)
    assert told.refusal == usual.refusal is not None
    assert (told.email_id, told.to, told.metadata) == (usual.email_id, usual.to, usual.metadata)
