"""The arithmetic of send slots, lanes and throttles."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.rate.gcra import (
    ABSURD,
    BULK_FLOOR,
    CLOSING,
    LEAST_OPEN,
    LONGEST_BULK_CLAIM,
    LOOK_AHEAD,
    OPENING,
    SECOND,
    URGENT_LOOK_AHEAD,
    Line,
    Pace,
    Standing,
    beginning,
    bulk_claim,
    bulk_round,
    closed_further,
    fair_stretch,
    handed_out,
    openness,
    standing,
    transactional_claim,
)

NOW = 1_795_507_200 * SECOND
RATES = st.floats(1, 2000)


# -- slots -----------------------------------------------------------------------------------------------


def sends(pace: Pace, emails: list[int]) -> list[tuple[int, int]]:
    """When each of some emails goes that stand in line one behind the other, and to how many."""
    starts = itertools.accumulate((pace.length(email) for email in emails), initial=0)
    return [(start + pace.moment(email), email) for start, email in zip(starts, emails, strict=False)]


@given(RATES, st.lists(st.integers(1, 50), max_size=200))
def test_no_second_wherever_it_begins_holds_more_than_the_rate(rate: float, emails: list[int]) -> None:
    """An email larger than the rate stands alone in every second that holds it; SES lets it pass so."""
    line = sends(Pace(rate), emails)
    for first, (begin, _) in enumerate(line):
        second = [email for moment, email in line[first:] if moment < begin + SECOND]
        assert sum(second) <= rate or len(second) == 1


@given(RATES, st.lists(st.integers(1, 50), min_size=1, max_size=200))
def test_no_stretch_of_the_line_is_shorter_than_the_rate_grants(rate: float, emails: list[int]) -> None:
    pace = Pace(rate)
    total = sum(map(pace.length, emails))
    assert sum(emails) / (total / SECOND) <= rate


@pytest.mark.parametrize("rate", [1, 14, 50, 200, 500, 1000])
def test_single_emails_use_98_percent_of_the_rate(rate: float) -> None:
    assert SECOND / Pace(rate).length(1) == pytest.approx(0.98 * rate, rel=0.002)


@pytest.mark.parametrize(
    ("rate", "burst"), [(1, 1), (14, 1), (50, 1), (200, 5), (300, 7), (500, 11), (1000, 21)]
)
def test_a_burst_costs_no_more_than_its_recipients(rate: float, burst: int) -> None:
    pace = Pace(rate)
    assert pace.burst == burst
    assert pace.slots(burst) == burst


def test_a_large_email_at_a_small_rate_keeps_others_away_on_both_sides() -> None:
    pace = Pace(14)
    assert [pace.slots(recipients) for recipients in (1, 2, 3, 20, 50)] == [1, 3, 5, 27, 50]
    assert pace.slot + pace.moment(20) >= SECOND, "from the send before"
    assert pace.length(20) - pace.moment(20) >= SECOND, "to the send after"


def test_a_gate_half_open_takes_twice_the_time() -> None:
    assert Pace(50, 0.5).slot == pytest.approx(2 * Pace(50).slot, abs=2)


# -- the line --------------------------------------------------------------------------------------------


def transactional(now: int = NOW, length: int = 20_000, patience: int = 20 * SECOND) -> object:
    return transactional_claim(now, length, now + 10_000, now + patience)


@given(st.integers(-10 * SECOND, 2 * ABSURD))
def test_a_claim_begins_no_earlier_than_it_can_be_known(ahead: int) -> None:
    begin = beginning(Line(until=NOW + ahead), NOW, 10_000)
    assert NOW + 10_000 <= begin <= NOW + ABSURD


def test_transactional_mail_stands_in_line_as_long_as_its_time_allows() -> None:
    claim = transactional_claim(NOW, 20_000, NOW + 10_000, NOW + 5 * SECOND)
    assert standing(Line(until=NOW), claim) is Standing.BEHIND
    assert standing(Line(until=NOW + 10_000), claim) is Standing.OPEN
    assert standing(Line(until=NOW + 5 * SECOND), claim) is Standing.OPEN
    assert standing(Line(until=NOW + 5 * SECOND + 1), claim) is Standing.FULL
    assert standing(Line(until=NOW + ABSURD + 1), claim) is Standing.BEHIND


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("urgency", [0.0, 0.5, 1.0])
def test_bulk_mail_claims_while_its_share_of_the_look_ahead_is_free(share: float, urgency: float) -> None:
    claim = bulk_claim(NOW, 1_000, NOW, NOW + 9 * SECOND, share, urgency)
    limit = NOW + int(share * LOOK_AHEAD + urgency * URGENT_LOOK_AHEAD)
    assert standing(Line(until=limit, bulk_due=NOW + 1), claim) is Standing.OPEN
    assert standing(Line(until=limit + 1, bulk_due=NOW + 1), claim) is Standing.FULL


def test_bulk_mail_that_is_due_claims_however_long_the_line_is() -> None:
    claim = bulk_claim(NOW, 1_000, NOW, NOW + 9 * SECOND, 0.8, 0.0)
    assert standing(Line(until=NOW + 9 * SECOND, bulk_due=NOW), claim) is Standing.OPEN
    assert standing(Line(until=NOW + 9 * SECOND + 1, bulk_due=NOW), claim) is Standing.FULL


def test_what_bulk_mail_claims_delays_when_it_is_due_again() -> None:
    claim = bulk_claim(NOW, 30_000, NOW, NOW + SECOND, 0.8, 0.0)
    after = handed_out(Line(until=NOW), claim, NOW)
    assert (after.until, after.bulk_claims) == (NOW + 30_000, 1)
    assert after.bulk_due == pytest.approx(NOW + 30_000 / BULK_FLOOR)


def test_transactional_claims_leave_alone_when_bulk_mail_is_due() -> None:
    line = Line(until=NOW, bulk_due=5, bulk_claims=3)
    claim = transactional_claim(NOW, 20_000, NOW, NOW + SECOND)
    assert handed_out(line, claim, NOW) == replace(line, until=NOW + 20_000)


class Flood:
    """Two lanes with endless mail at one line, second after second."""

    def __init__(self, share: float) -> None:
        self.line, self.share, self.taken = Line(), share, {"bulk": 0, "transactional": 0}

    def run(self, seconds: int, transactional_rate: float) -> None:
        """Every ten milliseconds transactional mail for its part of the line, then bulk mail for the rest."""
        owed = 0.0
        for step in range(seconds * 100):
            now = NOW + step * 10_000
            owed += transactional_rate * 10_000
            if owed >= 1_000:
                claim = transactional_claim(now, int(owed), now, now + 20 * SECOND)
                owed -= self.take("transactional", claim)
            self.take("bulk", bulk_claim(now, 20_000, now, now + 30 * SECOND, self.share, 0.0))

    def take(self, lane: str, claim: object) -> int:
        assert isinstance(claim, type(transactional_claim(0, 0, 0, 0)))
        stands = standing(self.line, claim)
        if stands is Standing.FULL:
            return 0
        start = claim.earliest if stands is Standing.BEHIND else self.line.until
        self.line = handed_out(self.line, claim, start)
        self.taken[lane] += claim.length
        return claim.length

    def part(self, lane: str, seconds: int) -> float:
        return self.taken[lane] / (seconds * SECOND)


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_bulk_mail_alone_is_lent_the_whole_line(share: float) -> None:
    flood = Flood(share)
    flood.run(10, transactional_rate=0)
    assert flood.part("bulk", 10) >= 0.99


@pytest.mark.parametrize("transactional_rate", [0.05, 0.2, 0.6])
def test_transactional_mail_gets_what_it_asks_for_and_bulk_mail_the_rest(transactional_rate: float) -> None:
    flood = Flood(0.8)
    flood.run(10, transactional_rate)
    assert flood.part("transactional", 10) == pytest.approx(transactional_rate, abs=0.01)
    assert flood.part("bulk", 10) == pytest.approx(1 - transactional_rate, abs=0.07)


def test_a_flood_of_transactional_mail_starves_no_bulk_mail_and_leaves_it_no_more_than_its_share() -> None:
    flood = Flood(0.8)
    flood.run(20, transactional_rate=3.0)
    line = flood.part("bulk", 20) + flood.part("transactional", 20)
    assert 0.08 <= flood.part("bulk", 20) <= 0.2
    assert flood.part("bulk", 20) / line <= 0.8


# -- how often -------------------------------------------------------------------------------------------


@given(st.floats(0, 1000))
def test_an_environment_claims_at_most_three_times_a_second_and_at_least_once(others: float) -> None:
    assert 1 / 3 <= bulk_round(others) <= 1


@given(st.integers(1, 100))
def test_environments_together_claim_enough_to_keep_the_line_full(environments: int) -> None:
    """In balance each sees the others claim once a round; together they hand out more than passes."""
    wait = 1.0
    for _ in range(200):
        wait = bulk_round((environments - 1) / wait)
    stretch = fair_stretch((environments - 1) / wait)
    assert environments * stretch / wait >= 0.99 * SECOND
    assert stretch <= LONGEST_BULK_CLAIM


# -- throttles -------------------------------------------------------------------------------------------


def closed(line: Line, now: int) -> Line:
    factor = closed_further(line, now)
    return line if factor is None else replace(line, openness=factor, throttled_at=now)


def test_a_throttle_closes_the_gate_by_a_twentieth_and_ten_seconds_open_it() -> None:
    line = closed(Line(), NOW)
    assert openness(line, NOW) == CLOSING
    assert openness(line, NOW + 5 * SECOND) == pytest.approx(0.975)
    assert openness(line, NOW + 10 * SECOND) == 1


def test_throttles_within_a_second_have_one_cause() -> None:
    line = closed(Line(), NOW)
    assert closed_further(line, NOW + SECOND - 1) is None
    assert closed_further(line, NOW + SECOND) == pytest.approx((CLOSING + OPENING) * CLOSING)


@given(st.lists(st.integers(0, 20 * SECOND), max_size=100))
def test_the_gate_is_never_shut_and_never_wider_than_the_rate(pauses: list[int]) -> None:
    line, now = Line(), NOW
    for pause in pauses:
        now += pause
        line = closed(line, now)
        assert LEAST_OPEN <= openness(line, now) <= 1
    assert openness(line, now + math.ceil(SECOND / OPENING)) == 1
