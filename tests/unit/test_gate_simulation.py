"""The targets of the rate gate, in virtual time: small cells of the benchmark's matrix.

The whole matrix is `python -m benchmarks.gate`.
"""

import pytest
from benchmarks.gate import simulate
from benchmarks.gate.__main__ import row
from benchmarks.gate.simulate import RATES, Cell, CellResult, matrix


def play(**cell: object) -> CellResult:
    return simulate.play(Cell(name="test", **cell))  # type: ignore[arg-type] # fields by name


@pytest.mark.parametrize(
    ("rate", "environments", "seconds"),
    [(14, 1, 60), (14, 50, 60), (50, 14, 40), (200, 4, 12), (200, 50, 12), (500, 14, 8), (1000, 1, 7)],
)
def test_the_rate_is_used_to_97_percent_and_never_exceeded(
    rate: float, environments: int, seconds: float
) -> None:
    """By neither meaning of a second, the calendar's or any 1,000 ms."""
    result = play(rate=rate, environments=environments, seconds=seconds)
    assert 0.97 <= result.used <= 1
    assert (result.throttles, result.lost) == (0, 0)
    assert result.transactional_p99 < 1


def test_a_campaign_drains_while_transactional_mail_waits_less_than_a_second() -> None:
    result = play(rate=1000, environments=14, bulk=8_000, transactional=0.1, warm_up=1)
    assert result.transactional_p99 < 1
    assert (result.lost, result.held, result.throttles) == (0, 0, 0)
    assert result.seconds < 8_000 / (0.9 * 1000) + 3


@pytest.mark.parametrize(("rate", "environments"), [(14, 50), (200, 14)])
def test_an_environment_writes_a_few_times_a_second_at_most(rate: float, environments: int) -> None:
    result = play(rate=rate, environments=environments, seconds=20, transactional=0)
    assert result.writes_per_environment_second < 3.5


@pytest.mark.parametrize("environments", [4, 14, 50])
def test_no_environment_is_left_out(environments: int) -> None:
    result = play(rate=50, environments=environments, seconds=40)
    assert result.bulk_max < 20
    assert result.held == 0


def test_the_rate_that_ses_names_is_found_by_all_though_it_may_be_asked_once_a_second() -> None:
    result = play(rate=200, environments=14, seconds=12, configured=0)
    assert 0.97 <= result.used <= 1
    assert result.throttles == 0


def test_a_configured_rate_twice_too_high_finds_down_to_the_true_one() -> None:
    result = play(rate=50, environments=14, configured=100, seconds=60, warm_up=30)
    assert 0.9 <= result.used <= 1
    assert result.steady_throttles < 0.02 * result.sent
    assert result.lost == 0


def test_a_flood_of_transactional_mail_leaves_bulk_mail_something() -> None:
    result = play(rate=50, environments=8, transactional=1.1, seconds=40)
    assert 0.03 <= result.bulk_used <= 0.8
    assert (result.lost, result.throttles) == (0, 0)


def test_emails_with_copies_exceed_no_second() -> None:
    result = play(rate=50, environments=4, copies=0.2, seconds=30)
    assert result.throttles == 0
    assert result.used > 0.7


def test_a_state_table_that_throttles_for_ten_seconds_loses_nothing_and_does_not_open_the_gate() -> None:
    result = play(rate=50, environments=14, outage=(10, 20), seconds=30)
    assert result.lost == 0
    assert result.throttles <= 5
    assert result.transactional_p99 < 5


def test_a_seed_always_plays_the_same() -> None:
    assert play(rate=50, environments=4, seconds=6) == play(rate=50, environments=4, seconds=6)


def test_the_matrix_holds_every_rate_and_up_to_fifty_environments() -> None:
    steady = {(cell.rate, cell.environments) for cell in matrix() if cell.name == "steady"}
    assert {rate for rate, _ in steady} == set(RATES) == {14, 50, 200, 500, 1000}
    assert {environments for _, environments in steady} >= {1, 50}
    assert any(cell.bulk == 100_000 for cell in matrix())


def test_a_result_reads_as_a_line_of_the_table() -> None:
    assert row(play(rate=50, environments=1, seconds=6))[:3] == ("test", "50", "1")
