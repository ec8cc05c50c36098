"""The shared gate, in virtual time: no test waits, and every number is exact."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from benchmarks.gate.fake_aws import BEGIN, Silence, SimulatedTable
from benchmarks.gate.virtual_time import run_virtually
from msgspec.structs import replace

from engine.aws.rate_item import Answer
from engine.aws.send_rate import SendRate
from engine.errors import ServiceUnavailable
from engine.rate.gate import BLIND_SHARE, SharedRateGate
from engine.rate.gcra import ABSURD, CLOSING, SECOND, Claim, Pace
from engine.rate.line import SharedLine
from engine.schemas.request import Lane

T = TypeVar("T")
RATE = 50.0
SLOT = Pace(RATE).slot / SECOND


class Table(SimulatedTable):
    """`trouble` stands before every answer: it may raise, wait or change the line."""

    def __init__(self) -> None:
        super().__init__(random.Random(1))  # noqa: S311 - dice
        self.trouble: Callable[[], Awaitable[None]] | None = None
        self.questions = 0

    async def _reached(self, act: Callable[[], Answer]) -> Answer:
        self.questions += 1
        if self.trouble:
            await self.trouble()
        return await super()._reached(act)


async def refuses() -> None:
    raise ServiceUnavailable("DynamoDB (State) UpdateItem answered ThrottlingException")


async def hangs() -> None:
    await asyncio.sleep(3600)


async def is_broken() -> None:
    raise RuntimeError("a bug")


class NoAccount:
    async def get_account(self) -> Any:
        raise ConnectionError("SES is away")


@dataclass
class FakeAws:
    """A table, and environments that share it."""

    table: Table = field(default_factory=Table)
    telemetry: Silence = field(default_factory=Silence)

    def gate(self, rate: float = RATE, skew: float = 0.0, share: float = 0.8) -> SharedRateGate:
        client: Any = NoAccount()

        def clock() -> float:
            return BEGIN.timestamp() + asyncio.get_running_loop().time() + skew

        return SharedRateGate(
            SharedLine(self.table, clock),
            SendRate(client, rate, clock),
            self.telemetry,
            bulk_share=share,
            vary=lambda low, high: (low + high) / 2,
        )


def now() -> float:
    return asyncio.get_running_loop().time()


def virtual(test: Callable[[FakeAws], Coroutine[Any, Any, T]]) -> Callable[[], T]:
    """Run the test on a loop whose time leaps."""

    def run() -> T:
        return run_virtually(test(FakeAws()))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


async def slots(gate: SharedRateGate, emails: int, lane: Lane, within: float = 25.0) -> list[float]:
    """When each of some emails that ask at once may go, on the loop's clock."""

    async def one() -> float:
        wait = await gate.reserve(1, lane, within)
        return now() + wait

    return list(await asyncio.gather(*(one() for _ in range(emails))))


def gaps(moments: list[float]) -> list[float]:
    ordered = sorted(moments)
    return [after - before for before, after in itertools.pairwise(ordered)]


# -- slots -----------------------------------------------------------------------------------------------


@virtual
async def test_on_an_empty_line_an_email_goes_almost_at_once(fake_aws: FakeAws) -> None:
    wait = await fake_aws.gate().reserve(1, Lane.TRANSACTIONAL, 25)
    assert now() + wait < 0.05


@virtual
async def test_emails_that_ask_at_once_share_one_write_and_stand_a_slot_apart(fake_aws: FakeAws) -> None:
    moments = await slots(fake_aws.gate(), 40, Lane.TRANSACTIONAL)
    assert fake_aws.table.writes == 1
    assert gaps(moments) == pytest.approx([SLOT] * 39, abs=1e-5)


@virtual
async def test_a_bulk_batch_costs_few_writes(fake_aws: FakeAws) -> None:
    moments = await slots(fake_aws.gate(), 100, Lane.BULK)
    assert gaps(moments) == pytest.approx([SLOT] * 99, abs=0.01)
    assert fake_aws.table.writes <= 3 * moments[-1]


@virtual
async def test_slots_of_all_environments_stand_a_slot_apart_together(fake_aws: FakeAws) -> None:
    every = await asyncio.gather(*(slots(fake_aws.gate(), 10, Lane.TRANSACTIONAL) for _ in range(8)))
    moments = [moment for some in every for moment in some]
    assert min(gaps(moments)) >= SLOT - 1e-5
    assert max(moments) < 81 * SLOT + 0.05


@virtual
async def test_an_email_with_copies_takes_the_slots_of_all_its_recipients(fake_aws: FakeAws) -> None:
    gate = fake_aws.gate()
    first = now() + await gate.reserve(5, Lane.TRANSACTIONAL, 25)
    second = now() + await gate.reserve(1, Lane.TRANSACTIONAL, 25)
    assert second - first >= 5 * SLOT - 0.001


@virtual
async def test_an_email_larger_than_the_rate_still_passes_alone(fake_aws: FakeAws) -> None:
    gate = fake_aws.gate(rate=14)

    async def moment(recipients: int) -> float:
        wait = await gate.reserve(recipients, Lane.BULK, 25)
        return now() + wait

    first, large, last = await asyncio.gather(moment(1), moment(50), moment(1))
    assert large - first >= 1
    assert last - large >= 1


# -- lanes -----------------------------------------------------------------------------------------------


@virtual
async def test_a_password_reset_waits_less_than_a_second_behind_a_campaign(fake_aws: FakeAws) -> None:
    campaign = [asyncio.create_task(slots(fake_aws.gate(), 200, Lane.BULK)) for _ in range(3)]
    direct = fake_aws.gate()
    for _ in range(20):
        await asyncio.sleep(0.2)
        began = now()
        wait = await direct.reserve(1, Lane.TRANSACTIONAL, 25)
        assert now() - began + wait < 0.8
    await asyncio.gather(*campaign)


@virtual
async def test_a_smaller_share_for_bulk_mail_shortens_the_wait_behind_it(fake_aws: FakeAws) -> None:
    campaign = [asyncio.create_task(slots(fake_aws.gate(share=0.2), 100, Lane.BULK)) for _ in range(3)]
    await asyncio.sleep(1)
    assert await fake_aws.gate().reserve(1, Lane.TRANSACTIONAL, 25) < 0.5
    await asyncio.gather(*campaign)


@virtual
async def test_bulk_mail_goes_on_while_transactional_mail_fills_the_line(fake_aws: FakeAws) -> None:
    flood = asyncio.create_task(slots(fake_aws.gate(), 600, Lane.TRANSACTIONAL, within=60))
    await asyncio.sleep(0.1)
    waits = await slots(fake_aws.gate(), 3, Lane.BULK)
    assert all(wait < 25 for wait in waits)
    await flood


@virtual
async def test_bulk_mail_comes_on_as_soon_as_transactional_mail_leaves_room(fake_aws: FakeAws) -> None:
    bulk = fake_aws.gate()
    await slots(bulk, 20, Lane.BULK)  # it had its part a moment ago
    await slots(fake_aws.gate(), 150, Lane.TRANSACTIONAL)  # three seconds of the line
    (moment,) = await slots(bulk, 1, Lane.BULK)
    assert moment < 4.5


# -- no slot in time -------------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", Lane)
def test_without_any_time_no_slot_is_taken(lane: Lane) -> None:
    async def play(fake_aws: FakeAws) -> None:
        assert await fake_aws.gate().reserve(1, lane, -1) > 0
        assert fake_aws.table.writes == 0

    run_virtually(play(FakeAws()))


@virtual
async def test_transactional_mail_that_cannot_be_in_time_is_told_at_once_and_takes_no_slot(
    fake_aws: FakeAws,
) -> None:
    gate = fake_aws.gate()
    await slots(gate, 200, Lane.TRANSACTIONAL)
    until, began = fake_aws.table.line.until, now()
    assert await gate.reserve(1, Lane.TRANSACTIONAL, 2.0) > 3.5
    assert fake_aws.table.line.until == until
    assert now() == began


@virtual
async def test_a_longer_line_than_was_known_is_told_as_well(fake_aws: FakeAws) -> None:
    late = fake_aws.gate()
    await late.reserve(1, Lane.TRANSACTIONAL, 2.0)
    await slots(fake_aws.gate(), 200, Lane.TRANSACTIONAL)
    assert await late.reserve(1, Lane.TRANSACTIONAL, 2.0) > 2.0


@virtual
async def test_bulk_mail_without_a_slot_in_time_is_let_go(fake_aws: FakeAws) -> None:
    moments = await slots(fake_aws.gate(), 200, Lane.BULK, within=2.0)
    in_time = [moment for moment in moments if moment <= 2.0]
    assert 80 <= len(in_time) <= 100
    assert now() < 2.1


@virtual
async def test_nobody_is_disturbed_by_one_who_went_away(fake_aws: FakeAws) -> None:
    gate = fake_aws.gate()
    gone = [asyncio.create_task(gate.reserve(1, lane, 25)) for lane in Lane]
    await asyncio.sleep(0)
    others = [asyncio.create_task(gate.reserve(1, lane, 25)) for lane in Lane]
    await asyncio.sleep(0)
    for task in gone:
        task.cancel()
    assert all(wait < 1 for wait in await asyncio.gather(*others))


# -- throttles -------------------------------------------------------------------------------------------


@virtual
async def test_a_throttle_slows_every_environment_down(fake_aws: FakeAws) -> None:
    gate, other = fake_aws.gate(), fake_aws.gate()
    await gate.reserve(1, Lane.TRANSACTIONAL, 25)
    await gate.throttled()
    await other.reserve(1, Lane.TRANSACTIONAL, 25)
    moments = await slots(other, 10, Lane.TRANSACTIONAL)
    assert gaps(moments)[-1] == pytest.approx(SLOT / CLOSING, rel=0.02)


@virtual
async def test_many_throttles_at_once_are_one_write(fake_aws: FakeAws) -> None:
    gate = fake_aws.gate()
    await asyncio.gather(*(gate.throttled() for _ in range(50)))
    assert fake_aws.table.writes == 1
    assert fake_aws.table.line.openness == CLOSING


@virtual
async def test_ten_seconds_later_the_whole_rate_is_used_again(fake_aws: FakeAws) -> None:
    gate = fake_aws.gate()
    await gate.throttled()
    await asyncio.sleep(10)
    assert gaps(await slots(gate, 10, Lane.TRANSACTIONAL))[-1] == pytest.approx(SLOT, abs=1e-5)


@virtual
async def test_a_throttle_counts_here_even_where_the_table_cannot_be_told(fake_aws: FakeAws) -> None:
    gate = fake_aws.gate()
    await gate.reserve(1, Lane.TRANSACTIONAL, 25)
    fake_aws.table.trouble = refuses
    await gate.throttled()
    fake_aws.table.trouble = None
    await asyncio.sleep(1.1)
    await gate.reserve(1, Lane.TRANSACTIONAL, 25)
    assert gaps(await slots(gate, 10, Lane.TRANSACTIONAL))[-1] > SLOT * 1.03
    assert "service-unavailable" in fake_aws.telemetry.names


# -- a State table in trouble ----------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [refuses, hangs])
def test_transactional_mail_goes_on_slowly_while_the_table_does_not_answer(
    trouble: Callable[[], Awaitable[None]],
) -> None:
    async def play(fake_aws: FakeAws) -> list[float]:
        gate = fake_aws.gate()
        fake_aws.table.trouble = trouble
        moments = await slots(gate, 4, Lane.TRANSACTIONAL)
        assert fake_aws.table.questions == 1, "and leaves the table alone"
        return moments

    moments = run_virtually(play(FakeAws()))
    assert moments[0] < 1.1
    assert gaps(moments) == pytest.approx([SLOT / BLIND_SHARE] * 3, rel=0.001)


@virtual
async def test_fifty_blind_environments_keep_the_rate_together(fake_aws: FakeAws) -> None:
    fake_aws.table.trouble = refuses
    every = await asyncio.gather(*(slots(fake_aws.gate(), 12, Lane.TRANSACTIONAL, 12) for _ in range(50)))
    moments = [moment for some in every for moment in some if moment >= 0.5]
    assert sum(0.5 <= moment < 10.5 for moment in moments) <= 10 * RATE


@virtual
async def test_transactional_mail_that_would_wait_too_long_for_that_is_held(fake_aws: FakeAws) -> None:
    gate = fake_aws.gate()
    fake_aws.table.trouble = refuses
    await gate.reserve(1, Lane.TRANSACTIONAL, 25)
    with pytest.raises(ServiceUnavailable):
        await gate.reserve(1, Lane.TRANSACTIONAL, 0.5)


@virtual
async def test_bulk_mail_waits_for_the_table_and_goes_on_with_it(fake_aws: FakeAws) -> None:
    gate = fake_aws.gate()
    fake_aws.table.trouble = refuses
    bulk = asyncio.create_task(slots(gate, 5, Lane.BULK))
    await asyncio.sleep(6)
    assert not bulk.done()
    assert fake_aws.table.questions <= 4, "no storm of questions"
    fake_aws.table.trouble = None
    assert max(await bulk) < 15


@virtual
async def test_bulk_mail_whose_time_is_over_meanwhile_is_held(fake_aws: FakeAws) -> None:
    gate = fake_aws.gate()
    fake_aws.table.trouble = refuses
    with pytest.raises(ServiceUnavailable, match="bulk mail waits"):
        await gate.reserve(1, Lane.BULK, 5)
    assert now() < 5.1


@virtual
async def test_a_bug_reaches_those_who_wait_and_the_gate_goes_on(fake_aws: FakeAws) -> None:
    gate = fake_aws.gate()
    fake_aws.table.trouble = is_broken
    for lane in Lane:
        with pytest.raises(RuntimeError, match="a bug"):
            await gate.reserve(1, lane, 25)
    fake_aws.table.trouble = None
    assert await gate.reserve(1, Lane.TRANSACTIONAL, 25) < 1


@virtual
async def test_a_line_that_never_stands_still_is_tried_again(fake_aws: FakeAws) -> None:
    """Others move the line just before every write of this environment, for a while."""
    gate = fake_aws.gate()
    await gate.reserve(1, Lane.TRANSACTIONAL, 25)
    await asyncio.sleep(1)
    moves = iter([0.5, -0.5, 0.5, -0.5, 0.5])

    async def move() -> None:
        ahead = next(moves, None)
        if ahead is not None:
            until = int((BEGIN.timestamp() + now() + ahead) * SECOND)
            fake_aws.table.line = replace(fake_aws.table.line, until=until)

    fake_aws.table.trouble = move
    assert await gate.reserve(1, Lane.TRANSACTIONAL, 25) < 1
    assert next(moves, None) is None


# -- clocks and rates ------------------------------------------------------------------------------------


@virtual
async def test_a_clock_three_seconds_ahead_does_not_carry_the_line_away(fake_aws: FakeAws) -> None:
    await slots(fake_aws.gate(skew=3.0), 5, Lane.TRANSACTIONAL)
    true_now = int((BEGIN.timestamp() + now()) * SECOND)
    assert fake_aws.table.line.until - true_now < 0.7 * SECOND


@virtual
async def test_a_line_that_a_broken_clock_carried_away_is_begun_anew(fake_aws: FakeAws) -> None:
    gate = fake_aws.gate()
    far = int(BEGIN.timestamp() * SECOND) + 2 * ABSURD
    await fake_aws.table.restart(Claim(now=far, length=1, earliest=far, latest=far, last=far))
    assert await gate.reserve(1, Lane.TRANSACTIONAL, 25) < 0.1


@virtual
async def test_an_environment_that_ses_does_not_answer_takes_the_rate_from_another(fake_aws: FakeAws) -> None:
    asked, unanswered = fake_aws.gate(rate=0), fake_aws.gate(rate=0)
    asked._rate.learn(RATE, int(BEGIN.timestamp()))
    await asked.reserve(1, Lane.TRANSACTIONAL, 25)
    assert fake_aws.table.line.rate == RATE
    assert gaps(await slots(unanswered, 3, Lane.TRANSACTIONAL)) == pytest.approx([SLOT] * 2, abs=1e-5)


@virtual
async def test_one_call_may_carry_what_the_reserve_forgives(fake_aws: FakeAws) -> None:
    assert await fake_aws.gate(rate=500).burst() == 11
    fake_aws.table.trouble = refuses
    assert await fake_aws.gate(rate=500).burst() == 1
