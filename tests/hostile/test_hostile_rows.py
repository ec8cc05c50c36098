"""Rows of another hand, with any attribute of any type: mail goes out, is refused, or waits; never a bug."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from tests.hostile.functions import Functions, sent_row, with_functions
from tests.hostile.strategies import FEW, MANY, SECRET
from tests.simulation.dynamodb import STATE, SUPPRESSION, TRACKING
from tests.support.cloud import queue_event, request_event, sns_event
from tests.support.ses_examples import bounce, event, text

from engine.aws.dynamodb import to_item
from engine.requests.email_job import email_id
from engine.schemas.rows import SuppressionRow, TrackingRow

FIRST, MET, LAST = "first@example.com", "met@example.com", "last@example.com"
MET_ID = email_id("shop", "met")
TEXT = st.text(max_size=8) | st.sampled_from(
    [
        "",
        "sending",
        "sent",
        "failed",
        "bounced",
        "weird",
        f"{SECRET}@b.example",
        "2026-11-24T08:00:00Z",
        "long",
    ]
).map(lambda text: SECRET * 9000 if text == "long" else text)
NUMBER = st.sampled_from(["0", "1", "-1", "1.5", "1E+125", "-9.9E+125", "1E-130", "9" * 38, "1764000000"])
VALUE: st.SearchStrategy[dict[str, Any]] = st.recursive(
    TEXT.map(lambda value: {"S": value})
    | NUMBER.map(lambda value: {"N": value})
    | st.binary(max_size=40).map(lambda value: {"B": value})
    | st.booleans().map(lambda value: {"BOOL": value})
    | st.just({"NULL": True})
    | st.sets(TEXT.filter(bool), min_size=1, max_size=3).map(lambda values: {"SS": sorted(values)})
    | st.sets(NUMBER, min_size=1, max_size=3).map(lambda values: {"NS": sorted(values)}),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda values: {"L": values})
        | st.dictionaries(TEXT.filter(bool), inner, max_size=3).map(lambda values: {"M": values})
    ),
    max_leaves=4,
)


def items_of(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), VALUE, max_size=4)


TRACKED = items_of(tuple(set(TrackingRow.__struct_encode_fields__) - {"emailId"}))
SUPPRESSED = items_of(tuple(set(SuppressionRow.__struct_encode_fields__) - {"email"}))
COUNTERS = items_of(("sends", "bounces", "ttl"))
NOW = 1_795_507_200  # epoch seconds, about when the history begins
RATE = st.dictionaries(
    st.sampled_from(["until", "bulkDue", "rateFactor", "throttledAt", "rate", "rateAt", "ttl"]),
    NUMBER.map(lambda value: {"N": value})
    | st.sampled_from([{"N": str(NOW)}, {"N": str(NOW * 1_000_000)}, {"N": "0.05"}])
    | VALUE,
    max_size=4,
)
PAYLOADS = items_of(("part", "parts", "body", "ttl"))


def quiet(functions: Functions) -> None:
    told = repr(functions.telemetry.events)
    assert "bug" not in functions.telemetry.names, told
    assert SECRET not in told
    assert "@" not in told
    problems = [fields["problem"] for name, fields in functions.telemetry.events if name == "feedback-failed"]
    assert [problem for problem in problems if " at " in str(problem)] == []


def batch(functions: Functions, **detail: Any) -> Any:
    middle = request_event(event_id="met", to=MET, **detail)
    return functions.send(queue_event(request_event(to=FIRST), middle, request_event(to=LAST)))


# The examples are what was found and mended.
@given(st.none() | TRACKED, SUPPRESSED)
@example({"status": {"S": "weird"}}, {})
@example({"status": {"L": []}}, {})
@MANY
def test_a_row_about_one_email_stops_no_other(
    tracked: dict[str, Any] | None, suppressed: dict[str, Any]
) -> None:
    async def story(functions: Functions) -> None:
        if tracked is not None:
            functions.put(TRACKING, MET_ID, {"emailId": {"S": MET_ID}, **tracked})
        if suppressed:
            functions.put(SUPPRESSION, MET, {"email": {"S": MET}, **suppressed})
        answer = await batch(functions)
        quiet(functions)
        assert [functions.recipients.count(address) for address in (FIRST, LAST)] == [1, 1]
        assert {one["itemIdentifier"] for one in answer["batchItemFailures"]} <= {"message-1"}
        if suppressed:
            assert MET not in functions.recipients

    with_functions(story)


@example([{"sends": {"L": []}}], {}, "bulk")
@example([{"bounces": {"N": "1.5"}}], {}, "bulk")
@example([], {"rate": {"N": "1E-130"}, "rateAt": {"N": "9" * 38}}, "bulk")
@example([], {"rate": {"N": "-9.9E+125"}, "rateAt": {"N": str(NOW)}}, "transactional")
@example([], {"rateFactor": {"N": "0"}, "throttledAt": {"N": "9" * 38}}, "transactional")
@given(st.lists(COUNTERS, max_size=4), RATE, st.sampled_from(["bulk", "transactional"]))
@FEW
def test_shared_items_may_slow_mail_down_but_break_nothing(
    counters: list[dict[str, Any]], rate: dict[str, Any], priority: str
) -> None:
    async def story(functions: Functions) -> None:
        for shard, counter in enumerate(counters):
            key = f"quota#2026-11-24#{shard}"
            functions.put(STATE, key, {"pk": {"S": key}, **counter})
        if rate:
            functions.put(STATE, "rate#line", {"pk": {"S": "rate#line"}, **rate})
        answer = await batch(functions, priority=priority)
        quiet(functions)
        held = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
        assert len(held) + len(functions.statuses) == 3

    with_functions(story)


@example({}, {}, {"a": {"L": []}}, "soft")
@example({"campaign": {"S": f"{SECRET}@b.example"}}, {}, {}, "Bounce")
@example({"lane": {"S": f"{SECRET}@b.example"}}, {}, {}, "Open")
@given(TRACKED, PAYLOADS, items_of(("a", "b", "ttl", MET_ID)), st.sampled_from(["Bounce", "soft", "Open"]))
@MANY
def test_a_report_about_an_odd_row_is_handled_or_left_with_a_reason(
    tracked: dict[str, Any], payload: dict[str, Any], bounces: dict[str, Any], kind: str
) -> None:
    async def story(functions: Functions) -> None:
        functions.put(TRACKING, MET_ID, {**to_item(sent_row(MET_ID, MET)), **tracked})
        functions.put(STATE, "payload#c", {"pk": {"S": "payload#c"}, **payload})
        functions.put(STATE, f"soft-bounces#{MET}", {"pk": {"S": f"soft-bounces#{MET}"}, **bounces})
        about = {"mail_destination": [MET], "mail_tags": {"emailId": [MET_ID]}}
        said = bounce("Transient", "MailboxFull", to=MET, **about) if kind == "soft" else event(kind, **about)
        await functions.report(sns_event(text(said)))
        quiet(functions)

    with_functions(story)
