"""The arithmetic of send slots, lanes and throttles."""

import itertools
import math

import pytest
from benchmarks.gate.fake_aws import claimed
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.rate.gcra import (
    DECREASE,
    INCREASE,
    SECOND,
    SMALLEST_FACTOR,
    TOO_FAR_AHEAD,
    Availability,
    EmissionInterval,
    RateState,
    SlotRequest,
    availability,
    bulk_due,
    decreased,
    next_start,
    rate_factor,
)

NOW = 1_795_507_200 * SECOND
RATES = st.integers(1, 2000).map(float)  # SES grants whole numbers
LOOK_AHEAD = 300_000
FLOOR = 0.1


# -- slots -----------------------------------------------------------------------------------------------


def sends(interval: EmissionInterval, emails: list[int]) -> list[tuple[int, int]]:
    """When each of some emails goes that claim one behind the other, and to how many."""
    starts = itertools.accumulate((interval.length(email) for email in emails), initial=0)
    return [(start + interval.offset(email), email) for start, email in zip(starts, emails, strict=False)]


@given(RATES, st.lists(st.integers(1, 50), max_size=200))
def test_no_second_wherever_it_begins_holds_more_than_the_rate(rate: float, emails: list[int]) -> None:
    """An email larger than the rate stands alone in every second that holds it; SES lets it pass so."""
    line = sends(EmissionInterval(rate), emails)
    for first, (begin, _) in enumerate(line):
        second = [email for moment, email in line[first:] if moment < begin + SECOND]
        assert sum(second) <= rate or len(second) == 1


@given(RATES, st.lists(st.integers(1, 50), min_size=1, max_size=200))
def test_no_stretch_is_shorter_than_the_rate_grants(rate: float, emails: list[int]) -> None:
    interval = EmissionInterval(rate)
    total = sum(map(interval.length, emails))
    assert sum(emails) / (total / SECOND) <= rate


@given(RATES, st.integers(1, 50))
def test_an_email_is_sent_within_a_second_of_the_begin_of_its_stretch(rate: float, recipients: int) -> None:
    """However large it is, and however small the rate."""
    assert EmissionInterval(rate).offset(recipients) <= 1.03 * SECOND


@pytest.mark.parametrize("rate", [1, 14, 50, 200, 500, 1000])
def test_single_emails_use_98_percent_of_the_rate(rate: float) -> None:
    assert SECOND / EmissionInterval(rate).length(1) == pytest.approx(0.98 * rate, rel=0.002)


@pytest.mark.parametrize(
    ("rate", "burst"), [(1, 1), (14, 1), (50, 1), (200, 5), (300, 7), (500, 11), (1000, 21)]
)
def test_a_burst_costs_no_more_than_its_recipients(rate: float, burst: int) -> None:
    interval = EmissionInterval(rate)
    assert interval.burst == burst
    assert interval.slots(burst) == burst


def test_a_large_email_at_a_small_rate_keeps_others_away_on_both_sides() -> None:
    interval = EmissionInterval(14)
    assert [interval.slots(recipients) for recipients in (1, 2, 3, 20, 50)] == [1, 3, 5, 27, 50]
    assert interval.slot + interval.offset(50) >= SECOND, "from the send before"
    assert interval.length(50) - interval.offset(50) >= SECOND, "to the send after"


def test_half_the_rate_takes_twice_the_time() -> None:
    assert EmissionInterval(50, 0.5).slot == pytest.approx(2 * EmissionInterval(50).slot, abs=2)


# -- claims ----------------------------------------------------------------------------------------------


def transactional(now: int = NOW, length: int = 20_000, patience: int = 20 * SECOND) -> SlotRequest:
    return SlotRequest(now=now, length=length, latest=now + patience)


def bulk(now: int = NOW, length: int = 20_000, patience: int = 20 * SECOND) -> SlotRequest:
    return SlotRequest(
        now=now,
        length=length,
        latest=now + patience,
        bulk_limit=now + LOOK_AHEAD,
        next_bulk_tat=now + int(length / FLOOR),
    )


@given(st.integers(-10 * SECOND, 2 * TOO_FAR_AHEAD))
def test_a_stretch_begins_at_the_tat_or_now(ahead: int) -> None:
    start = next_start(RateState(tat=NOW + ahead), NOW)
    assert start == (NOW + ahead if 0 <= ahead <= TOO_FAR_AHEAD else NOW)


def test_transactional_mail_waits_as_long_as_its_time_allows() -> None:
    request = transactional(patience=5 * SECOND)
    assert availability(RateState(tat=NOW - 1), request) is Availability.IDLE
    assert availability(RateState(tat=NOW), request) is Availability.OPEN
    assert availability(RateState(tat=NOW + 5 * SECOND), request) is Availability.OPEN
    assert availability(RateState(tat=NOW + 5 * SECOND + 1), request) is Availability.FULL
    assert availability(RateState(tat=NOW + TOO_FAR_AHEAD + 1), request) is Availability.IDLE


def test_bulk_mail_claims_no_further_ahead_than_its_limit() -> None:
    not_due = NOW + 1
    at_limit = RateState(tat=NOW + LOOK_AHEAD, bulk_tat=not_due)
    assert availability(at_limit, bulk()) is Availability.OPEN
    assert bulk_due(at_limit, NOW, LOOK_AHEAD) == NOW
    beyond = RateState(tat=NOW + LOOK_AHEAD + 1, bulk_tat=not_due)
    assert availability(beyond, bulk()) is Availability.FULL
    assert bulk_due(beyond, NOW, LOOK_AHEAD) == NOW + 1


def test_bulk_mail_whose_floor_is_due_claims_however_far_ahead_the_tat_is() -> None:
    state = RateState(tat=NOW + 9 * SECOND, bulk_tat=NOW)
    assert bulk_due(state, NOW, LOOK_AHEAD) == NOW
    assert availability(state, bulk(patience=9 * SECOND)) is Availability.OPEN
    assert availability(state, bulk(patience=9 * SECOND - 1)) is Availability.FULL


class Flood:
    """Two lanes with endless mail at one state, second after second."""

    def __init__(self) -> None:
        self.state, self.taken = RateState(), {"bulk": 0, "transactional": 0}

    def run(self, seconds: int, transactional_rate: float) -> None:
        """Every ten milliseconds transactional mail for its part of the rate, then bulk mail for the rest."""
        owed = 0.0
        for step in range(seconds * 100):
            now = NOW + step * 10_000
            owed += transactional_rate * 10_000
            if owed >= 1_000:
                owed -= self.take("transactional", transactional(now, int(owed)))
            self.take("bulk", bulk(now, patience=30 * SECOND))

    def take(self, lane: str, request: SlotRequest) -> int:
        if availability(self.state, request) is Availability.FULL:
            return 0
        self.state = claimed(self.state, request)
        self.taken[lane] += request.length
        return request.length

    def part(self, lane: str, seconds: int) -> float:
        return self.taken[lane] / (seconds * SECOND)


@pytest.mark.parametrize("transactional_rate", [0.0, 0.05, 0.2, 0.6])
def test_transactional_mail_gets_what_it_asks_for_and_bulk_mail_the_rest(transactional_rate: float) -> None:
    flood = Flood()
    flood.run(10, transactional_rate)
    assert flood.part("transactional", 10) == pytest.approx(transactional_rate, abs=0.01)
    assert flood.part("bulk", 10) == pytest.approx(1 - transactional_rate, abs=0.07)


def test_a_flood_of_transactional_mail_leaves_bulk_mail_its_floor() -> None:
    flood = Flood()
    flood.run(20, transactional_rate=3.0)
    assert 0.08 <= flood.part("bulk", 20) <= 0.2


# -- throttles -------------------------------------------------------------------------------------------


def throttled(state: RateState, now: int) -> RateState:
    factor = decreased(state, now)
    return state if factor is None else replace(state, rate_factor=factor, throttled_at=now)


def test_a_throttle_takes_a_twentieth_of_the_rate_and_ten_seconds_give_it_back() -> None:
    state = throttled(RateState(), NOW)
    assert rate_factor(state, NOW) == DECREASE
    assert rate_factor(state, NOW + 5 * SECOND) == pytest.approx(0.975)
    assert rate_factor(state, NOW + 10 * SECOND) == 1


def test_throttles_within_a_second_have_one_cause() -> None:
    state = throttled(RateState(), NOW)
    assert decreased(state, NOW + SECOND - 1) is None
    assert decreased(state, NOW + SECOND) == pytest.approx((DECREASE + INCREASE) * DECREASE)


@given(st.lists(st.integers(0, 20 * SECOND), max_size=100))
def test_the_rate_factor_is_never_zero_and_never_above_one(pauses: list[int]) -> None:
    state, now = RateState(), NOW
    for pause in pauses:
        now += pause
        state = throttled(state, now)
        assert SMALLEST_FACTOR <= rate_factor(state, now) <= 1
    assert rate_factor(state, now + math.ceil(SECOND / INCREASE)) == 1
