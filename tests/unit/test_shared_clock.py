"""Clocks that differ, corrected by what answers say of the time."""

from hypothesis import given
from hypothesis import strategies as st

from engine.rate.gcra import SECOND
from engine.rate.shared_clock import ClockBounds, observed, telling_moment

NOW = 1_795_507_200 * SECOND
LATENCY = 5_000


def ask(bounds: ClockBounds | None, ours: int, skew: int) -> ClockBounds:
    """An answer at our time `ours`, where the true time is `skew` behind it."""
    date = (ours + LATENCY // 2 - skew) // SECOND
    return observed(bounds, ours, ours + LATENCY, date)


@given(st.integers(-5 * SECOND, 5 * SECOND), st.lists(st.integers(1, 3 * SECOND), min_size=1, max_size=30))
def test_the_truth_always_lies_within_the_bounds(skew: int, pauses: list[int]) -> None:
    bounds, now = None, NOW
    for pause in pauses:
        now += pause
        bounds = ask(bounds, now, skew)
    assert bounds is not None
    assert bounds.low <= -skew <= bounds.high


def test_a_clock_that_may_be_right_is_left_alone() -> None:
    assert ask(None, NOW + SECOND // 2, skew=0).correction == 0
    assert ask(None, NOW + SECOND // 2, skew=300_000).correction == 0


def test_a_clock_that_is_seconds_off_is_corrected_by_one_answer_to_half_a_second() -> None:
    bounds = ask(None, NOW, skew=3 * SECOND)
    assert abs(bounds.correction + 3 * SECOND) <= SECOND // 2 + LATENCY


@given(st.integers(-5 * SECOND, 5 * SECOND))
def test_ten_well_timed_questions_find_the_time_to_ten_milliseconds(skew: int) -> None:
    now = NOW
    bounds = ask(None, now, skew)
    for _ in range(10):
        moment = telling_moment(bounds, now + 1, now + 2 * SECOND)
        assert moment is not None
        now = moment - LATENCY // 2
        bounds = ask(bounds, now, skew)
    assert bounds.doubt <= 2 * LATENCY
    assert bounds.correction == 0 or abs(bounds.correction + skew) <= 10_000


def test_no_moment_tells_anything_where_no_tick_is_near() -> None:
    bounds = ClockBounds(low=-10_000, high=10_000, at=NOW)
    assert telling_moment(bounds, NOW + 100_000, NOW + 900_000) is None
    assert telling_moment(bounds, NOW + 900_000, NOW + 1_100_000) == NOW + SECOND


def test_what_was_known_long_ago_is_doubted_since_clocks_drift() -> None:
    narrow = ClockBounds(low=-1_000, high=1_000, at=NOW)
    assert ask(narrow, NOW + 100 * SECOND + SECOND // 2, skew=0).doubt > 20_000


def test_a_clock_that_was_set_is_judged_anew() -> None:
    bounds = ask(ask(None, NOW, skew=0), NOW + SECOND, skew=30 * SECOND)
    assert bounds.low <= -30 * SECOND <= bounds.high
