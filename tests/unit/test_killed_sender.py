"""A process may die at any await. No email is lost by it, and none goes out twice once SES reported its Send.

The sender is killed at every await point of its way, the event is delivered again as AWS would, and SES's
reports arrive in between. What a dead process had written stays written; everything else is gone.
"""

from collections.abc import Awaitable, Callable

import pytest
from tests.support.cloud import LARGE, request_event
from tests.support.fakes import Lost
from tests.support.harness import RECONCILE, Harness, plenty
from tests.support.ports import Killed, KillSwitch

from engine.delivery.lanes import DeferralAnswer
from engine.schemas.envelopes import BatchAnswer
from engine.schemas.status import EmailStatusChanged
from engine.tracking.lifecycle import Status

EVENT = request_event(
    event_id="event-1",
    attachments=[{"fileName": "a.txt", "contentType": "text/plain", "s3Key": "attachments/a"}],
    **LARGE,
)
# Three bulk emails, one of which lies in the queue twice.
BATCH = [
    request_event(event_id=f"event-{n}", to=f"{n}@example.com", priority="bulk", **(LARGE if n == 1 else {}))
    for n in (0, 1, 2, 0)
]
ROUNDS = 12  # more deliveries than any of these ways needs

Way = Callable[[Harness], Awaitable[bool]]


async def by_the_bus(harness: Harness) -> bool:
    """One delivery of the event on the direct lane; whether no other must follow."""
    if harness.fake_aws.retry_queue.deferred:  # it was handed over to the queue before
        body, seconds = harness.fake_aws.retry_queue.deferred[-1]
        await harness.wait(seconds)
        return not (await harness.deliver(body)).batch_item_failures
    answer = await harness.lanes.direct(EVENT, plenty)
    return isinstance(answer, EmailStatusChanged)


async def by_the_queue(harness: Harness) -> bool:
    """One delivery in a batch on a queue lane; whether the message leaves its queue."""
    if harness.fake_aws.retry_queue.held:
        await harness.wait(harness.fake_aws.retry_queue.held[-1][2])
    return not (await harness.deliver(EVENT)).batch_item_failures


async def by_the_bulk_queue(harness: Harness) -> bool:
    """One delivery of all that is in the queue; whether every message leaves it."""
    if harness.fake_aws.retry_queue.held:
        await harness.wait(max(seconds for *_, seconds in harness.fake_aws.retry_queue.held))
        harness.fake_aws.retry_queue.held.clear()
    return not (await harness.deliver(*BATCH)).batch_item_failures


def a_harness(largest_call: int = 50) -> Harness:
    harness = Harness(largest_call=largest_call)
    harness.fake_aws.templates.attachments["attachments/a"] = b"file"
    return harness


async def live_and_die(harness: Harness, way: Way, kills: list[int]) -> None:
    """Deliver until settled; the first deliveries are killed at the given points."""
    for number in range(ROUNDS):
        point = kills[number] if number < len(kills) else None
        harness.fake_aws.switch(KillSwitch(at=point))
        try:
            settled = await way(harness)
        except* Killed:
            settled = False
        harness.fake_aws.switch(None)
        await harness.wait(0 if settled else 60)  # Lambda's first retry, or the queue's visibility timeout
        if settled:
            return
    pytest.fail(f"not settled after {ROUNDS} deliveries, killed at {kills}")


async def points_of(way: Way, largest_call: int = 50) -> list[str]:
    """The await points of an undisturbed life."""
    harness = a_harness(largest_call)
    switch = KillSwitch()
    harness.fake_aws.switch(switch)
    assert await way(harness)
    return switch.seen


@pytest.mark.parametrize("way", [by_the_bus, by_the_queue])
async def test_an_undisturbed_life_passes_every_port(way: Way) -> None:
    seen = {point.partition(":")[0] for point in await points_of(way)}
    assert seen == {
        "ledger.claim",
        "pre_send.read",
        "templates.load",
        "templates.attachment_size",
        "templates.load_attachment",
        "gate.burst",
        "gate.reserve",
        "payloads.save",
        "mailer.send",
        "ledger.record",
        "status_events.publish",
        "quota.count_sends",
    }


@pytest.mark.parametrize("lateness", [0, RECONCILE - 10])
@pytest.mark.parametrize("way", [by_the_bus, by_the_queue])
async def test_a_sender_killed_at_any_await_sends_exactly_once(way: Way, lateness: float) -> None:
    points = await points_of(way)
    for kill, point in enumerate(points):
        harness = a_harness()
        harness.ses_lateness = lateness
        await live_and_die(harness, way, [kill])
        assert len(harness.fake_aws.mailer.sent) == 1, f"killed at {point}"
        assert harness.row.status == Status.SENT, f"killed at {point}"
        assert "sent" in harness.fake_aws.status_events.statuses(harness.row.email_id), f"killed at {point}"


@pytest.mark.parametrize("way", [by_the_bus, by_the_queue])
async def test_a_sender_killed_twice_anywhere_sends_exactly_once(way: Way) -> None:
    points = range(len(await points_of(way)))
    for first in points:
        for second in points:
            harness = a_harness()
            await live_and_die(harness, way, [first, second])
            assert len(harness.fake_aws.mailer.sent) == 1, f"killed at {first} and {second}"
            assert harness.row.status == Status.SENT


def assert_each_is_sent_once(harness: Harness, how: str) -> None:
    recipients = sorted(message.to for message in harness.fake_aws.mailer.sent.values())
    assert recipients == ["0@example.com", "1@example.com", "2@example.com"], how
    assert {row.status for row in harness.fake_aws.ledger.rows.values()} == {Status.SENT}, how
    for email_id in harness.fake_aws.ledger.rows:
        assert "sent" in harness.fake_aws.status_events.statuses(email_id), how


@pytest.mark.parametrize("lateness", [0, RECONCILE - 10])
@pytest.mark.parametrize("largest_call", [50, 2, 1])
async def test_a_batch_killed_at_any_await_sends_each_of_its_emails_exactly_once(
    largest_call: int, lateness: float
) -> None:
    for kill, point in enumerate(await points_of(by_the_bulk_queue, largest_call)):
        harness = a_harness(largest_call)
        harness.ses_lateness = lateness
        await live_and_die(harness, by_the_bulk_queue, [kill])
        assert_each_is_sent_once(harness, f"killed at {point}")


@pytest.mark.parametrize("largest_call", [50, 2])
async def test_a_batch_killed_twice_anywhere_sends_each_of_its_emails_exactly_once(largest_call: int) -> None:
    points = range(len(await points_of(by_the_bulk_queue, largest_call)))
    for first in points:
        for second in points:
            harness = a_harness(largest_call)
            await live_and_die(harness, by_the_bulk_queue, [first, second])
            assert_each_is_sent_once(harness, f"killed at {first} and {second}")


async def test_a_batch_that_lost_the_answer_to_a_shared_call_is_killed_anywhere_and_sends_once() -> None:
    for kill, point in enumerate(await points_of(by_the_bulk_queue, 2)):
        harness = a_harness(2)
        harness.fake_aws.mailer.outcomes = [Lost(), Lost()]
        await live_and_die(harness, by_the_bulk_queue, [kill])
        assert_each_is_sent_once(harness, f"killed at {point}")


async def test_a_lost_answer_is_settled_by_the_send_event_and_never_sent_again() -> None:
    harness = a_harness()
    harness.fake_aws.mailer.outcomes = [Lost()]
    await live_and_die(harness, by_the_bus, [])
    assert len(harness.fake_aws.mailer.sent) == 1
    assert harness.row.status == Status.SENT


async def test_an_outcome_that_ses_never_reports_is_sent_again_only_after_the_reconcile_window() -> None:
    harness = a_harness()
    switch = KillSwitch(at=(await points_of(by_the_queue)).index("mailer.send:before"))
    harness.fake_aws.switch(switch)
    with pytest.raises(BaseExceptionGroup):
        await harness.deliver(EVENT)
    harness.fake_aws.switch(None)
    lease = harness.row.lease_until or 0

    harness.fake_aws.clock.advance(lease + RECONCILE - 1 - harness.fake_aws.clock().timestamp())
    assert (await harness.deliver(EVENT)).batch_item_failures
    assert not harness.fake_aws.mailer.sent

    harness.fake_aws.clock.advance(1)
    assert await harness.deliver(EVENT) == BatchAnswer()
    assert len(harness.fake_aws.mailer.sent) == 1


async def test_two_deliveries_at_once_send_once_and_the_other_comes_back() -> None:
    harness = a_harness()

    async def second_delivery(point: str) -> None:
        if point == "mailer.send:before":
            harness.fake_aws.switch(None)
            late = await harness.lanes.direct(EVENT, plenty)
            assert isinstance(late, DeferralAnswer)
            assert late.reason == "claimed-elsewhere"

    harness.fake_aws.switch(second_delivery)
    await harness.lanes.direct(EVENT, plenty)
    assert len(harness.fake_aws.mailer.sent) == 1
    ((body, seconds),) = harness.fake_aws.retry_queue.deferred
    harness.fake_aws.clock.advance(seconds)
    assert await harness.deliver(body) == BatchAnswer()
    assert len(harness.fake_aws.mailer.sent) == 1
