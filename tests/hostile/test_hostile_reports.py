"""Whatever a topic or a person hands to the feedback processor: handled, or left whole with a reason."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.hostile.functions import Functions, sent_row, with_functions
from tests.hostile.strategies import MANY, SECRET, TEXTS, VALUES, as_lambda_reads, written
from tests.simulation.dynamodb import TRACKING
from tests.support.cloud import sns_event
from tests.support.ses_examples import EMAIL_ID, TYPES, bounce, event, notification

from engine.aws.dynamodb import to_item
from engine.errors import EngineError
from engine.feedback.pipeline import FeedbackFailed

OTHER = "8c0f4b7e-1f0a-4b53-8d6e-2a7b9c4d5e6f"
ROW = sent_row(EMAIL_ID, "recipient@example.com")


@st.composite
def bent_events(draw: st.DrawFn) -> Any:
    """A documented event with something else in up to three places, at any depth."""
    of = event(draw(st.sampled_from(TYPES)))
    if draw(st.booleans()):
        of = bounce("Transient", draw(st.sampled_from(["MailboxFull", "General", "ContentRejected"])))
    elif draw(st.booleans()):
        of = notification(draw(st.sampled_from(["Bounce", "Complaint", "Delivery"])))
    for _ in range(draw(st.integers(0, 3))):
        place: Any = of
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            if isinstance(place, dict) and draw(st.booleans()):
                del place[key]
            else:
                place[key] = draw(VALUES)
            break
    return of


MESSAGES = st.one_of(bent_events().map(written), VALUES.map(written), TEXTS)
# What comes by SNS, by a queue that a person made a trigger, or out of a dead-letter queue.
DELIVERIES = st.one_of(
    MESSAGES.map(sns_event),
    MESSAGES.map(lambda message: {"requestPayload": sns_event(message)}),
    MESSAGES.map(
        lambda message: {"Records": [{"body": json.dumps({"Type": "Notification", "Message": message})}]}
    ),
    st.builds(lambda message, arn: {"Message": message, "TopicArn": arn}, MESSAGES, VALUES),
    VALUES.map(lambda value: {"Records": [{"body": written(value)}, value]}),
    VALUES,
)


def handled(delivery: object, *beside: dict[str, Any]) -> EngineError | None:
    """What the delivery raised, with a good report about another email beside it."""

    async def story(functions: Functions) -> EngineError | None:
        other = {**to_item(ROW), "emailId": {"S": OTHER}}
        functions.put(TRACKING, EMAIL_ID, to_item(ROW))
        functions.put(TRACKING, OTHER, other)
        delivery_too = event("Delivery", mail_tags={"emailId": [OTHER]})
        records = delivery["Records"] if isinstance(delivery, dict) and "Records" in delivery else [delivery]
        raised = await functions.report(
            {"Records": [*records, *beside, *sns_event(written(delivery_too))["Records"]]}
        )
        assert raised is None or isinstance(raised, FeedbackFailed)
        told = repr(functions.telemetry.events)
        assert SECRET not in told
        assert "@" not in told
        assert SECRET not in str(raised)
        problems = [
            fields["problem"] for name, fields in functions.telemetry.events if name == "feedback-failed"
        ]
        assert [problem for problem in problems if not str(problem).startswith("Unreadable")] == []
        assert functions.tables.tables[TRACKING][OTHER]["status"] == {"S": "delivered"}
        return raised

    return with_functions(story)


@given(DELIVERIES.map(written))
@MANY
def test_no_delivery_harms_the_report_beside_it(text: str) -> None:
    try:
        delivery = as_lambda_reads(text)
    except (ValueError, RecursionError):
        return  # the runtime's own refusal: the function never sees it
    handled(delivery)
