"""What the benchmarks advise and what they say it costs: Little's law, units and prices."""

import pytest
from benchmarks import rates, sharing
from benchmarks.cost import VOLUMES, Usage, cost, usage, usages
from benchmarks.cost import section as cost_section
from benchmarks.cpu import growth_per_100k
from benchmarks.fake_aws.latencies import IN_REGION
from benchmarks.fake_aws.web import run
from benchmarks.gate.simulate import Cell, CellResult
from benchmarks.prices import A_LA_CARTE, DESCRIBED, ESSENTIALS
from benchmarks.rates import MEMORY_OF_A_CORE, Load, advise
from benchmarks.report import Measure, Section
from benchmarks.run import Run

TENTH = Load(batch=10, wall=0.5, cpu=0.0)

NOTHING = Usage(
    sender_seconds=0,
    sender_invocations=0,
    feedback_seconds=0,
    writes=0,
    reads=0,
    events=0,
    queue_requests=0,
    log_bytes=0,
)


def test_by_littles_law_as_many_environments_are_busy_as_invocations_are_under_way() -> None:
    """200 emails/s are 20 batches/s; each takes half a second, so ten are under way."""
    assert TENTH.concurrency(200, MEMORY_OF_A_CORE) == 10
    assert TENTH.concurrency(201, MEMORY_OF_A_CORE) == 11
    assert TENTH.rate(MEMORY_OF_A_CORE) == 20


def test_no_queue_can_be_read_by_fewer_than_two() -> None:
    assert TENTH.concurrency(1, MEMORY_OF_A_CORE) == 2


def test_waiting_takes_the_same_time_with_less_memory_and_computing_takes_longer() -> None:
    load = Load(batch=1, wall=0.1, cpu=0.02)
    assert load.seconds(MEMORY_OF_A_CORE) == pytest.approx(0.1)
    assert load.seconds(MEMORY_OF_A_CORE // 2) == pytest.approx(0.12, abs=1e-4)
    assert load.seconds(2 * MEMORY_OF_A_CORE) == pytest.approx(0.1)


def test_the_cheapest_setting_that_holds_an_environment_is_advised() -> None:
    advice = advise(200, [Load(batch=1, wall=0.1, cpu=0.0), TENTH], resident=150)
    assert (advice.memory, advice.batch, advice.concurrency) == (256, 10, 10)
    assert advice.headroom == pytest.approx(1.0)


def test_an_environment_that_needs_more_memory_is_given_more() -> None:
    assert advise(200, [TENTH], resident=300).memory == 512


def test_computing_that_fills_a_small_environment_makes_a_larger_one_cheaper_or_as_cheap() -> None:
    busy = Load(batch=10, wall=0.5, cpu=0.45)
    advice = advise(200, [busy], resident=100)
    assert advice.memory * advice.concurrency <= 256 * busy.concurrency(200, 256)


def test_an_email_costs_what_its_lines_add_up_to() -> None:
    one = Usage(
        sender_seconds=0.2,
        sender_invocations=0.5,
        feedback_seconds=0.4,
        writes=8,
        reads=3,
        events=3,
        queue_requests=1.2,
        log_bytes=2000,
    )
    lines = cost(one, A_LA_CARTE)
    assert lines["SES"] == pytest.approx(0.0001)
    assert lines["Lambda"] == pytest.approx((0.2 * 0.5 + 0.4 * 0.25) * 0.0000133334 + 2.5 * 0.2e-6)
    assert lines["DynamoDB"] == pytest.approx(8 * 0.625e-6 + 3 * 0.125e-6)
    assert lines["EventBridge"] == pytest.approx(3e-6)
    assert lines["SQS"] == pytest.approx(1.2 * 0.4e-6)
    assert lines["SNS"] == pytest.approx(2 * 0.5e-6)
    assert lines["Logs"] == pytest.approx(2000 / 1e9 * 0.5)


def test_essentials_cost_six_cents_more_for_a_thousand() -> None:
    more = sum(cost(NOTHING, ESSENTIALS).values()) - sum(cost(NOTHING, A_LA_CARTE).values())
    assert more * 1000 == pytest.approx(0.06)


def test_a_batch_shares_its_slots_its_counter_and_its_invocation() -> None:
    alone, together = usage(1, 0.1, 0.02, 500), usage(50, 0.5, 0.02, 500)
    assert together.sender_invocations == 0.02
    assert together.sender_seconds == 0.01
    assert together.writes < alone.writes
    assert together.reads < alone.reads
    assert alone.queue_requests == 0  # the direct lane has no queue


def test_a_month_costs_its_volume_times_an_email() -> None:
    made = cost_section({"bulk": usage(50, 0.5, 0.02, 500), "direct": usage(1, 0.1, 0.02, 500)})
    thousand = {one.name: one.value for one in made.measures}["1,000 emails, bulk, SES à la carte"]
    month = next(table for table in made.tables if table.title.startswith("A month"))
    row = next(row for row in month.rows if row[0] == "bulk, SES à la carte")
    assert row[1 + VOLUMES.index(1_000_000)] == f"{thousand * 1000:,.2f}"


def test_the_comparison_names_what_the_description_said() -> None:
    made = cost_section({"bulk": usage(50, 0.5, 0.02, 500), "direct": usage(1, 0.1, 0.02, 500)})
    beside = next(table for table in made.tables if "beside others" in table.title)
    said = dict(row for row in beside.rows if len(row) == 2)
    assert said["SendGrid (as the description has it)"] == "20.00+"
    assert f"{DESCRIBED[100_000]:.2f}" in said.values()


def test_memory_that_stays_grows_by_nothing_and_a_leak_by_what_it_leaks() -> None:
    flat = [(emails * 1000.0, 100.0) for emails in range(20)]
    leaking = [(emails * 1000.0, 100.0 + emails) for emails in range(20)]
    assert growth_per_100k(flat) == pytest.approx(0, abs=1e-6)
    assert growth_per_100k(leaking) == pytest.approx(100)
    assert growth_per_100k([(0.0, 1.0)]) == 0


def measured(**values: float) -> Section:
    return Section(
        name="some",
        measures=[
            Measure(section="some", name=name, value=value, unit="ms") for name, value in values.items()
        ],
    )


def test_rates_and_cost_take_their_numbers_from_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "TIERS", (14,))
    here = Run(IN_REGION, lambda _step, _part: None)
    waits = {f"bulk, batch of {size} · engine p50": took for size, took in ((1, 100), (10, 170), (100, 300))}
    here.sections["latency"] = measured(
        **waits, **{"feedback, delivery · engine p50": 30, "direct, warm · engine p50": 95}
    )
    here.sections["cpu"] = measured(
        **{
            "engine, SendBulkEmail, CPU per email": 1.5,
            "engine, SendBulkEmail, log per email": 300,
            "one email, CPU": 15,
            "memory at the end": 120,
        }
    )
    (target,) = run(rates.measure(here)).targets
    assert target.name == "14/s: part of the rate used"
    assert target.met
    found = usages(here)
    assert found["direct"].sender_seconds > found["bulk"].sender_seconds
    assert found["bulk"].log_bytes == 900


# -- one rate for many environments ------------------------------------------------------------------------


def played(
    cell: Cell, *, used: float = 0.98, throttles: int = 0, lost: int = 0, p99: float = 0.5
) -> CellResult:
    return CellResult(
        cell=cell,
        used=used,
        bulk_used=0,
        throttles=0,
        steady_throttles=throttles,
        sent=0,
        lost=lost,
        held=0,
        transactional_p50=0,
        transactional_p99=p99,
        bulk_max=0,
        writes_per_email=0,
        writes_per_environment_second=0,
        seconds=0,
    )


ONE = Cell(name="steady", rate=14, environments=1)
MANY = Cell(name="steady", rate=14, environments=50)
CAMPAIGN = Cell(name="campaign", rate=1000, environments=14, bulk=100_000)


def missed(*results: CellResult) -> set[str]:
    return {
        target.name.removeprefix("gate: ") for target in sharing.section(results).targets if not target.met
    }


def test_the_gate_is_judged_by_its_worst_account() -> None:
    good = played(ONE)
    assert missed(good, played(MANY), played(CAMPAIGN)) == set()
    assert missed(good, played(MANY, used=0.96)) == {"least part of the rate used"}
    assert missed(good, played(MANY, throttles=1)) == {"throttles in steady state"}
    assert missed(played(ONE, lost=1), played(MANY)) == {"emails lost"}
    assert missed(good, played(MANY), played(CAMPAIGN, p99=1.1)) == {"transactional wait, worst p99"}


def test_a_glance_at_the_gate_plays_its_two_ends() -> None:
    found = run(sharing.measure(Run(IN_REGION, lambda _step, _part: None, effort=0.1)))
    assert [row[1:3] for row in found.tables[0].rows] == [["14/s", "1"], ["1000/s", "50"]]
    assert all(target.met for target in found.targets)
