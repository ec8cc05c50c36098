"""Parked mail on its way back: what goes to which lane, what stays, and what a broken run leaves."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.cloud import request_event
from tests.support.parked_sqs import BULK, PARKED, RETRY, FakeSqs

from engine.operations import parked
from engine.operations.parked import ParkedMail, QueueUrls, Return
from engine.schemas.rows import BrakeRow


@dataclass
class SetBrakes:
    keys: set[str] = field(default_factory=set)
    reads: int = 0

    async def read(self, keys: Sequence[str]) -> Mapping[str, BrakeRow]:
        self.reads += 1
        return {key: BrakeRow(pk=key) for key in keys if key in self.keys}


def event(number: int = 0, **detail: Any) -> str:
    return json.dumps(request_event(event_id=f"event-{number}", **detail))


def retry(**data: object) -> str:
    email = {"to": "ada@example.com", "templateName": "welcome", "originalEmailId": "first"} | data
    return json.dumps({"originalEmailData": email, "retryAttempt": 1})


def given_up(event_body: str) -> str:
    """A Lambda on-failure record."""
    return json.dumps({"version": "1.0", "requestPayload": json.loads(event_body)})


@pytest.fixture
def sqs() -> FakeSqs:
    return FakeSqs()


def run(sqs: FakeSqs, *keys: str) -> ParkedMail:
    return ParkedMail(sqs, SetBrakes(set(keys)), QueueUrls(parked=PARKED, bulk=BULK, retry=RETRY))


async def test_every_envelope_goes_back_unchanged_to_its_own_lane(sqs: FakeSqs) -> None:
    bulk = event(priority="bulk")
    others = [event(), retry(), retry(priority="bulk"), given_up(event(3)), "no envelope at all"]
    sqs.park(bulk, *others)
    assert await run(sqs).bring_back() == Return(moved=6)
    assert sqs.lanes[BULK] == [bulk]
    assert sorted(sqs.lanes[RETRY]) == sorted(others)
    assert not sqs.parked


async def test_what_another_brake_stops_stays_and_can_be_received_at_once(sqs: FakeSqs) -> None:
    held = [
        event(1, templateName="invoice"),
        event(2, priority="bulk", campaign="spring"),
        retry(campaign="x"),
    ]
    sqs.park(event(3), *held)
    keys = ("stop#template#invoice", "stop#campaign#spring", "stop#campaign#x")
    assert await run(sqs, *keys).bring_back() == Return(moved=1, held=dict.fromkeys(keys, 1))
    assert sqs.left == held


async def test_cancelled_mail_goes_to_its_lane_to_fail_whatever_else_is_stopped(sqs: FakeSqs) -> None:
    sqs.park(event(1, priority="bulk", campaign="spring"), event(2))
    returned = await run(sqs, "cancel#campaign#spring", "stop#all").bring_back()
    assert returned == Return(moved=1, held={"stop#all": 1})
    assert len(sqs.lanes[BULK]) == 1


async def test_a_large_queue_comes_back_whole_and_reads_each_brake_once(sqs: FakeSqs) -> None:
    sqs.park(*[event(number, priority="bulk") for number in range(1_234)])
    brakes = SetBrakes()
    seen: list[int] = []
    mail = ParkedMail(sqs, brakes, QueueUrls(parked=PARKED, bulk=BULK, retry=RETRY))
    assert await mail.bring_back(lambda so_far: seen.append(so_far.moved)) == Return(moved=1_234)
    assert len(set(sqs.lanes[BULK])) == len(sqs.lanes[BULK]) == 1_234
    assert seen == sorted(seen)
    assert brakes.reads == 1


async def test_a_lane_that_stops_meanwhile_and_parks_it_all_again_ends_the_run(
    sqs: FakeSqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the engine does over the bounce rate, with BOUNCE_RATE_ACTION=hold-bulk."""
    monkeypatch.setattr(parked, "FRESH_SECONDS", 0.0)  # every look is a new second's
    brakes = SetBrakes()
    rounds: list[int] = []

    def stop() -> None:
        brakes.keys.add("stop#bulk")
        rounds.append(1)
        assert len(rounds) < 100, "it goes round for ever"

    sqs.parks_again = stop
    sqs.park(*[event(number, priority="bulk") for number in range(25)])
    mail = ParkedMail(sqs, brakes, QueueUrls(parked=PARKED, bulk=BULK, retry=RETRY))
    returned = await mail.bring_back()
    assert returned.held == {"stop#bulk": 25}
    assert len(sqs.left) == 25


async def test_messages_too_large_for_one_call_go_in_several(sqs: FakeSqs) -> None:
    sqs.park(*[event(number, templateData={"name": "x" * 600_000}) for number in range(4)])
    assert (await run(sqs).bring_back()).moved == 4


@pytest.mark.parametrize("call", ["ReceiveMessage", "SendMessageBatch", "DeleteMessageBatch"])
async def test_a_run_that_breaks_off_loses_nothing_and_the_next_one_goes_on(sqs: FakeSqs, call: str) -> None:
    bodies = [event(number) for number in range(25)]
    sqs.park(*bodies)
    sqs.breaks = call
    assert call in ((await run(sqs).bring_back()).problem or "")
    assert sqs.left == bodies
    sqs.breaks = ""
    await run(sqs).bring_back()
    assert set(sqs.lanes[RETRY]) == set(bodies)
    assert not sqs.parked


async def test_only_what_its_lane_has_taken_is_deleted(sqs: FakeSqs) -> None:
    refused = event(1)
    sqs.park(event(0), refused, event(2))
    sqs.refuses = {refused}
    returned = await run(sqs).bring_back()
    assert returned.moved == 2
    assert "InternalError" in (returned.problem or "")
    assert sqs.left == [refused]


async def test_what_could_not_be_deleted_can_be_received_again_and_is_told(sqs: FakeSqs) -> None:
    kept = event(1)
    sqs.park(event(0), kept, event(2))
    sqs.keeps = {kept}
    assert "DeleteMessageBatch answered InternalError" in ((await run(sqs).bring_back()).problem or "")
    assert sqs.left == [kept]


async def test_a_run_looks_no_further_than_sqs_hides_messages(
    sqs: FakeSqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parked, "MOST_HELD", 20)
    sqs.park(*[event(number) for number in range(50)])
    returned = await run(sqs, "stop#all").bring_back()
    assert "as far as a run can look" in (returned.problem or "")
    assert len(sqs.left) == 50
