"""What an operator stops waits whole, what they cancel fails; both hold until the last moment before SES."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from benchmarks.gate.virtual_time import run_virtually
from tests.support.cloud import LARGE, queue_event, request_event
from tests.support.harness import Harness, plenty
from tests.support.ports import NOW

from engine.delivery.lanes import DeferralAnswer, InvocationFailedError
from engine.requests.email_job import email_id
from engine.schemas.envelopes import BatchAnswer
from engine.schemas.operator_action import OperatorAction
from engine.schemas.request import EmailRequest
from engine.schemas.rows import BrakeRow, SuppressionRow
from engine.schemas.status import EmailStatusChanged, Reason
from engine.sending.braking import BrakeWatch
from engine.sending.pipeline import SendingPipeline
from engine.sending.results import DeferralReason
from engine.tracking.brakes import applying, brake_keys

TODAY = "2026-03-02"
STOPS = ["stop#all", "stop#bulk", "stop#template#welcome", "stop#campaign#spring"]
SPRING: dict[str, Any] = {"campaign": "spring", "priority": "bulk"}


@pytest.fixture
def harness() -> Harness:
    return Harness()


def asked(*numbers: int, **detail: Any) -> list[dict[str, Any]]:
    return [
        request_event(event_id=f"event-{n}", **(SPRING | {"to": f"{n}@example.com"} | detail))
        for n in numbers
    ]


async def ask(harness: Harness, **detail: Any) -> EmailStatusChanged:
    answer = await harness.ask(**(SPRING | detail))
    assert isinstance(answer, EmailStatusChanged)
    return answer


# -- which brake -----------------------------------------------------------------------------------------


def test_an_email_looks_at_the_brakes_that_concern_it_and_no_others() -> None:
    request = EmailRequest(to="ada@example.com", template_name="welcome")
    assert brake_keys(request) == ("stop#all", "stop#template#welcome")
    bulk = EmailRequest(to="ada@example.com", template_name="welcome", priority="bulk", campaign="spring")
    assert set(brake_keys(bulk)) == {*STOPS, "cancel#campaign#spring"}


def test_what_is_cancelled_is_cancelled_though_it_is_stopped_as_well() -> None:
    request = EmailRequest(to="ada@example.com", template_name="welcome", campaign="spring")
    brakes = {key: BrakeRow(pk=key) for key in (*STOPS, "cancel#campaign#spring")}
    assert applying(request, brakes) == BrakeRow(pk="cancel#campaign#spring")
    assert applying(request, {"stop#bulk": BrakeRow(pk="stop#bulk")}) is None


# -- decided ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", STOPS)
async def test_stopped_mail_of_the_bus_is_parked_as_it_came_with_its_claim_released(
    harness: Harness, key: str
) -> None:
    harness.fake_aws.pre_send.stop(key)
    (event,) = asked(0)
    answer = await harness.lanes.direct(event, plenty)
    assert answer == DeferralAnswer(
        email_id=harness.row.email_id, reason=DeferralReason.STOPPED, status="parked"
    )
    assert [json.loads(body) for body in harness.fake_aws.retry_queue.parked] == [event]
    assert not harness.fake_aws.retry_queue.deferred
    assert (harness.row.status, harness.row.lease_until) == ("sending", None)
    assert not harness.fake_aws.status_events.published


async def test_once_the_brake_is_gone_the_parked_envelope_is_sent(harness: Harness) -> None:
    harness.fake_aws.pre_send.stop("stop#all")
    await harness.lanes.queue(queue_event(*asked(0)), plenty)
    harness.fake_aws.pre_send.brakes.clear()
    (body,) = harness.fake_aws.retry_queue.parked
    assert await harness.deliver(body) == BatchAnswer()
    assert harness.row.status == "sent"
    assert harness.fake_aws.mailer.calls == [1]


async def test_stopped_mail_of_a_queue_is_parked_and_done_with_there(harness: Harness) -> None:
    harness.fake_aws.pre_send.stop("stop#campaign#spring")
    batch = [*asked(0), *asked(1, campaign="summer"), *asked(2)]
    assert await harness.deliver(*batch) == BatchAnswer()
    assert [json.loads(body) for body in harness.fake_aws.retry_queue.parked] == [batch[0], batch[2]]
    assert [message.to for message in harness.fake_aws.mailer.sent.values()] == ["1@example.com"]
    reasons = [fields.get("reason") for name, fields in harness.fake_aws.telemetry.events if "defer" in name]
    assert reasons == ["stopped", "stopped"]


async def test_a_message_that_cannot_be_parked_stays_in_its_queue(harness: Harness) -> None:
    harness.fake_aws.pre_send.stop("stop#all")
    harness.fake_aws.retry_queue.fail_next = ["park"]
    answer = await harness.deliver(*asked(0, 1))
    (left,) = answer.batch_item_failures
    assert len(harness.fake_aws.retry_queue.parked) == 1
    assert [handle[-1] for _, handle, _ in harness.fake_aws.retry_queue.held] == [left.item_identifier[-1]]


async def test_an_event_that_cannot_be_parked_comes_again(harness: Harness) -> None:
    harness.fake_aws.pre_send.stop("stop#all")
    harness.fake_aws.retry_queue.fail_next = ["park"]
    with pytest.raises(InvocationFailedError, match="park"):
        await harness.ask()


async def test_without_a_queue_for_it_stopped_mail_waits_where_it_is(harness: Harness) -> None:
    harness.fake_aws.pre_send.stop("stop#all")
    harness.park_nothing()
    assert len((await harness.deliver(*asked(0))).batch_item_failures) == 1
    await harness.ask()
    assert len(harness.fake_aws.retry_queue.deferred) == 1


async def test_a_cancelled_campaign_fails_with_the_reason_that_was_given(harness: Harness) -> None:
    harness.fake_aws.pre_send.stop("cancel#campaign#spring", because="wrong price")
    answer = await ask(harness)
    message = "cancel#campaign#spring, set by ops at 2026-03-02T09:00:00.000Z: wrong price"
    assert answer.reason == Reason(code="cancelled", message=message)
    assert (harness.row.status, harness.row.failure_code) == ("failed", "cancelled")
    assert not harness.fake_aws.mailer.sent


async def test_a_bare_brake_put_there_by_hand_holds(harness: Harness) -> None:
    harness.fake_aws.pre_send.brakes["cancel#campaign#spring"] = BrakeRow(pk="cancel#campaign#spring")
    answer = await ask(harness)
    assert answer.reason is not None
    assert "set by somebody at an unknown time: no reason given" in answer.reason.message


@pytest.mark.parametrize(
    ("key", "code"), [("stop#bulk", "would-wait"), ("cancel#campaign#spring", "cancelled")]
)
async def test_a_dry_run_says_what_the_brake_would_do(harness: Harness, key: str, code: str) -> None:
    harness.fake_aws.pre_send.stop(key)
    answer = await ask(harness, dryRun=True)
    assert answer.reason is not None
    assert (answer.status, answer.reason.code) == ("dry_run", code)
    assert "wrong price" in answer.reason.message
    assert not harness.fake_aws.retry_queue.parked


async def test_brakes_are_looked_at_before_suppression(harness: Harness) -> None:
    harness.fake_aws.suppression.rows["ada@example.com"] = SuppressionRow(email="ada@example.com")
    harness.fake_aws.pre_send.stop("stop#all")
    assert isinstance(await harness.ask(), DeferralAnswer)


async def test_what_is_refused_as_it_came_is_refused_under_any_brake(harness: Harness) -> None:
    harness.fake_aws.pre_send.stop("stop#all")
    assert (await ask(harness, to="nobody")).status == "failed"


async def test_mail_that_may_have_been_sent_is_not_parked(harness: Harness) -> None:
    """Its Send event settles it; a copy in the parked queue would only wait for nothing."""
    harness.fake_aws.ledger.fail_next = ["record"]
    await harness.lanes.queue(queue_event(*asked(0)), plenty)
    harness.fake_aws.clock.advance(40)
    harness.fake_aws.pre_send.stop("stop#all")
    answer = await harness.deliver(*asked(0))
    assert len(answer.batch_item_failures) == 1
    assert not harness.fake_aws.retry_queue.parked


# -- right before SES ------------------------------------------------------------------------------------


def in_real_time(harness: Harness) -> None:
    """Let clock and sleep be those of a loop, on which everybody waits at the same time."""
    deps = replace(
        harness.lanes.pipeline.deps,
        clock=lambda: NOW + timedelta(seconds=asyncio.get_running_loop().time()),
        sleep=asyncio.sleep,
    )
    harness.lanes = replace(harness.lanes, pipeline=SendingPipeline(deps))


def fifty_slots(harness: Harness) -> None:
    harness.fake_aws.gate.waits = [number / 5 for number in range(50)]


@pytest.mark.parametrize("slowness", [0.01, 0.2, 0.7])
def test_a_stop_holds_within_two_seconds_though_fifty_emails_wait_for_their_slots(
    harness: Harness, slowness: float
) -> None:
    """They leave five a second, and the brake is set after four seconds. A read takes `slowness` seconds."""
    fifty_slots(harness)
    sent: list[float] = []

    async def reach(point: str) -> None:
        if point == "pre_send.read_brakes:after":
            await asyncio.sleep(slowness)
        if point == "mailer.send:before":
            sent.append(asyncio.get_running_loop().time())

    async def scenario() -> None:
        in_real_time(harness)
        harness.fake_aws.switch(reach)
        asyncio.get_running_loop().call_later(4.0, harness.fake_aws.pre_send.stop, "stop#all")
        await harness.deliver(*asked(*range(50), priority="transactional"))

    run_virtually(scenario())
    assert 4.0 < max(sent) <= 6.0
    assert len(harness.fake_aws.retry_queue.parked) == 50 - len(sent)
    assert {row.lease_until for row in harness.fake_aws.ledger.rows.values()} == {None}


def test_emails_of_a_batch_share_their_looks_and_leave_in_their_slots(harness: Harness) -> None:
    fifty_slots(harness)
    looks: list[float] = []
    sent: list[float] = []

    async def reach(point: str) -> None:
        if point == "pre_send.read_brakes:before":
            looks.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.01)
        if point == "mailer.send:before":
            sent.append(asyncio.get_running_loop().time())

    async def scenario() -> None:
        in_real_time(harness)
        harness.fake_aws.switch(reach)
        await harness.deliver(*asked(*range(50), priority="transactional"))

    run_virtually(scenario())
    assert sent == pytest.approx([number / 5 for number in range(50)])
    assert 7 <= len(looks) <= 10


def test_where_the_table_says_nothing_all_that_wait_are_deferred_after_a_second(harness: Harness) -> None:
    fifty_slots(harness)

    async def reach(point: str) -> None:
        if point == "pre_send.read_brakes:before":
            await asyncio.sleep(3600)

    async def scenario() -> float:
        in_real_time(harness)
        harness.fake_aws.switch(reach)
        answer = await harness.deliver(*asked(*range(50), priority="transactional"))
        assert len(answer.batch_item_failures) == 50 - len(harness.fake_aws.mailer.sent)
        return asyncio.get_running_loop().time()

    assert run_virtually(scenario()) < 12
    assert len(harness.fake_aws.mailer.sent) == 7  # whose last look came within the first second


async def test_a_cancelled_campaign_fails_right_before_its_slot(harness: Harness) -> None:
    harness.fake_aws.gate.waits = [3.0]

    async def reach(point: str) -> None:
        if point == "gate.reserve:before":
            harness.fake_aws.pre_send.stop("cancel#campaign#spring")

    harness.fake_aws.switch(reach)
    answer = await ask(harness)
    assert answer.reason is not None
    assert (answer.status, answer.reason.code) == ("failed", "cancelled")
    assert not harness.fake_aws.mailer.sent


async def test_of_a_shared_call_only_those_under_a_brake_stay(harness: Harness) -> None:
    harness.fake_aws.gate.waits = [3.0]

    async def reach(point: str) -> None:
        if point == "gate.reserve:before":
            harness.fake_aws.pre_send.stop("stop#campaign#spring")

    harness.fake_aws.switch(reach)
    await harness.deliver(*asked(0, 1), *asked(2, campaign="summer"))
    assert harness.fake_aws.mailer.calls == [1]
    assert len(harness.fake_aws.retry_queue.parked) == 2


@pytest.mark.parametrize("waits", [[], [0.9]])
async def test_an_email_that_leaves_at_once_makes_no_further_call(
    harness: Harness, waits: list[float]
) -> None:
    harness.fake_aws.gate.waits = waits
    seen: list[str] = []

    async def reach(point: str) -> None:
        seen.append(point)

    harness.fake_aws.switch(reach)
    await harness.ask()
    assert "mailer.send:after" in seen
    assert "pre_send.read_brakes:before" not in seen


async def test_what_is_known_is_no_fresher_while_a_look_is_under_way(harness: Harness) -> None:
    """Or another email of the batch goes by brakes of long ago."""
    deps = harness.lanes.pipeline.deps
    now = deps.clock()
    watch = BrakeWatch(deps, ["stop#all"], {}, now - timedelta(seconds=5))
    fresh = []

    async def reach(point: str) -> None:
        if point == "pre_send.read_brakes:before":
            fresh.append(watch.is_fresh(now))

    harness.fake_aws.switch(reach)
    await watch.look()
    assert (fresh, watch.is_fresh(now)) == ([False], True)


async def test_an_email_that_is_ready_long_after_its_slot_looks_again(harness: Harness) -> None:
    has_slot = asyncio.Event()

    async def reach(point: str) -> None:
        if point == "gate.reserve:after":
            has_slot.set()
        if point == "payloads.save:before":
            await has_slot.wait()
            harness.fake_aws.clock.advance(5)
            harness.fake_aws.pre_send.stop("stop#all")

    harness.fake_aws.switch(reach)
    await harness.ask(templateData=LARGE)
    assert not harness.fake_aws.mailer.sent
    assert len(harness.fake_aws.retry_queue.parked) == 1


async def test_nothing_is_sent_where_nobody_knows_of_brakes(harness: Harness) -> None:
    harness.fake_aws.gate.waits = [3.0]
    harness.fake_aws.pre_send.fail_next = ["read_brakes"]
    answer = await harness.ask()
    assert isinstance(answer, DeferralAnswer)
    assert (answer.reason, answer.status) == ("service-unavailable", "deferred")
    assert not harness.fake_aws.mailer.sent
    assert harness.row.lease_until is None


# -- over the bounce rate --------------------------------------------------------------------------------


@pytest.fixture
def over_quota() -> Harness:
    harness = Harness(holds_bulk=True)
    harness.fake_aws.quota.sends[TODAY], harness.fake_aws.quota.bounces[TODAY] = 100, 6
    return harness


async def test_over_the_bounce_rate_the_bulk_lane_is_stopped_and_parked_and_the_bus_is_told_once(
    over_quota: Harness,
) -> None:
    await over_quota.deliver(*asked(0, 1))
    await over_quota.deliver(*asked(2))
    brake = over_quota.fake_aws.pre_send.brakes["stop#bulk"]
    assert brake.by == "engine"
    assert "6.00 %" in brake.because
    assert over_quota.fake_aws.status_events.actions == [
        OperatorAction(action="stop", scope="bulk", because=brake.because, by="engine", timestamp=brake.since)
    ]
    assert len(over_quota.fake_aws.retry_queue.parked) == 3
    assert not over_quota.fake_aws.mailer.sent
    assert over_quota.fake_aws.telemetry.names.count("bulk-held") == 1


async def test_over_the_bounce_rate_transactional_mail_goes_on_and_sets_no_brake(over_quota: Harness) -> None:
    await over_quota.ask(priority="transactional")
    assert over_quota.row.status == "sent"
    assert not over_quota.fake_aws.pre_send.brakes


async def test_a_dry_run_over_the_bounce_rate_says_that_it_would_wait_and_sets_no_brake(
    over_quota: Harness,
) -> None:
    answer = await ask(over_quota, dryRun=True)
    assert answer.reason is not None
    assert answer.reason.code == "would-wait"
    assert not over_quota.fake_aws.pre_send.brakes


async def test_bulk_mail_is_not_parked_under_a_brake_that_could_not_be_set(over_quota: Harness) -> None:
    """Parked mail waits for a `go`, and nobody would know to say it."""
    over_quota.fake_aws.pre_send.fail_next = ["set_brake"]
    answer = await over_quota.deliver(*asked(0))
    assert len(answer.batch_item_failures) == 1
    assert not over_quota.fake_aws.retry_queue.parked


async def test_a_brake_that_the_bus_was_not_told_of_holds_all_the_same(over_quota: Harness) -> None:
    over_quota.fake_aws.status_events.fail_next = ["tell"]
    await over_quota.deliver(*asked(0))
    assert len(over_quota.fake_aws.retry_queue.parked) == 1
    assert "publish-failed" in over_quota.fake_aws.telemetry.names


async def test_the_first_reason_of_a_brake_stays(over_quota: Harness) -> None:
    over_quota.fake_aws.pre_send.stop("stop#bulk")
    await over_quota.deliver(*asked(0))
    assert over_quota.fake_aws.pre_send.brakes["stop#bulk"].by == "ops"
    assert not over_quota.fake_aws.status_events.actions
    assert email_id("shop", "event-0") in over_quota.fake_aws.ledger.rows
