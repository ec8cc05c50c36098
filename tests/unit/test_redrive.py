"""Dead letters are handed on once, and what is not handed on is back in its queue."""

import json
from typing import Any

import pytest
from tests.support.cloud import request_event, sns_event
from tests.support.dead_letter_queue import DLQ, RETRY_QUEUE, FakeFunctions, FakeRows, FakeSqs, unavailable
from tests.support.ports import FakeClock

from engine.local.ses import events
from engine.local.ses.mail_object import MailObject
from engine.operations.conditions import condition
from engine.operations.redrive import Redrive, Redriven
from engine.schemas.rows import TrackingRow


def report(email: str) -> str:
    return json.dumps(events.send(MailObject(tags={"emailId": email})))


def notification(email: str) -> dict[str, str]:
    return {"Type": "Notification", "Message": report(email)}


class Operator:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.sqs = FakeSqs(self.clock)
        self.functions = FakeFunctions()
        self.rows = FakeRows()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def redrive(self, *conditions: str, rate: float | None = None) -> Redriven:
        run = Redrive(
            sqs=self.sqs,
            functions=self.functions,
            ledger=self.rows,
            retry_queue_url=RETRY_QUEUE,
            feedback_function="shop-FeedbackProcessor:live",
            clock=self.clock,
            sleep=self.sleep,
        )
        return await run.run(DLQ, conditions=[condition(text) for text in conditions], rate=rate)


@pytest.fixture
def operator() -> Operator:
    return Operator()


async def test_requests_go_into_the_retry_queue_as_they_are_and_reports_to_the_function(
    operator: Operator,
) -> None:
    asked = request_event()
    wrapped = {"requestPayload": request_event(), "responsePayload": {}}
    operator.sqs.put(asked, wrapped, notification("e-1"), {"requestPayload": sns_event(report("e-2"))})
    done = await operator.redrive()
    assert sorted(map(json.loads, operator.sqs.sent), key=str) == sorted([asked, wrapped], key=str)
    assert sorted(operator.functions.messages) == sorted([report("e-1"), report("e-2")])
    assert operator.sqs.messages == {}
    assert (done.seen, done.requests, done.reports, done.handed_on) == (4, 2, 2, 4)


async def test_what_is_not_meant_is_given_back_untouched(operator: Operator) -> None:
    operator.sqs.put(request_event(), request_event(templateName="invoice"), "neither")
    done = await operator.redrive("template=invoice")
    assert (done.requests, done.unmatched) == (1, 2)
    assert len(operator.sqs.visible) == 2
    done = await operator.redrive()
    assert (done.requests, done.unreadable) == (1, 1)
    assert [operator.sqs.messages[key]["Body"] for key in operator.sqs.visible] == ["neither"]


async def test_a_report_is_chosen_by_the_template_of_its_email(operator: Operator) -> None:
    operator.rows.rows = {
        name: TrackingRow(email_id=name, template_name=template)
        for name, template in (("e-1", "welcome"), ("e-2", "invoice"))
    }
    operator.sqs.put(notification("e-1"), notification("e-2"))
    await operator.redrive("template=invoice")
    assert operator.functions.messages == [report("e-2")]


async def test_a_report_that_the_function_fails_on_stays(operator: Operator) -> None:
    operator.sqs.put(notification("e-1"), notification("e-2"))
    operator.functions.fails = lambda message: "1 of 1 failed" if "e-1" in message else None
    done = await operator.redrive()
    assert (done.reports, done.failed) == (1, {"FeedbackFailed: 1 of 1 failed": 1})
    assert len(operator.sqs.visible) == 1
    assert done.stopped is None


async def test_a_service_that_does_not_answer_ends_the_run_and_loses_nothing(operator: Operator) -> None:
    asked = [request_event(idempotencyKey=f"k-{n}") for n in range(30)]
    operator.sqs.put(*asked)
    operator.sqs.refuses = 12
    first = await operator.redrive()
    assert first.stopped == "SQS (EmailRetryQueue) SendMessage answered ServiceUnavailable"
    assert len(operator.sqs.visible) == 30 - first.handed_on
    operator.sqs.refuses = 0
    second = await operator.redrive()
    assert first.handed_on + second.handed_on == 30
    assert sorted(operator.sqs.sent) == sorted(map(json.dumps, asked))


async def test_what_was_handed_on_and_not_deleted_is_handed_on_again(operator: Operator) -> None:
    operator.sqs.put(request_event())
    operator.sqs.loses_deletes = True
    assert (await operator.redrive()).stopped == "SQS DeleteMessageBatch answered ServiceUnavailable"
    operator.sqs.loses_deletes = False
    await operator.redrive()
    assert (len(operator.sqs.sent), operator.sqs.messages) == (2, {})  # the ledger knows it by its id


async def test_a_rate_spreads_the_messages(operator: Operator) -> None:
    operator.sqs.put(*(request_event() for _ in range(5)))
    await operator.redrive(rate=10)
    assert [round(seconds, 1) for seconds in operator.slept] == [0.1, 0.2, 0.3, 0.4]


async def test_the_run_ends_though_what_is_left_shows_itself_again(operator: Operator) -> None:
    operator.sqs.put(*(request_event(templateName="other") for _ in range(25)))

    class ShortlyHidden(FakeSqs):
        async def receive_message(self, **options: Any) -> Any:
            return await super().receive_message(**options | {"VisibilityTimeout": 0})

    operator.sqs = ShortlyHidden(operator.clock, operator.sqs.messages)
    done = await operator.redrive("template=welcome")
    assert done.handed_on == 0
    assert len(operator.sqs.visible) == 25


async def test_a_queue_that_may_not_be_received_from_ends_the_run(operator: Operator) -> None:
    class Denied(FakeSqs):
        async def receive_message(self, **_: Any) -> Any:
            raise unavailable("ReceiveMessage")

    operator.sqs = Denied(operator.clock)
    done = await operator.redrive()
    assert (done.seen, done.stopped) == (0, "SQS ReceiveMessage answered ServiceUnavailable")
