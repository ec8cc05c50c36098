"""The arithmetic of the benchmarks. Their timings are nobody's promise, so no test looks at one."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from benchmarks import cold, decoding
from benchmarks.__main__ import _parser
from benchmarks.fake_aws.latencies import IN_REGION, read_latencies
from benchmarks.latency import SCENARIOS, cold_floor, refused_floor, retry_floor, section, sent_floor
from benchmarks.page import page
from benchmarks.report import Machine, Measure, Percentiles, Report, Section, Table, Target, compare, noise
from benchmarks.suite import SECTIONS, chosen
from msgspec.structs import replace

MACHINE = Machine(
    system="Linux",
    python="3.13",
    cores=2,
    yardstick=10.0,
    yardstick_noise=0.0,
    load_before=0.0,
    load_after=0.0,
)


def report(*measures: Measure, yardstick: float = 10.0, targets: tuple[Target, ...] = ()) -> Report:
    table = Table(title="A <table>", columns=["", "ms"], rows=[["one", "1.0"]])
    return Report(
        taken_at="2026-11-24T08:00:00+00:00",
        version="1.0",
        commit="abc",
        profile="in-region",
        machine=replace(MACHINE, yardstick=yardstick),
        sections=[Section(name="latency", measures=list(measures), targets=list(targets), tables=[table])],
    )


def took(value: float, **more: Any) -> Measure:
    return Measure(section="latency", name="an email", value=value, unit="ms", **more)


def test_percentiles_are_numpys_in_milliseconds() -> None:
    seconds = [number / 1000 for number in range(1, 1001)]
    found = Percentiles.of(seconds)
    assert found.count == 1000
    assert (found.p50, found.p90) == pytest.approx((500.5, 900.1))
    assert (found.p99, found.p999) == pytest.approx((990.01, 999.001))


def test_noise_is_half_of_what_the_parts_of_a_series_differ_by() -> None:
    assert noise([1.0] * 50) == 0
    assert noise([1.0] * 25 + [1.2] * 25) == pytest.approx(0.1, abs=0.02)
    assert noise([1.0, 2.0]) == 0  # too few to say


def test_a_series_that_only_jumps_within_its_parts_is_steady() -> None:
    assert noise([1.0, 3.0] * 50) == 0


def test_the_floor_is_the_longest_chain_of_calls_that_depend_on_each_other() -> None:
    assert sent_floor(IN_REGION) == pytest.approx(0.005 + 0.005 + 0.060 + 0.008)
    assert cold_floor(IN_REGION) == pytest.approx(0.015 + 0.005 + 0.060 + 0.008)
    assert refused_floor(IN_REGION) == pytest.approx(0.005 + 0.005 + 0.008)
    assert retry_floor(IN_REGION) == pytest.approx(0.005 + sent_floor(IN_REGION))


def test_a_run_that_only_differs_by_the_speed_of_the_machine_does_not_differ() -> None:
    (change,) = compare(report(took(4.0, scales=True)), report(took(8.0, scales=True), yardstick=20.0))
    assert change.factor == pytest.approx(1)
    assert not change.beyond_noise


def test_what_waits_for_aws_is_compared_as_it_is_whatever_the_machine() -> None:
    (change,) = compare(report(took(80.0)), report(took(120.0), yardstick=20.0))
    assert change.factor == pytest.approx(1.5)
    assert change.worse
    assert change.beyond_noise


def test_a_change_within_what_both_runs_wander_by_is_no_change() -> None:
    before, now = report(took(100.0, noise=0.1)), report(took(120.0, noise=0.1))
    (change,) = compare(before, now)
    assert not change.beyond_noise
    (change,) = compare(before, report(took(130.0, noise=0.1)))
    assert change.beyond_noise


def test_more_emails_a_second_are_better_also_on_a_slower_machine() -> None:
    before = report(took(100.0, more_is_better=True, scales=True))
    (same,) = compare(before, report(took(50.0, more_is_better=True, scales=True), yardstick=20.0))
    assert same.factor == pytest.approx(1)
    (better,) = compare(before, report(took(150.0, more_is_better=True, scales=True)))
    assert not better.worse
    (worse,) = compare(before, report(took(70.0, more_is_better=True, scales=True)))
    assert worse.worse


def test_numbers_that_only_one_run_has_are_not_compared() -> None:
    assert compare(report(), report(took(1.0))) == []
    assert compare(report(took(0.0)), report(took(1.0))) == []


@pytest.mark.parametrize(
    ("value", "target", "met"),
    [
        (1.1, Target(name="", value=0, unit="x", at_most=1.1), True),
        (1.11, Target(name="", value=0, unit="x", at_most=1.1), False),
        (25.0, Target(name="", value=0, unit="x", at_least=25.0), True),
        (24.9, Target(name="", value=0, unit="x", at_least=25.0), False),
    ],
)
def test_a_target_is_met_at_its_limit(value: float, target: Target, met: bool) -> None:  # noqa: FBT001 - a parameter of the table above
    assert replace(target, value=value).met is met


def test_a_report_comes_back_from_its_json_as_it_was() -> None:
    written = report(took(1.5, noise=0.1), targets=(Target(name="some", value=1, unit="x", at_most=2),))
    assert msgspec.json.decode(msgspec.json.encode(written), type=Report) == written


def test_the_page_holds_everything_it_needs_and_escapes_what_it_shows() -> None:
    shown = page(report(targets=(Target(name="p50 < floor", value=3, unit="x", at_most=2),)))
    assert "<script src=" not in shown
    assert "A &lt;table&gt;" in shown
    assert "p50 &lt; floor" in shown
    assert "missed" in shown


def test_a_profile_of_ones_own_comes_from_a_file(tmp_path: Path) -> None:
    values = {"name": "far", "dynamodb": 20, "s3": 40, "ses": 120, "sqs": 20, "events": 20}
    (tmp_path / "far.json").write_text(json.dumps(values))
    lines = [
        f'{name} = "{value}"' if name == "name" else f"{name} = {value}" for name, value in values.items()
    ]
    (tmp_path / "far.toml").write_text("\n".join(lines))
    far = read_latencies(tmp_path / "far.json")
    assert far == read_latencies(tmp_path / "far.toml")
    assert far.of("ses") == 0.12


def test_a_profile_with_a_field_that_nobody_knows_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "wrong.json"
    file.write_text('{"name": "wrong", "dynamo": 5}')
    with pytest.raises(msgspec.ValidationError, match="dynamo"):
        read_latencies(file)


def test_a_section_brings_along_those_that_it_takes_its_numbers_from() -> None:
    assert chosen(["cost"]) == ["latency", "cpu", "cost"]
    assert chosen(["decoding"]) == ["decoding"]
    assert chosen(list(SECTIONS)) == list(SECTIONS)


def test_a_section_that_is_not_there_is_named_beside_those_that_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        _parser().parse_args(["--only", "latency,speed"])
    assert "no section speed; there are decoding, growth" in capsys.readouterr().err


def test_latency_is_held_to_the_floor_of_its_own_scenario() -> None:
    dice = np.random.default_rng(1)
    found = {
        (scenario.name, handler): list(scenario.floor(IN_REGION) * dice.uniform(1.05, 1.09, 50))
        for scenario in SCENARIOS
        for handler in ("engine", "boto3 threads", "boto3 sequential")
    }
    found["bulk, batch of 100", "boto3 sequential"] = [10.0]
    made = section(IN_REGION, found)
    assert all(target.met for target in made.targets)
    found["direct, cold template", "engine"] = [cold_floor(IN_REGION) * 1.3] * 10
    missed = [target.name for target in section(IN_REGION, found).targets if not target.met]
    assert missed == ["direct cold template p50 / floor"]


def test_a_cold_start_is_told_apart_by_who_could_make_it_shorter() -> None:
    phases = {"interpreter": 0.01, "imports": 0.3, "clients": 0.04, "first": 0.13}
    naive = {"interpreter": 0.01, "imports": 0.35, "clients": 0.15, "first": 0.3}
    starts = {
        kind: {phase: [took] * 10 for phase, took in spans.items()}
        for kind, spans in {"engine": phases, cold.NAIVE: naive}.items()
    }
    libraries = {name: [0.26 / len(cold.LIBRARIES)] * 10 for name in cold.LIBRARIES}
    found = cold.section(
        starts, libraries, waits=0.088, restored=[0.13], warm=[0.09], modules=Counter(aiohttp=40_000)
    )
    target = found.targets[0]
    assert target.value == pytest.approx(0.47 / 0.8)
    assert "alone: 0.43 x" in target.note  # what neither the engine nor the peer can change
    rows = {name: int(took) for name, took, _ in found.tables[1].rows}
    assert rows["= not the engine's"] + rows["= the engine's"] == 470
    assert rows["import the engine's own modules"] == 40


def test_decoding_says_how_fast_it_could_be_if_types_cost_nothing() -> None:
    ours, theirs = "msgspec (engine)", "json + pydantic (Powertools)"
    took = {("a queue", ours): [6.0], ("a queue", theirs): [18.0], ("a queue", decoding.BARE): [4.0]}
    (target,) = decoding.section(took | {("a rule", ours): [1.0], ("a rule", theirs): [6.0]}).targets[:1]
    assert target.value == pytest.approx(3)
    assert "at most 4.5 x" in target.note
