"""A process may die at any await. No email is lost by it, and none goes out twice once SES reported its Send.

The sender is killed at every await point of its way, the event is delivered again as AWS would, and SES's
reports arrive in between. What a dead process had written stays written; everything else is gone.
"""

from collections.abc import Awaitable, Callable

import pytest
from tests.cloud import request_event
from tests.engine_room import RECONCILE, EngineRoom, plenty
from tests.fakes import Killed, KillSwitch, Lost

from engine.domain.lifecycle import Status
from engine.lanes import Deferred
from engine.schemas.envelopes import BatchAnswer
from engine.schemas.status import EmailStatusChanged

EVENT = request_event(
    event_id="event-1", attachments=[{"fileName": "a.txt", "contentType": "text/plain", "s3Key": "a"}]
)
# Three bulk emails, one of which lies in the queue twice.
BATCH = [request_event(event_id=f"event-{n}", to=f"{n}@example.com", priority="bulk") for n in (0, 1, 2, 0)]
ROUNDS = 12  # more deliveries than any of these ways needs

Way = Callable[[EngineRoom], Awaitable[bool]]


async def by_the_bus(room: EngineRoom) -> bool:
    """One delivery of the event on the direct lane; whether no other must follow."""
    if room.world.retry_queue.deferred:  # it was handed over to the queue before
        body, seconds = room.world.retry_queue.deferred[-1]
        await room.wait(seconds)
        return not (await room.deliver(body)).batch_item_failures
    answer = await room.lanes.direct(EVENT, plenty)
    return isinstance(answer, EmailStatusChanged)


async def by_the_queue(room: EngineRoom) -> bool:
    """One delivery in a batch on a queue lane; whether the message leaves its queue."""
    if room.world.retry_queue.held:
        await room.wait(room.world.retry_queue.held[-1][2])
    return not (await room.deliver(EVENT)).batch_item_failures


async def by_the_bulk_queue(room: EngineRoom) -> bool:
    """One delivery of all that is in the queue; whether every message leaves it."""
    if room.world.retry_queue.held:
        await room.wait(max(seconds for *_, seconds in room.world.retry_queue.held))
        room.world.retry_queue.held.clear()
    return not (await room.deliver(*BATCH)).batch_item_failures


def a_room(largest_call: int = 50) -> EngineRoom:
    room = EngineRoom(largest_call=largest_call)
    room.world.templates.attachments["a"] = b"file"
    return room


async def live_and_die(room: EngineRoom, way: Way, kills: list[int]) -> None:
    """Deliver until settled; the first deliveries are killed at the given points."""
    for number in range(ROUNDS):
        point = kills[number] if number < len(kills) else None
        room.world.switch(KillSwitch(at=point))
        try:
            settled = await way(room)
        except Killed:
            settled = False
        room.world.switch(None)
        await room.wait(0 if settled else 60)  # Lambda's first retry, or the queue's visibility timeout
        if settled:
            return
    pytest.fail(f"not settled after {ROUNDS} deliveries, killed at {kills}")


async def points_of(way: Way, largest_call: int = 50) -> list[str]:
    """The await points of an undisturbed life."""
    room = a_room(largest_call)
    switch = KillSwitch()
    room.world.switch(switch)
    assert await way(room)
    return switch.seen


@pytest.mark.parametrize("way", [by_the_bus, by_the_queue])
async def test_an_undisturbed_life_passes_every_port(way: Way) -> None:
    seen = {point.partition(":")[0] for point in await points_of(way)}
    assert seen == {
        "ledger.claim",
        "suppression.find",
        "quota.read",
        "templates.load",
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
        room = a_room()
        room.ses_lateness = lateness
        await live_and_die(room, way, [kill])
        assert len(room.world.mailer.sent) == 1, f"killed at {point}"
        assert room.row.status == Status.SENT, f"killed at {point}"
        assert "sent" in room.world.status_events.statuses(room.row.email_id), f"killed at {point}"


@pytest.mark.parametrize("way", [by_the_bus, by_the_queue])
async def test_a_sender_killed_twice_anywhere_sends_exactly_once(way: Way) -> None:
    points = range(len(await points_of(way)))
    for first in points:
        for second in points:
            room = a_room()
            await live_and_die(room, way, [first, second])
            assert len(room.world.mailer.sent) == 1, f"killed at {first} and {second}"
            assert room.row.status == Status.SENT


def assert_each_is_sent_once(room: EngineRoom, how: str) -> None:
    recipients = sorted(message.to for message in room.world.mailer.sent.values())
    assert recipients == ["0@example.com", "1@example.com", "2@example.com"], how
    assert {row.status for row in room.world.ledger.rows.values()} == {Status.SENT}, how
    for email_id in room.world.ledger.rows:
        assert "sent" in room.world.status_events.statuses(email_id), how


@pytest.mark.parametrize("lateness", [0, RECONCILE - 10])
@pytest.mark.parametrize("largest_call", [50, 2, 1])
async def test_a_batch_killed_at_any_await_sends_each_of_its_emails_exactly_once(
    largest_call: int, lateness: float
) -> None:
    for kill, point in enumerate(await points_of(by_the_bulk_queue, largest_call)):
        room = a_room(largest_call)
        room.ses_lateness = lateness
        await live_and_die(room, by_the_bulk_queue, [kill])
        assert_each_is_sent_once(room, f"killed at {point}")


@pytest.mark.parametrize("largest_call", [50, 2])
async def test_a_batch_killed_twice_anywhere_sends_each_of_its_emails_exactly_once(largest_call: int) -> None:
    points = range(len(await points_of(by_the_bulk_queue, largest_call)))
    for first in points:
        for second in points:
            room = a_room(largest_call)
            await live_and_die(room, by_the_bulk_queue, [first, second])
            assert_each_is_sent_once(room, f"killed at {first} and {second}")


async def test_a_batch_that_lost_the_answer_to_a_shared_call_is_killed_anywhere_and_sends_once() -> None:
    for kill, point in enumerate(await points_of(by_the_bulk_queue, 2)):
        room = a_room(2)
        room.world.mailer.outcomes = [Lost(), Lost()]
        await live_and_die(room, by_the_bulk_queue, [kill])
        assert_each_is_sent_once(room, f"killed at {point}")


async def test_a_lost_answer_is_settled_by_the_send_event_and_never_sent_again() -> None:
    room = a_room()
    room.world.mailer.outcomes = [Lost()]
    await live_and_die(room, by_the_bus, [])
    assert len(room.world.mailer.sent) == 1
    assert room.row.status == Status.SENT


async def test_an_outcome_that_ses_never_reports_is_sent_again_only_after_the_reconcile_window() -> None:
    room = a_room()
    switch = KillSwitch(at=(await points_of(by_the_queue)).index("mailer.send:before"))
    room.world.switch(switch)
    with pytest.raises(Killed):
        await room.deliver(EVENT)
    room.world.switch(None)
    lease = room.row.lease_until or 0

    room.world.clock.advance(lease + RECONCILE - 1 - room.world.clock().timestamp())
    assert (await room.deliver(EVENT)).batch_item_failures
    assert not room.world.mailer.sent

    room.world.clock.advance(1)
    assert await room.deliver(EVENT) == BatchAnswer()
    assert len(room.world.mailer.sent) == 1


async def test_two_deliveries_at_once_send_once_and_the_other_comes_back() -> None:
    room = a_room()

    async def second_delivery(point: str) -> None:
        if point == "mailer.send:before":
            room.world.switch(None)
            late = await room.lanes.direct(EVENT, plenty)
            assert isinstance(late, Deferred)
            assert late.reason == "claimed-elsewhere"

    room.world.switch(second_delivery)
    await room.lanes.direct(EVENT, plenty)
    assert len(room.world.mailer.sent) == 1
    ((body, seconds),) = room.world.retry_queue.deferred
    room.world.clock.advance(seconds)
    assert await room.deliver(body) == BatchAnswer()
    assert len(room.world.mailer.sent) == 1
