"""The rate gate, in virtual time: no test waits, and every number is exact."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from benchmarks.gate.fake_aws import Silence, SimulatedTable, loop_now
from benchmarks.gate.virtual_time import run_virtually
from msgspec.structs import replace

from engine.errors import ServiceUnavailable
from engine.rate.gate import BLIND_SHARE, SharedRateGate
from engine.rate.gcra import DECREASE, SECOND, TOO_FAR_AHEAD, EmissionInterval, RateState
from engine.rate.shared_state import AccountRate, Answer, SharedRateState
from engine.schemas.request import Lane

T = TypeVar("T")
RATE = 50.0
SLOT = EmissionInterval(RATE).slot / SECOND


class Table(SimulatedTable):
    """`trouble` stands before every answer: it may raise, wait or change the state."""

    def __init__(self) -> None:
        super().__init__(random.Random(1))  # noqa: S311 - dice
        self.trouble: Callable[[], Awaitable[None]] | None = None
        self.questions = 0

    async def reached(self, write: Callable[[], RateState | None]) -> Answer:
        self.questions += 1
        if self.trouble:
            await self.trouble()
        return await super().reached(write)


async def refuses() -> None:
    raise ServiceUnavailable("DynamoDB (State) UpdateItem answered ThrottlingException")


async def hangs() -> None:
    await asyncio.sleep(3600)


async def is_broken() -> None:
    raise RuntimeError("a bug")


async def says_nothing() -> float:
    raise ServiceUnavailable("SES is away")


@dataclass
class FakeAws:
    """A table, and environments that share it. `says`: what SES answers to GetAccount."""

    table: Table = field(default_factory=Table)
    telemetry: Silence = field(default_factory=Silence)

    def gate(
        self, rate: float = RATE, share: float = 0.8, says: Callable[[], Awaitable[float]] = says_nothing
    ) -> SharedRateGate:
        shared = SharedRateState(self.table, self.telemetry, lambda: loop_now().timestamp())
        account_rate = AccountRate(shared, says, self.telemetry, configured=rate)
        return SharedRateGate(shared, account_rate, bulk_share=share, vary=lambda low, high: (low + high) / 2)


def now() -> float:
    return asyncio.get_running_loop().time()


def virtual(test: Callable[[FakeAws], Coroutine[Any, Any, T]]) -> Callable[[], T]:
    """Run the test on a loop whose time leaps."""

    def run() -> T:
        return run_virtually(test(FakeAws()))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


async def moment(gate: SharedRateGate, recipients: int, lane: Lane, within: float = 25.0) -> float:
    """When an email may go, on the loop's clock."""
    wait = await gate.reserve(recipients, lane, within)
    return now() + wait


async def slots(gate: SharedRateGate, emails: int, lane: Lane, within: float = 25.0) -> list[float]:
    """When each of some emails that ask at once may go."""

    async def at(slot: Awaitable[float]) -> float:
        wait = await slot
        return now() + wait

    asked = [gate.reserve(1, lane, within) for _ in range(emails)]
    return await asyncio.gather(*map(at, asked))


def gaps(moments: list[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(sorted(moments))]


# -- slots -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", Lane)
def test_a_lone_email_goes_as_soon_as_the_table_has_answered(lane: Lane) -> None:
    async def play(fake_aws: FakeAws) -> float:
        gate = fake_aws.gate()
        await gate.burst()  # as the pipeline asks before; it reads the state
        began = now()
        at = await moment(gate, 1, lane)
        assert fake_aws.table.writes == 2
        return at - began

    assert run_virtually(play(FakeAws())) <= 0.02


@pytest.mark.parametrize("lane", Lane)
def test_emails_that_ask_at_once_share_a_claim_and_stand_a_slot_apart(lane: Lane) -> None:
    """Also on an idle rate, where the first leaves later than its slot: as late as the answer is."""

    async def play(fake_aws: FakeAws) -> None:
        gate = fake_aws.gate(rate=500)
        await gate.burst()
        before = fake_aws.table.writes
        moments = await slots(gate, 50, lane)
        assert fake_aws.table.writes == before + 1
        assert min(gaps(moments)) >= SLOT / 10 - 1e-5
        assert gaps(moments)[1:] == pytest.approx([SLOT / 10] * 48, abs=1e-5)

    run_virtually(play(FakeAws()))


@virtual
async def test_a_bulk_batch_costs_few_writes(fake_aws: FakeAws) -> None:
    moments = await slots(fake_aws.gate(), 100, Lane.BULK)
    assert max(moments) < 100 * SLOT + 0.05
    assert fake_aws.table.writes <= 4 * max(moments)


@virtual
async def test_slots_of_all_environments_stand_a_slot_apart_together(fake_aws: FakeAws) -> None:
    every = await asyncio.gather(*(slots(fake_aws.gate(), 10, Lane.TRANSACTIONAL) for _ in range(8)))
    moments = sorted(moment for some in every for moment in some)
    assert min(gaps(moments)) >= SLOT - 1e-5
    assert max(moments) < 81 * SLOT + 0.05


@virtual
async def test_an_email_with_copies_takes_the_slots_of_all_its_recipients(fake_aws: FakeAws) -> None:
    gate = fake_aws.gate()
    first = await moment(gate, 5, Lane.TRANSACTIONAL)
    second = await moment(gate, 1, Lane.TRANSACTIONAL)
    assert second - first >= 5 * SLOT - 0.001


@pytest.mark.parametrize("lane", Lane)
def test_an_email_larger_than_the_rate_still_passes_alone(lane: Lane) -> None:
    async def play(fake_aws: FakeAws) -> None:
        gate = fake_aws.gate(rate=14)
        first, large, last = await asyncio.gather(*(moment(gate, n, lane) for n in (1, 50, 1)))
        assert large - first >= 1
        assert last - large >= 1

    run_virtually(play(FakeAws()))


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize("recipients", [25, 50])
def test_in_the_sandbox_a_large_email_leaves_and_the_next_waits_for_its_recipients(
    lane: Lane, recipients: int
) -> None:
    """At one recipient a second, its stretch is longer than an invocation."""

    async def play(fake_aws: FakeAws) -> None:
        gate = fake_aws.gate(rate=1)
        assert await moment(gate, recipients, lane) < 1.1
        assert await gate.reserve(1, lane, 20) > 20, "come again"
        await asyncio.sleep(recipients * 1.03)
        assert await moment(gate, recipients, lane) < recipients * 1.03 + 22.5

    run_virtually(play(FakeAws()))


# -- lanes -----------------------------------------------------------------------------------------------


@virtual
async def test_a_password_reset_waits_less_than_a_second_behind_a_campaign(fake_aws: FakeAws) -> None:
    campaign = [asyncio.create_task(slots(fake_aws.gate(), 200, Lane.BULK)) for _ in range(3)]
    direct = fake_aws.gate()
    for _ in range(20):
        await asyncio.sleep(0.2)
        assert await moment(direct, 1, Lane.TRANSACTIONAL) - now() < 0.8
    await asyncio.gather(*campaign)


@virtual
async def test_a_smaller_share_for_bulk_mail_shortens_the_wait_behind_it(fake_aws: FakeAws) -> None:
    campaign = [asyncio.create_task(slots(fake_aws.gate(share=0.2), 100, Lane.BULK)) for _ in range(3)]
    await asyncio.sleep(1)
    assert await fake_aws.gate().reserve(1, Lane.TRANSACTIONAL, 25) < 0.5
    await asyncio.gather(*campaign)


@virtual
async def test_bulk_mail_goes_on_while_transactional_mail_fills_the_rate(fake_aws: FakeAws) -> None:
    flood = asyncio.create_task(slots(fake_aws.gate(), 600, Lane.TRANSACTIONAL, within=60))
    await asyncio.sleep(0.1)
    assert max(await slots(fake_aws.gate(), 3, Lane.BULK)) < 25
    await flood


@virtual
async def test_bulk_mail_comes_on_as_soon_as_transactional_mail_leaves_room(fake_aws: FakeAws) -> None:
    bulk = fake_aws.gate()
    await slots(bulk, 20, Lane.BULK)  # it had its part a moment ago
    await slots(fake_aws.gate(), 150, Lane.TRANSACTIONAL)  # three seconds of the rate
    assert await moment(bulk, 1, Lane.BULK) < 4.5


@virtual
async def test_a_new_environment_sees_that_there_is_no_room_and_writes_nothing(fake_aws: FakeAws) -> None:
    campaign = asyncio.create_task(slots(fake_aws.gate(), 40, Lane.BULK))
    await asyncio.sleep(0.02)
    writes = fake_aws.table.writes
    late = asyncio.create_task(fake_aws.gate().reserve(1, Lane.BULK, 25))
    await asyncio.sleep(0.02)
    assert fake_aws.table.writes == writes + 1, "the one read"
    assert await late < 1
    await campaign


@virtual
async def test_who_waited_longest_claims_first(fake_aws: FakeAws) -> None:
    """One that has waited most of its time looks further ahead than a campaign that takes all there is."""
    campaign = asyncio.create_task(slots(fake_aws.gate(), 600, Lane.BULK))
    await asyncio.sleep(0.5)
    assert await moment(fake_aws.gate(), 1, Lane.BULK, within=4) < 4.5
    await campaign


# -- no slot in time -------------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", Lane)
def test_without_any_time_no_slot_is_taken(lane: Lane) -> None:
    async def play(fake_aws: FakeAws) -> None:
        assert await fake_aws.gate().reserve(1, lane, -1) > -1
        assert fake_aws.table.state.tat == 0

    run_virtually(play(FakeAws()))


@virtual
async def test_transactional_mail_that_cannot_be_in_time_is_told_at_once_and_takes_no_slot(
    fake_aws: FakeAws,
) -> None:
    gate = fake_aws.gate()
    await slots(gate, 200, Lane.TRANSACTIONAL)
    before, began = fake_aws.table.state, now()
    assert await gate.reserve(1, Lane.TRANSACTIONAL, 2.0) > 3.5
    assert fake_aws.table.state == before
    assert now() == began


@virtual
async def test_what_others_took_meanwhile_is_told_as_well(fake_aws: FakeAws) -> None:
    late = fake_aws.gate()
    await late.reserve(1, Lane.TRANSACTIONAL, 2.0)
    await slots(fake_aws.gate(), 200, Lane.TRANSACTIONAL)
    assert await late.reserve(1, Lane.TRANSACTIONAL, 2.0) > 2.0


@virtual
async def test_bulk_mail_whose_room_comes_too_late_is_told_at_once(fake_aws: FakeAws) -> None:
    gate = fake_aws.gate(rate=1)
    await gate.reserve(30, Lane.BULK, 25)
    began = now()
    assert await gate.reserve(1, Lane.BULK, 20) == pytest.approx(30.3, abs=0.5)
    assert now() == began


@virtual
async def test_bulk_mail_without_a_slot_in_time_is_let_go(fake_aws: FakeAws) -> None:
    moments = await slots(fake_aws.gate(), 200, Lane.BULK, within=2.0)
    in_time = [moment for moment in moments if moment <= 2.0]
    assert 80 <= len(in_time) <= 100
    assert now() < 2.1


@virtual
async def test_an_email_with_less_time_than_those_around_it_takes_nothing_from_them(
    fake_aws: FakeAws,
) -> None:
    gate = fake_aws.gate()
    times = (25.0, 25.0, 0.01, 25.0)
    first, second, hasty, last = await asyncio.gather(
        *(moment(gate, 1, Lane.TRANSACTIONAL, within) for within in times)
    )
    assert hasty > 0.01
    assert gaps([first, second, last])[1] == pytest.approx(SLOT, abs=1e-5)


@virtual
async def test_nobody_is_disturbed_by_one_who_went_away(fake_aws: FakeAws) -> None:
    """Whether it was claiming for all or waiting behind another."""
    gate = fake_aws.gate()
    asked = [asyncio.create_task(gate.reserve(1, lane, 25)) for lane in Lane for _ in range(4)]
    await asyncio.sleep(0.001)
    gone, others = asked[::2], asked[1::2]
    for task in gone:
        task.cancel()
    assert all(wait < 1 for wait in await asyncio.gather(*others))
    assert all(task.cancelled() for task in gone)
    assert await gate.reserve(1, Lane.BULK, 25) < 1


# -- throttles -------------------------------------------------------------------------------------------


@virtual
async def test_a_throttle_slows_every_environment_down(fake_aws: FakeAws) -> None:
    gate, other = fake_aws.gate(), fake_aws.gate()
    await gate.reserve(1, Lane.TRANSACTIONAL, 25)
    await gate.throttled()
    moments = await slots(other, 10, Lane.TRANSACTIONAL)
    assert gaps(moments)[-1] == pytest.approx(SLOT / DECREASE, rel=0.02)


@virtual
async def test_many_throttles_at_once_are_one_write(fake_aws: FakeAws) -> None:
    gate, other = fake_aws.gate(), fake_aws.gate()
    await asyncio.gather(*(gate.throttled() for _ in range(50)), *(other.throttled() for _ in range(50)))
    assert fake_aws.table.writes == 2, "one of each, and the later one in vain"
    assert fake_aws.table.state.rate_factor == DECREASE


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
    assert gaps(await slots(gate, 10, Lane.TRANSACTIONAL))[-1] > SLOT * 1.03
    await gate.throttled()
    assert fake_aws.table.state.rate_factor < DECREASE, "and the next one is told"


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
        assert fake_aws.telemetry.names == ["service-unavailable"]
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
    held = await asyncio.gather(*(gate.reserve(1, Lane.BULK, 5) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(error, ServiceUnavailable) for error in held)
    assert "bulk mail waits" in str(held[0])
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
async def test_a_state_that_never_stands_still_is_tried_again(fake_aws: FakeAws) -> None:
    """Others move the TAT just before every write of this environment, for a while."""
    gate = fake_aws.gate()
    await gate.reserve(1, Lane.TRANSACTIONAL, 25)
    await asyncio.sleep(1)
    moves = iter([0.5, -0.5, 0.5, -0.5, 0.5])

    async def move() -> None:
        ahead = next(moves, None)
        if ahead is not None:
            tat = int((loop_now().timestamp() + ahead) * SECOND)
            fake_aws.table.state = replace(fake_aws.table.state, tat=tat)

    fake_aws.table.trouble = move
    assert await gate.reserve(1, Lane.TRANSACTIONAL, 25) < 1
    assert next(moves, None) is None


@virtual
async def test_a_tat_that_a_broken_clock_carried_away_is_begun_anew(fake_aws: FakeAws) -> None:
    far = int(loop_now().timestamp() * SECOND) + 2 * TOO_FAR_AHEAD
    fake_aws.table.state = RateState(tat=far, bulk_tat=far)
    gate = fake_aws.gate()
    for lane in Lane:
        assert await gate.reserve(1, lane, 25) < 0.1


# -- the account's rate ----------------------------------------------------------------------------------


@virtual
async def test_an_environment_that_ses_does_not_answer_takes_the_rate_from_another(fake_aws: FakeAws) -> None:
    async def says_fifty() -> float:
        return RATE

    await fake_aws.gate(rate=0, says=says_fifty).burst()
    assert fake_aws.table.state.rate == RATE
    assert "send-rate-told" in fake_aws.telemetry.names
    moments = await slots(fake_aws.gate(rate=0), 4, Lane.TRANSACTIONAL)
    assert gaps(moments)[1:] == pytest.approx([SLOT] * 2, abs=1e-5)


@virtual
async def test_one_call_may_carry_what_the_reserve_forgives(fake_aws: FakeAws) -> None:
    assert await fake_aws.gate(rate=500).burst() == 11
    fake_aws.table.trouble = refuses
    assert await fake_aws.gate(rate=500).burst() == 1
