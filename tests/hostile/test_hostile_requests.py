"""Whatever is asked for, and however: it is sent, refused or left whole; its neighbours are sent."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st
from tests.hostile.functions import Functions, with_functions
from tests.hostile.strategies import MANY, SECRET, TEXTS, VALUES, as_lambda_reads, written
from tests.simulation.dynamodb import TRACKING
from tests.support.cloud import queue_event, request_event

from engine.delivery.lanes import InvocationFailedError
from engine.errors import EngineError
from engine.requests.email_job import UnreadableRecordError, email_id
from engine.schemas.request import Attachment, EmailRequest, SenderOverride, Unsubscribe
from engine.schemas.retry import RetryMessage

FIRST, LAST = "first@example.com", "last@example.com"
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def names_of(kind: type[msgspec.Struct]) -> st.SearchStrategy[str]:
    return st.sampled_from([field.encode_name for field in msgspec.structs.fields(kind)]) | TEXTS


def bent(kind: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(names_of(kind), VALUES, max_size=4)


_PARTS = {
    "to": TEXTS,
    "cc": st.lists(TEXTS, max_size=4),
    "bcc": st.lists(TEXTS, max_size=4),
    "replyTo": st.lists(TEXTS, max_size=12),
    "templateData": st.dictionaries(TEXTS, VALUES, max_size=4),
    "headers": st.dictionaries(TEXTS | st.sampled_from(["X-A", "x-a", "From", "Subject"]), TEXTS, max_size=4),
    "attachments": st.lists(bent(Attachment), max_size=3),
    "senderOverride": bent(SenderOverride),
    "unsubscribe": bent(Unsubscribe),
    "tags": st.dictionaries(TEXTS, TEXTS, max_size=4),
    "metadata": st.dictionaries(TEXTS, TEXTS, max_size=4),
    "idempotencyKey": TEXTS,
    "priority": st.sampled_from(["bulk", "transactional", "urgent"]),
    "dryRun": st.booleans(),
    "templateName": TEXTS | st.just("welcome"),
}
# Right types with hostile content come further than wrong ones; so do good requests with one bad field.
DETAILS = (
    VALUES
    | bent(EmailRequest)
    | st.fixed_dictionaries({}, optional=_PARTS).map(
        {"to": "h@example.com", "templateName": "welcome", "templateData": {"name": "Eve"}}.__or__
    )
)
EVENTS = st.builds(
    lambda detail, changes: request_event() | {"detail": detail} | changes,
    DETAILS,
    st.dictionaries(st.sampled_from(["id", "source", "time", "detail-type", "account"]), VALUES, max_size=1),
)
RETRIES = st.builds(
    lambda detail, attempt, history, changes: {
        "originalEmailData": {"to": "h@example.com", "templateName": "welcome", "originalEmailId": "e-1"}
        | (detail if isinstance(detail, dict) else {})
        | changes,
        "retryAttempt": attempt,
        "bounceHistory": history,
    },
    DETAILS,
    st.just(1) | VALUES,
    st.just([]) | VALUES,
    st.dictionaries(st.sampled_from(["originalEmailId", "originalSource"]), TEXTS, max_size=1),
)
RECORDS = st.one_of(
    EVENTS, RETRIES, EVENTS.map(lambda event: {"requestPayload": event}), bent(RetryMessage), VALUES
)
BODIES = RECORDS.map(written) | TEXTS | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1"))


def told(functions: Functions) -> str:
    return repr(functions.telemetry.events)


def header_values(functions: Functions) -> Iterator[str]:
    """All that ends up in the header of an email."""
    for request in functions.service.sent:
        yield request["FromEmailAddress"]
        yield from request.get("ReplyToAddresses", ())
        entry = request["BulkEmailEntries"][0] if "BulkEmailEntries" in request else request
        for addresses in entry["Destination"].values():
            yield from addresses
        if "Content" in request:
            content = request["Content"]["Simple"]
            yield content["Subject"]["Data"]
            pairs = content.get("Headers", ())
            for file in content.get("Attachments", ()):
                yield from (file["FileName"], file["ContentType"], file.get("ContentId", ""))
        else:
            data = entry["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"]
            yield json.loads(data)["subject"]
            pairs = entry.get("ReplacementHeaders", ())
        for pair in pairs:
            yield from pair.values()


def unharmed(functions: Functions) -> None:
    """What holds whatever came in."""
    assert "bug" not in functions.telemetry.names, told(functions)
    assert SECRET not in told(functions)
    assert "@" not in told(functions)
    assert [value for value in header_values(functions) if CONTROL.search(value)] == []


def sent_beside(body: str) -> bool:
    """Whether the record in the middle of a batch was left in its queue, when all else has been seen to."""

    async def story(functions: Functions) -> bool:
        bodies = [request_event(to=FIRST), body, request_event(to=LAST)]
        answer = await functions.send(queue_event(*bodies))
        unharmed(functions)
        left = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
        assert left in ([], ["message-1"])
        assert [functions.recipients.count(address) for address in (FIRST, LAST)] == [1, 1]
        return bool(left)

    return with_functions(story)


def settled(event: object) -> Any:
    """What the direct lane answers: a status, that the mail waits, or an error of ours."""

    async def story(functions: Functions) -> Any:
        answer = await functions.send(event)
        unharmed(functions)
        assert isinstance(answer, UnreadableRecordError | InvocationFailedError) or "status" in answer
        assert not isinstance(answer, EngineError) or (SECRET not in str(answer) and "@" not in str(answer))
        return answer

    return with_functions(story)


@given(BODIES)
@MANY
def test_no_record_of_a_queue_harms_its_neighbours(body: str) -> None:
    sent_beside(body)


# The examples are what was found and mended.
@given(EVENTS.map(written) | VALUES.map(written))
@example("null")
@example('{"\\ud800": null}')
@example('{"Records": [{"body": 1}]}')
@MANY
def test_no_event_is_left_without_an_answer(text: str) -> None:
    try:
        event = as_lambda_reads(text)
    except (ValueError, RecursionError):
        return  # the runtime's own refusal: the function never sees it
    settled(event)


def test_an_event_that_waits_takes_no_more_room_than_it_came_with() -> None:
    """The retry queue takes no message larger than the events of the bus."""
    event = request_event(templateData={"name": "Eve", "values": [1] * 300_000})

    async def story(functions: Functions) -> None:
        functions.put(
            TRACKING, email_id("shop", event["id"]), {"emailId": {"S": "x"}, "status": {"S": "weird"}}
        )
        answer = await functions.send(event)
        assert answer["status"] == "deferred"
        (body,) = functions.service.queued
        assert body == json.dumps(event, separators=(",", ":"))

    with_functions(story)
