"""Deferred mail over days: queues as SQS has them, the sender on fakes, and a clock that jumps."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.support.cloud import queue_event, request_event
from tests.support.fakes import FakeMailer
from tests.support.harness import INVOCATION, Harness, plenty
from tests.support.ports import NOW, FakeClock, Port
from tests.support.simulated_queue import SimulatedQueue

from engine.errors import SendFailure, SendingPaused, SendThrottled
from engine.schemas.request import Lane
from engine.sending.compose import OutgoingMessage

HOURS = timedelta(hours=1)
BATCH, ENVIRONMENTS = 50, 8  # as the stack sets them
SES_QUOTA_WINDOW = timedelta(days=1)


@dataclass
class Ses(FakeMailer):
    """Says no for as long as `refuses` has a reason to."""

    refuses: Callable[[], SendFailure | None] = lambda: None
    refused: int = 0
    asked: int = 0

    async def send(self, messages: "list[OutgoingMessage]") -> list[str | SendFailure]:  # type: ignore[override]  # a list is what comes
        self.asked += 1
        return await super().send(messages)

    def _send(self, message: OutgoingMessage) -> str | SendFailure:
        if no := self.refuses():
            self.refused += 1
            return no
        return super()._send(message)


@dataclass
class Slots(Port):
    """A gate that hands out `rate` slots a second, in line."""

    clock: FakeClock
    rate: float
    until: datetime = NOW
    largest_burst: int = 1

    async def reserve(self, recipients: int, lane: Lane, within: float) -> float:  # noqa: ARG002 - the port's
        start = max(self.clock(), self.until)
        wait = (start - self.clock()).total_seconds()
        if wait > within:
            return wait
        self.until = start + timedelta(seconds=recipients / self.rate)
        return wait

    async def burst(self) -> int:
        return self.largest_burst

    async def throttled(self) -> None: ...


@dataclass
class Deployment:
    """The sender with its two queues. `run` lets time pass until they are empty."""

    harness: Harness = field(default_factory=Harness)

    def __post_init__(self) -> None:
        fake_aws = self.harness.fake_aws
        fake_aws.sleep.clock = None  # environments work at the same time: none's waiting is another's
        self.clock = fake_aws.clock
        self.ses = Ses()
        self.bulk, self.retry = SimulatedQueue(self.clock), SimulatedQueue(self.clock)
        self.use(mailer=self.ses)

    def use(self, **ports: object) -> None:
        deps = self.harness.lanes.pipeline.deps
        for name, port in ports.items():
            object.__setattr__(deps, name, port)

    def use_rate(self, rate: float) -> None:
        self.use(gate=Slots(self.clock, rate))

    async def ask(self, **detail: Any) -> None:
        """Transactional mail, by the direct lane."""
        await self.harness.ask(**detail)
        for body, seconds in self.harness.fake_aws.retry_queue.deferred:
            self.retry.send(body, seconds)
        self.harness.fake_aws.retry_queue.deferred.clear()

    def campaign(self, size: int) -> None:
        for n in range(size):
            self.bulk.send(request_event(event_id=f"e{n}", to=f"{n}@example.com", priority="bulk"))

    async def run(self, days: float = 14) -> None:
        end = self.clock() + timedelta(days=days)
        while self.bulk.messages or self.retry.messages:
            nexts = [queue.next_at() for queue in (self.bulk, self.retry) if queue.messages]
            self.clock.now = max(self.clock.now, min(nexts))
            assert self.clock() < end, "mail is held for good"
            await self._round()
            self.clock.advance(INVOCATION)

    async def _round(self) -> None:
        """Every environment takes a batch; they work at the same time."""
        for _ in range(ENVIRONMENTS):
            await self._invoke(self.bulk, BATCH)
        for _ in range(2):
            await self._invoke(self.retry, 10)

    async def _invoke(self, queue: SimulatedQueue, most: int) -> None:
        event = queue.receive(most)
        if event is None:
            return
        answer = await self.harness.lanes.queue(event, plenty)
        kept = {failure.item_identifier for failure in answer.batch_item_failures}
        for record in event["Records"]:
            if record["messageId"] not in kept:
                queue.delete(record["messageId"])
        for _, handle, seconds in self.harness.fake_aws.retry_queue.held:
            queue.hide(handle, seconds)
        self.harness.fake_aws.retry_queue.held.clear()

    def assert_all_sent_once(self, size: int) -> None:
        assert not self.bulk.dead
        assert not self.retry.dead
        recipients = [message.to for message in self.ses.sent.values()]
        assert len(recipients) == len(set(recipients)) == size
        assert {row.status for row in self.harness.fake_aws.ledger.rows.values()} == {"sent"}
        assert self.harness.fake_aws.status_events.statuses().count("failed") == 0


@pytest.fixture
def deployed() -> Deployment:
    return Deployment()


def paused_for(deployed: Deployment, time: timedelta) -> datetime:
    end = deployed.clock() + time
    deployed.ses.refuses = lambda: SendingPaused("paused") if deployed.clock() < end else None
    return end


async def test_a_campaign_outlasts_a_pause_of_36_hours_and_goes_on_by_itself(deployed: Deployment) -> None:
    """Many receives are spent by then; lack of a slot must not be taken for a pause that lasts."""
    end = paused_for(deployed, 36 * HOURS)
    deployed.use_rate(14)
    deployed.campaign(1000)
    await deployed.run()
    deployed.assert_all_sent_once(1000)
    assert deployed.clock() - end < 3 * HOURS
    assert deployed.bulk.most_receives < 75


async def test_password_resets_outlast_the_pause_as_well(deployed: Deployment) -> None:
    end = paused_for(deployed, 36 * HOURS)
    for n in range(20):
        await deployed.ask(event_id=f"t{n}", to=f"reset{n}@example.com")
    await deployed.run()
    deployed.assert_all_sent_once(20)
    assert deployed.clock() - end < 3 * HOURS


async def test_a_pause_of_a_week_leaves_no_mail_behind(deployed: Deployment) -> None:
    paused_for(deployed, timedelta(days=7))
    deployed.campaign(10)
    await deployed.run()
    deployed.assert_all_sent_once(10)


async def test_a_short_pause_is_over_soon(deployed: Deployment) -> None:
    end = paused_for(deployed, timedelta(minutes=10))
    deployed.campaign(50)
    await deployed.run()
    deployed.assert_all_sent_once(50)
    assert deployed.clock() - end < timedelta(minutes=10)


async def test_what_a_batch_still_holds_when_ses_pauses_waits_unasked(deployed: Deployment) -> None:
    paused_for(deployed, HOURS)
    deployed.campaign(50)
    deployed.use_rate(14)
    await deployed._round()
    assert deployed.ses.asked == 1
    assert deployed.harness.fake_aws.telemetry.names.count("email-deferred") == 50
    assert deployed.harness.fake_aws.telemetry.names.count("ses-paused") == 1
    assert {row.lease_until for row in deployed.harness.fake_aws.ledger.rows.values()} == {None}


async def test_over_the_daily_quota_mail_goes_on_as_ses_frees_it_day_by_day(deployed: Deployment) -> None:
    """SES counts the last 24 hours: https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas.html."""
    sends: list[datetime] = []

    def over_quota() -> SendFailure | None:
        now = deployed.clock()
        if sum(sent > now - SES_QUOTA_WINDOW for sent in sends) >= 50:
            return SendingPaused("Daily message quota exceeded")
        sends.append(now)
        return None

    deployed.ses.refuses = over_quota
    deployed.campaign(225)
    await deployed.run()
    deployed.assert_all_sent_once(225)
    assert timedelta(days=4) < deployed.clock() - NOW < timedelta(days=6)


async def test_a_storm_of_throttles_costs_hours_and_no_mail(deployed: Deployment) -> None:
    """Three in four sends are thrown back for six hours."""
    end = deployed.clock() + 6 * HOURS

    def throttled() -> SendFailure | None:
        busy = deployed.ses._taken + deployed.ses.refused
        return SendThrottled("Maximum sending rate exceeded") if deployed.clock() < end and busy % 4 else None

    deployed.ses.refuses = throttled
    deployed.campaign(300)
    await deployed.run()
    deployed.assert_all_sent_once(300)
    assert deployed.bulk.most_receives < 50


async def test_ses_that_throttles_everything_for_a_day_gets_its_mail_after(deployed: Deployment) -> None:
    end = deployed.clock() + 24 * HOURS
    deployed.ses.refuses = lambda: SendThrottled("slow") if deployed.clock() < end else None
    deployed.campaign(50)
    await deployed.run()
    deployed.assert_all_sent_once(50)
    assert deployed.clock() - end < 2 * HOURS


@pytest.mark.parametrize(("rate", "size"), [(14.0, 2000), (1.0, 600)])
async def test_a_rate_far_below_what_the_environments_take_burns_no_receives(
    deployed: Deployment, rate: float, size: int
) -> None:
    """Eight batches of fifty are in hand at once, and an invocation sends for 25 seconds only."""
    deployed.use_rate(rate)
    deployed.campaign(size)
    await deployed.run()
    deployed.assert_all_sent_once(size)
    in_hand, sent_meanwhile = ENVIRONMENTS * BATCH, rate * (INVOCATION - 5)
    assert deployed.bulk.most_receives <= 1.5 * in_hand / sent_meanwhile + 3
    assert (deployed.clock() - NOW).total_seconds() < 1.5 * size / rate + 2 * INVOCATION


async def test_those_who_came_most_often_have_the_first_slots() -> None:
    """Else chance leaves some over until they lie in the DLQ, where much more is in hand than can go."""
    event = queue_event(*(request_event(to=f"{n}@example.com", priority="bulk") for n in range(3)))
    for record, receives in zip(event["Records"], ["1", "9", "3"], strict=True):
        record["attributes"]["ApproximateReceiveCount"] = receives
    harness = Harness(largest_call=1)
    harness.fake_aws.gate.waits = [0.0, 1000.0, 1000.0]
    answer = await harness.lanes.queue(event, plenty)
    assert [message.to for message in harness.fake_aws.mailer.sent.values()] == ["1@example.com"]
    assert {failure.item_identifier for failure in answer.batch_item_failures} == {"message-0", "message-2"}


async def test_services_that_are_away_for_a_day_hold_the_mail(deployed: Deployment) -> None:
    end = deployed.clock() + 24 * HOURS

    async def away(point: str) -> None:
        if point == "templates.load:before" and deployed.clock() < end:
            deployed.harness.fake_aws.templates.fail_next = ["load"]

    deployed.harness.fake_aws.templates.on_await = away
    deployed.campaign(50)
    await deployed.run()
    deployed.assert_all_sent_once(50)
    assert deployed.clock() - end < 3 * HOURS
