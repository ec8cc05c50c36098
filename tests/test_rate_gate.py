"""The account's rate, and the pacer that keeps to it."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from tests.real_clients import opened

from engine.aws.rate_gate import ProcessPacer, SendRate
from engine.domain.deferral import Lane
from engine.local.ses.threaded import ThreadedSimulator


@dataclass
class Stopwatch:
    """Monotonic seconds that a test turns on."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Ses:
    """Answers GetAccount with the rates in turn; the last one stays. None is an error."""

    rates: list[float | None]
    asked: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def get_account(self) -> dict[str, Any]:
        self.asked += 1
        await self.gate.wait()
        rate = self.rates.pop(0) if len(self.rates) > 1 else self.rates[0]
        if rate is None:
            raise ClientError({"Error": {"Code": "TooManyRequestsException", "Message": ""}}, "GetAccount")
        return {"SendQuota": {"MaxSendRate": rate}}


def rate_of(ses: Ses, watch: Stopwatch, configured: float = 0) -> SendRate:
    ses.gate.set()
    client: Any = ses
    return SendRate(client, configured, watch)


# -- the rate ------------------------------------------------------------------------------------------------


async def test_the_rate_is_what_ses_says(ses: ThreadedSimulator) -> None:
    ses.configure(max_send_rate=200)
    async with opened("sesv2", ses.url) as client:
        assert await SendRate(client, 0, Stopwatch())() == 200


async def test_a_configured_rate_holds_without_a_question() -> None:
    ses = Ses([200])
    assert await rate_of(ses, Stopwatch(), configured=7)() == 7
    assert ses.asked == 0


async def test_a_rate_is_asked_for_again_after_five_minutes() -> None:
    ses, watch = Ses([14, 50]), Stopwatch()
    rate = rate_of(ses, watch)
    assert [await rate(), await rate()] == [14, 14]
    watch.now += 299
    assert await rate() == 14
    watch.now += 1
    assert await rate() == 50
    assert ses.asked == 2


async def test_while_ses_can_not_be_asked_the_last_rate_stays_and_the_question_comes_soon() -> None:
    ses, watch = Ses([50, None, 200]), Stopwatch()
    rate = rate_of(ses, watch)
    assert await rate() == 50
    watch.now += 300
    assert await rate() == 50
    watch.now += 30
    assert await rate() == 200


@pytest.mark.parametrize("unusable", [None, 0.0])
async def test_without_an_answer_the_rate_is_that_of_any_account(unusable: float | None) -> None:
    assert await rate_of(Ses([unusable]), Stopwatch())() == 14


async def test_of_many_at_once_one_asks_and_nobody_waits_for_it() -> None:
    ses = Ses([200])
    client: Any = ses
    rate = SendRate(client, 0, Stopwatch())
    first = asyncio.create_task(rate())
    await asyncio.sleep(0)
    assert [await rate() for _ in range(5)] == [14] * 5
    ses.gate.set()
    assert await first == 200
    assert ses.asked == 1


# -- the pacer -----------------------------------------------------------------------------------------------


def pacer(watch: Stopwatch, rate: float = 10) -> ProcessPacer:
    async def known() -> float:
        return rate

    return ProcessPacer(known, watch)


async def waits(gate: ProcessPacer, *recipients: int) -> list[float]:
    return [round(await gate.reserve(count, Lane.TRANSACTIONAL), 6) for count in recipients]


async def test_the_first_goes_at_once_and_the_others_evenly_after_it() -> None:
    assert await waits(pacer(Stopwatch()), 1, 1, 1) == [0, 0.1, 0.2]


async def test_every_recipient_takes_a_slot() -> None:
    assert await waits(pacer(Stopwatch()), 50, 1) == [0, 5]


async def test_a_pause_is_not_saved_up_for_a_burst() -> None:
    watch = Stopwatch()
    gate = pacer(watch)
    await waits(gate, 1)
    watch.now += 60
    assert await waits(gate, 1, 1) == [0, 0.1]


async def test_after_a_throttle_it_goes_at_half_the_rate_and_recovers_within_five_seconds() -> None:
    watch = Stopwatch()
    gate = pacer(watch)
    await gate.throttled()
    assert await waits(gate, 1, 1) == [0, 0.2]
    watch.now += 2.5
    assert await waits(gate, 1, 1) == [0, round(1 / 7.5, 6)]
    watch.now += 2.5
    assert await waits(gate, 1, 1) == [0, 0.1]


async def test_reservations_at_once_never_share_a_slot() -> None:
    gate = pacer(Stopwatch())
    found = await asyncio.gather(*(gate.reserve(1, Lane.BULK) for _ in range(10)))
    assert sorted(round(wait, 6) for wait in found) == [round(n / 10, 6) for n in range(10)]


@given(
    st.floats(1, 1000), st.lists(st.tuples(st.floats(0, 3), st.integers(1, 50), st.booleans()), max_size=30)
)
async def test_no_stretch_of_time_holds_more_than_the_rate(
    rate: float, asked: list[tuple[float, int, bool]]
) -> None:
    """Between two sends lies the time that the first one's recipients take, whatever is asked and when."""
    watch = Stopwatch()
    gate = pacer(watch, rate)
    free_from = 0.0
    for pause, recipients, throttled in asked:
        watch.now += pause
        if throttled:
            await gate.throttled()
        start = watch.now + await gate.reserve(recipients, Lane.TRANSACTIONAL)
        assert start >= free_from - 1e-6
        free_from = start + recipients / rate
