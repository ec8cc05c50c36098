"""`stop`, `go` and `cancel` over a stack's tables, queues and bus."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.support import operators
from tests.support.cloud import Cloud, queue_event, request_event

from engine.handlers.email_sender import handler
from engine.local.ses.threaded import ThreadedSimulator
from engine.operations import parked, stopping
from engine.operations.brakes import Brakes, open_brakes
from engine.operations.stack import StackAddress, connect
from engine.schemas.rows import BrakeRow


class Operator(operators.Operator):
    """Also puts mail into the queue of parked mail, and sees which brakes are set."""

    def park(self, count: int, **detail: Any) -> None:
        for number in range(count):
            body = json.dumps(request_event(event_id=f"{detail}-{number}", **detail))
            self.cloud.sqs.send_message(QueueUrl=self.cloud.parked_queue, MessageBody=body)

    def brakes(self) -> set[str]:
        return {item["pk"] for item in self.cloud.items("State")} - {"stop#list"}


@pytest.fixture
def operator(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Operator:
    monkeypatch.setattr(stopping, "SETTLED_SECONDS", 0)
    monkeypatch.setattr(parked, "WAIT_SECONDS", 0)
    monkeypatch.setattr(parked, "RECEIVERS", 2)
    return Operator(cloud)


def test_stop_sets_a_brake_says_how_long_it_takes_and_tells_the_bus(cloud: Cloud, operator: Operator) -> None:
    result = operator.run("stop", "--bulk", "--because", "wrong price", "--yes")
    assert result.exit_code == 0, result.output
    assert "Bulk mail is stopped. That holds within two seconds" in result.output
    assert f"Next: sesmailengine go --bulk --stack {cloud.stack}" in result.output
    brake = next(item for item in cloud.items("State") if item["pk"] == "stop#bulk")
    assert brake["because"] == "wrong price"
    assert brake["by"].startswith("arn:aws:")
    (told,) = cloud.status_events()
    assert {**told, "by": "", "timestamp": ""} == {
        "action": "stop", "scope": "bulk", "because": "wrong price", "by": "", "timestamp": ""
    }  # fmt: skip


def test_go_brings_back_what_no_other_brake_holds(cloud: Cloud, operator: Operator) -> None:
    operator.run("stop", "--template", "welcome", "--because", "typo", "--yes")
    operator.run("stop", "--campaign", "spring", "--because", "too early", "--yes")
    operator.park(12)
    operator.park(3, campaign="spring", priority="bulk")
    result = operator.run("go", "--template", "welcome", "--yes")
    assert result.exit_code == 0, result.output
    assert "12 parked emails came back to their lanes. 3 parked emails stay parked" in result.output
    assert "too early" in result.output
    assert operator.brakes() == {"stop#campaign#spring"}
    assert len(cloud.messages(cloud.retry_queue)) == 12
    last = operator.facts("go", "--everything", "--yes")
    assert [brake["pk"] for brake in last["lifted"]] == ["stop#campaign#spring"]
    assert last["returned"]["moved"] == 3
    assert len(cloud.messages(cloud.bulk_queue)) == 3
    assert not operator.brakes()
    assert [told["action"] for told in cloud.status_events()] == ["stop", "stop", "go", "go"]


def test_what_the_engine_parks_comes_back_and_is_sent_once(
    cloud: Cloud, ses: ThreadedSimulator, operator: Operator
) -> None:
    operator.run("stop", "--bulk", "--because", "wrong price", "--yes")
    event = request_event(event_id="one", priority="bulk", campaign="spring")
    assert handler(queue_event(event)) == {"batchItemFailures": []}
    assert handler(request_event(event_id="two"))["status"] == "sent"
    assert len(ses.messages) == 1
    assert operator.facts("go", "--bulk", "--yes")["returned"]["moved"] == 1
    (body,) = cloud.messages(cloud.bulk_queue)
    assert json.loads(body) == event
    handler(queue_event(body))
    handler(queue_event(body))
    assert len(ses.messages) == 2


def test_a_cancelled_campaign_s_parked_mail_ends_as_failed(
    cloud: Cloud, ses: ThreadedSimulator, operator: Operator
) -> None:
    operator.run("stop", "--campaign", "spring", "--because", "wrong price", "--yes")
    handler(queue_event(request_event(priority="bulk", campaign="spring")))
    assert cloud.row()["status"] == "sending"
    operator.run("cancel", "--campaign", "spring", "--because", "wrong list", "--yes")
    (body,) = cloud.messages(cloud.bulk_queue)
    handler(queue_event(body))
    assert (cloud.row()["status"], cloud.row()["failureCode"]) == ("failed", "cancelled")
    assert not ses.messages


def test_a_brake_written_by_hand_holds_and_can_be_lifted(cloud: Cloud, operator: Operator) -> None:
    cloud.put("State", pk="stop#all", because="paged at night", by="ops")
    operator.park(2)
    operator.run("stop", "--bulk", "--because", "x", "--yes")
    facts = operator.facts("go", "--bulk", "--yes")
    assert facts["returned"]["held"] == {"stop#all": 2}
    assert operator.facts("go", "--everything", "--yes")["returned"]["moved"] == 2


def test_go_for_what_is_not_stopped_finds_nothing(operator: Operator) -> None:
    result = operator.run("go", "--all", "--yes")
    assert result.exit_code == 1
    assert "All mail was not stopped." in result.output
    assert "Nothing was stopped." in operator.run("go", "--everything", "--yes").output


def test_cancel_sends_parked_mail_to_its_lane_to_fail(cloud: Cloud, operator: Operator) -> None:
    operator.run("stop", "--all", "--because", "x", "--yes")
    operator.park(4, campaign="spring", priority="bulk")
    operator.park(1)
    result = operator.run("cancel", "--campaign", "spring", "--because", "wrong list", "--yes")
    assert result.exit_code == 0, result.output
    assert "Campaign spring is cancelled" in result.output
    assert len(cloud.messages(cloud.bulk_queue)) == 4
    assert operator.brakes() == {"stop#all", "cancel#campaign#spring"}
    assert [told["action"] for told in cloud.status_events()] == ["stop", "cancel"]


def test_go_leaves_a_campaign_cancelled_unless_told(operator: Operator) -> None:
    operator.run("cancel", "--campaign", "spring", "--because", "wrong list", "--yes")
    result = operator.run("go", "--campaign", "spring", "--yes")
    assert result.exit_code == 1
    assert "It is cancelled, though" in result.output
    assert operator.run("go", "--everything", "--yes").exit_code == 1
    assert operator.brakes() == {"cancel#campaign#spring"}
    assert operator.run("go", "--campaign", "spring", "--uncancel", "--yes").exit_code == 0
    assert not operator.brakes()


def test_a_stack_without_a_queue_for_parked_mail_is_named(cloud: Cloud, operator: Operator) -> None:
    cloud.sqs.delete_queue(QueueUrl=cloud.parked_queue)
    result = operator.run("stop", "--all", "--because", "x", "--yes")
    assert result.exit_code == 1
    assert "this stack has no ParkedEmailQueue" in result.output
    result = operator.run("go", "--all", "--yes")
    assert result.exit_code == 0
    assert "nothing was parked" in result.output


class Interrupted:
    """A client of DynamoDB; after so many calls of it something else is done."""

    def __init__(self, client: Any, calls: int, then: Callable[[], Awaitable[Any]]) -> None:
        self._client = client
        self._calls = calls
        self._then = then

    def __getattr__(self, operation: str) -> Any:
        async def call(**request: Any) -> Any:
            answer = await getattr(self._client, operation)(**request)
            self._calls -= 1
            if self._calls == 0:
                await self._then()
            return answer

        return call


@pytest.mark.parametrize("calls", [1, 2, 3])
@pytest.mark.parametrize("first", ["stop", "go"])
async def test_whatever_stop_and_go_do_at_one_moment_a_brake_that_is_set_is_listed(
    cloud: Cloud, first: str, calls: int
) -> None:
    brake = BrakeRow(pk="stop#template#welcome", because="typo")
    async with connect(StackAddress(stack=cloud.stack, endpoint_url=cloud.endpoint)) as stack:
        brakes, client = await open_brakes(stack), await stack.client("dynamodb")
        await brakes.set(brake)
        if first == "stop":
            late = Brakes(Interrupted(client, calls, lambda: brakes.lift(brake.pk)), stack.state_table)
            await late.set(brake)
        else:
            late = Brakes(Interrupted(client, calls, lambda: brakes.set(brake)), stack.state_table)
            await late.lift(brake.pk)
        assert [each.pk for each in await brakes.listing()] == list(await brakes.read([brake.pk]))


def test_go_tells_of_mail_that_a_killed_run_still_hides(cloud: Cloud, operator: Operator) -> None:
    operator.run("stop", "--bulk", "--because", "wrong price", "--yes")
    operator.park(3, priority="bulk")
    cloud.sqs.receive_message(QueueUrl=cloud.parked_queue, MaxNumberOfMessages=2, VisibilityTimeout=300)
    result = operator.run("go", "--bulk", "--yes")
    assert result.exit_code == 1
    said = result.output.replace("\n", " ")
    assert "1 parked email came back" in said
    assert "About 2 parked emails could not be looked at" in said
    assert "Run it again in 5 minutes" in said
    assert "sesmailengine go --bulk" in said


@pytest.mark.parametrize(
    "options", [[], ["--all", "--bulk"], ["--template", "a/b"], ["--campaign", "no.dots"]]
)
def test_options_that_name_no_scope_are_refused(operator: Operator, options: list[str]) -> None:
    assert operator.run("stop", "--because", "x", *options, "--yes").exit_code == 2
    assert not operator.brakes()


def test_nothing_is_done_where_nobody_can_be_asked(operator: Operator) -> None:
    result = operator.run("stop", "--all", "--because", "x")
    assert result.exit_code == 1
    assert "Nothing was done" in result.output
    assert not operator.brakes()
