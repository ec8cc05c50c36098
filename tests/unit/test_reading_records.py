"""A queue record is read in one go where it can be; it must mean what the same event from a rule means."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.cloud import request_event
from tests.support.harness import Harness

from engine.requests.checks import MAX_DEPTH
from engine.requests.email_job import UnreadableRecordError, from_event, read_body, read_event, request_hash
from engine.schemas.envelopes import EventBridgeEvent
from engine.schemas.request import EmailRequest
from engine.templating.template import compile_template

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


@pytest.mark.parametrize("data", [None, 3, {}])
def test_what_holds_the_data_of_a_retry_is_no_event_however_much_it_looks_like_one(data: object) -> None:
    with pytest.raises(UnreadableRecordError, match="nor a retry message"):
        read_body(json.dumps(request_event() | {"originalEmailData": data}))


def test_a_good_request_of_another_detail_type_is_unreadable() -> None:
    """A rule that matches too much must not start a loop."""
    with pytest.raises(UnreadableRecordError, match="another detail-type"):
        read_body(json.dumps(request_event() | {"detail-type": "Email Status Changed"}))


_TEXTS = st.text(max_size=5) | st.sampled_from(["\ud800", "ada@example.com", "", "a" * 400])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)
_NAMES = st.sampled_from([field.encode_name for field in msgspec.structs.fields(EmailRequest)]) | _TEXTS


@given(
    _JSON | st.dictionaries(_NAMES, _JSON, max_size=4).map({"to": "a@b.example", "templateName": "w"}.__or__)
)
def test_whatever_the_detail_is_it_is_asked_for_or_refused_and_can_be_told(detail: object) -> None:
    job = from_event(read_event({"id": "event-1", "detail": detail}), NOW)
    assert (job.request is None) != (job.refusal is None)
    assert msgspec.json.encode(job)


def test_a_field_that_a_version_adds_changes_no_hash_of_a_request_without_it() -> None:
    """Mail that is held while the functions are upgraded would else be a conflict with itself."""

    class Later(EmailRequest, frozen=True, kw_only=True, rename="camel"):
        send_at: str | None = None

    asked = {"to": "ada@example.com", "templateName": "welcome"}
    assert request_hash(msgspec.convert(asked, Later)) == request_hash(msgspec.convert(asked, EmailRequest))


def test_a_time_in_another_zone_is_the_same_request() -> None:
    """Or an application that asks again after summer time has ended would meet a conflict."""
    hashes = {
        from_event(read_event(request_event(expiresAt=time)), NOW).request_hash
        for time in ("2026-11-25T12:00:00Z", "2026-11-25T13:00:00+01:00", "2026-11-25T12:00:00.000+00:00")
    }
    assert len(hashes) == 1


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 500, *range(940, 1000), 50_000])
def test_data_that_is_nested_too_deeply_is_refused(depth: int) -> None:
    """However much of the stack is left: reading takes less of it than to write the same again."""
    data: dict[str, Any] = {}
    for _ in range(depth):
        data = {"deeper": data}
    job = from_event(read_event(request_event(templateData=data)), NOW)
    assert job.refusal is not None
    assert job.refusal.message == "templateData: is nested too deeply; expected at most 100 levels"


@pytest.mark.parametrize("beyond", [0, 1])
async def test_data_may_be_nested_a_hundred_levels_and_no_more(beyond: int) -> None:
    data: Any = 1
    for _ in range(MAX_DEPTH + beyond):
        data = {"deeper": data}
    harness = Harness()
    harness.fake_aws.templates.templates["welcome"] = compile_template(
        "welcome", "x", None, b'{"subject": "x"}'
    )
    retry = {
        "to": "bob@example.com",
        "templateName": "welcome",
        "templateData": data,
        "originalEmailId": "e-1",
    }
    answer = await harness.deliver(
        request_event(templateData=data), {"originalEmailData": retry, "retryAttempt": 1}
    )
    assert len(harness.fake_aws.mailer.sent) == (0 if beyond else 2)
    # What a person put there has nobody to be told about it.
    assert len(answer.batch_item_failures) == beyond


def test_a_number_that_json_has_no_words_for_is_refused() -> None:
    """Python reads 1e999 as infinity, and writes what no other reader of JSON takes."""
    event = json.loads(json.dumps(request_event(templateData={"n": "N"})).replace('"N"', "1e999"))
    job = from_event(read_event(event), NOW)
    assert job.refusal is not None
    assert job.refusal.message == "templateData: holds a number beyond those of JSON, such as 1e999"


# -- brought back by hand ------------------------------------------------------------------------------------


def on_failure(payload: object) -> dict[str, Any]:
    """What Lambda hands to the on-failure destination of the sender."""
    return {
        "version": "1.0",
        "timestamp": "2026-11-24T08:05:12.000Z",
        "requestContext": {
            "requestId": "e4b46cbf-b738-xmpl-8880-a18cdf61200e",
            "functionArn": "arn:aws:lambda:eu-west-1:123456789012:function:sesmailengine-EmailSender:live",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": payload,
        "responseContext": {"statusCode": 200, "executedVersion": "7", "functionError": "Unhandled"},
        "responsePayload": {"errorMessage": "…", "errorType": "InvocationFailedError"},
    }


def test_an_on_failure_record_means_the_event_in_it() -> None:
    event = request_event(event_id="event-1", metadata={"order": "7"})
    assert by_queue(on_failure(event)) == by_queue(event)
    assert read_event(on_failure(event)) == read_event(event)


@pytest.mark.parametrize("payload", [None, "ada@example.com", [], {"to": "ada@example.com"}, on_failure({})])
def test_an_on_failure_record_of_anything_else_is_unreadable(payload: object) -> None:
    with pytest.raises(UnreadableRecordError, match="no EventBridge event") as caught:
        read_body(json.dumps(on_failure(payload)))
    assert "ada@" not in str(caught.value)


# -- what can't be tracked or told ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "odd",
    [
        {"time": "0001-01-01T00:00:00+23:59"},
        {"time": "9999-12-31T23:59:59-23:59"},
        {"time": "yesterday"},
        {"id": "\ud800"},
        {"source": "shop\udfff"},
    ],
    ids=repr,
)
def test_an_event_with_an_odd_envelope_is_unreadable(odd: dict[str, str]) -> None:
    with pytest.raises(UnreadableRecordError):
        read_event(request_event() | odd)
    with pytest.raises(UnreadableRecordError):
        read_body(json.dumps(request_event() | odd))


async def test_its_neighbours_in_the_batch_go_on() -> None:
    harness = Harness()
    odd = request_event() | {"time": "0001-01-01T00:00:00+23:59"}
    answer = await harness.deliver(request_event(), odd, request_event(to="bob@example.com"))
    assert [failure.item_identifier for failure in answer.batch_item_failures] == ["message-1"]
    assert len(harness.fake_aws.mailer.sent) == 2


def test_where_there_is_no_time_the_arrival_stands_in() -> None:
    event = request_event()
    del event["time"]
    assert from_event(read_event(event), NOW).requested_at == NOW


@pytest.mark.parametrize(
    "data",
    [
        {"senderOverride": {"email": "a@shop.example", "ada@example.com": 1}},
        {"senderOverride": {"email": "a@shop.example", "ada@example.com` - at `$.x": 1}},
        {"attachments": [{"ada@example.com": 1}]},
        {"priority": "ada@example.com"},
        {"metadata": {"ada@example.com": 1}},
        {"to": ["ada@example.com"]},
    ],
    ids=repr,
)
def test_what_is_wrong_with_a_retry_message_is_said_without_its_content(data: dict[str, Any]) -> None:
    """An unknown field's name may be an address as well as a value."""
    known = {"to": "ada@example.com", "templateName": "welcome", "originalEmailId": "e-1"}
    with pytest.raises(UnreadableRecordError, match=r"at `\$\.originalEmailData\.") as caught:
        read_body(json.dumps({"originalEmailData": known | data, "retryAttempt": 1}))
    assert "ada@" not in str(caught.value)


# -- whose email it is ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "key"),
    [
        ("Ada.Lovelace@Example.com", "ada.lovelace@example.com"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@XN--BCHER-KVA.example", "ada@xn--bcher-kva.example"),
        ("Ada@@Example.com", "ada@@example.com"),
        (7, ""),
    ],
)
def test_a_row_keeps_the_key_of_its_address_refused_or_not(to: object, key: str) -> None:
    assert from_event(read_event(request_event(to=to)), NOW).to == key
