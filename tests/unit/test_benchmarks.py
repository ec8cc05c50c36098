"""The arithmetic of the benchmarks. Their timings are nobody's promise, so no test looks at one."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest
from benchmarks.__main__ import parser
from benchmarks.cost import FEEDBACK_MEMORY, SENDER_MEMORY, email_cost
from benchmarks.fake_aws.expressions import holds, statement, updated
from benchmarks.fake_aws.latencies import IN_REGION, read_latencies
from benchmarks.growth import growth_per_100k
from benchmarks.latency import first_floor, report_floor, sent_floor
from benchmarks.page import page
from benchmarks.rates import Advice, advise
from benchmarks.report import BenchmarkReport, Measure, Plot, ResultTable, Section, changes, noise
from benchmarks.run import Samples
from benchmarks.suite import SECTIONS, chosen

from engine.operations import prices

WHOLE_CORE = 1769  # MB


def samples(seconds: float, *, cpu: float = 0.0, emails: int = 1, **more: Any) -> Samples:
    return Samples(emails=emails, seconds=[seconds] * 10, cpu=[cpu] * 10, **more)


def report(*measures: Measure) -> BenchmarkReport:
    table = ResultTable(title="A <table>", columns=["", "ms"], rows=[["one", "1.0"]])
    plot = Plot(title="A plot", kind="lines", x_title="x", y_title="y", series={"one": [(1.0, 2.0)]})
    summary = [("an email", "1 ms", "0.50 x another")]
    sections = [Section(name="latency", measures=[*measures], tables=[table], plots=[plot], summary=summary)]
    return BenchmarkReport(
        taken_at="2026-11-24T08:00:00+00:00",
        version="1.0",
        commit="abc",
        profile="in-region",
        machine="Linux, 2 cores",
        sections=sections,
    )


def took(value: float, **more: Any) -> Measure:
    return Measure(name="an email", value=value, unit="ms", **more)


# -- series ------------------------------------------------------------------------------------------------


def test_noise_is_half_of_what_the_parts_of_a_series_differ_by() -> None:
    assert noise([1.0] * 50) == 0
    assert noise([1.0] * 25 + [1.2] * 25) == pytest.approx(0.1, abs=0.02)
    assert noise([1.0, 3.0] * 50) == 0, "what only jumps within its parts is steady"
    assert noise([1.0, 2.0]) == 0, "too few to say"


def test_the_floor_is_the_longest_chain_of_calls_that_depend_on_each_other() -> None:
    assert sent_floor(IN_REGION) == pytest.approx(0.005 + 0.005 + 0.060 + 0.008)
    assert first_floor(IN_REGION) == pytest.approx(0.015 + 0.005 + 0.060 + 0.008)
    assert report_floor(IN_REGION) == pytest.approx(0.005 + 0.005 + 0.008)


def test_memory_that_stays_grows_by_nothing_and_a_leak_by_what_it_leaks() -> None:
    flat = [(emails * 1000.0, 100.0) for emails in range(20)]
    leaking = [(emails * 1000.0, 100.0 + emails) for emails in range(20)]
    assert growth_per_100k(flat) == pytest.approx(0, abs=1e-6)
    assert growth_per_100k(leaking) == pytest.approx(100)
    assert growth_per_100k([(0.0, 1.0)]) == 0


# -- reports -----------------------------------------------------------------------------------------------


def test_a_change_within_what_both_runs_vary_by_is_no_change() -> None:
    before = report(took(100.0, noise=0.1))
    assert changes(before, report(took(120.0, noise=0.1))).rows == []
    (row,) = changes(before, report(took(130.0, noise=0.1))).rows
    assert row[1:] == ["100.00 ms", "130.00 ms", "1.30", "±25%", "worse"]


def test_more_emails_a_second_are_better() -> None:
    before = report(took(100.0, more_is_better=True))
    assert changes(before, report(took(150.0, more_is_better=True))).rows[0][-1] == "better"
    assert changes(before, report(took(70.0, more_is_better=True))).rows[0][-1] == "worse"


def test_numbers_that_only_one_run_has_are_not_compared() -> None:
    assert changes(report(), report(took(1.0))).rows == []
    assert changes(report(took(0.0)), report(took(1.0))).rows == []


def test_a_report_comes_back_from_its_json_as_it_was() -> None:
    written = report(took(1.5, noise=0.1))
    assert msgspec.json.decode(msgspec.json.encode(written), type=BenchmarkReport) == written


def test_the_page_holds_everything_it_needs_and_escapes_what_it_shows() -> None:
    shown = page(report())
    assert "<script src=" not in shown
    assert "A &lt;table&gt;" in shown
    assert "0.50 x another" in shown
    assert "A plot" in shown


# -- options -----------------------------------------------------------------------------------------------


def test_a_section_brings_along_those_that_it_takes_its_numbers_from() -> None:
    assert chosen(["cost"]) == ["latency", "cost"]
    assert chosen(["decoding"]) == ["decoding"]
    assert chosen(list(SECTIONS)) == list(SECTIONS)


def test_options_that_are_no_good_are_named_with_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (wrong := tmp_path / "wrong.json").write_text('{"name": "wrong", "dynamo": 5}')
    for option, value, said in (
        ("--only", "latency,speed", "no section speed; there are latency, cpu"),
        ("--profile", str(wrong), "unknown field `dynamo`"),
        ("--compare", str(wrong), "wrong.json is no report of this suite"),
    ):
        with pytest.raises(SystemExit):
            parser().parse_args([option, value])
        assert said in capsys.readouterr().err


def test_a_profile_of_ones_own_comes_from_a_file(tmp_path: Path) -> None:
    values = {"name": "far", "dynamodb": 20, "s3": 40, "ses": 120, "sqs": 20, "events": 20}
    (tmp_path / "far.json").write_text(json.dumps(values))
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    (tmp_path / "far.toml").write_text("\n".join(lines))
    far = read_latencies(tmp_path / "far.json")
    assert far == read_latencies(tmp_path / "far.toml")
    assert far.of("ses") == 0.12


# -- capacity ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "concurrency"), [(200, 10), (201, 11), (1, 2)])
def test_as_many_environments_are_busy_as_invocations_are_under_way(rate: float, concurrency: int) -> None:
    """200 emails/s are 20 batches/s; each takes half a second, so ten are under way. SQS wants two."""
    advice = advise(rate, {10: samples(0.5, emails=10, resident=150)})
    assert advice == Advice(concurrency, 10, 256, concurrency * 20)


def test_waiting_takes_the_same_time_with_less_memory_and_computing_takes_longer() -> None:
    load = samples(0.1, cpu=0.02)
    assert load.seconds_at(WHOLE_CORE) == pytest.approx(0.1)
    assert load.seconds_at(3008) == pytest.approx(0.1)
    assert load.seconds_at(512) == pytest.approx(0.08 + 0.02 * WHOLE_CORE / 512)


def test_an_environment_that_needs_more_memory_is_given_more() -> None:
    assert advise(200, {10: samples(0.5, emails=10, resident=300)}).memory == 512


def test_the_cheapest_batch_and_memory_are_advised() -> None:
    alone, ten = samples(0.1, resident=150), samples(0.5, emails=10, resident=150)
    assert advise(200, {1: alone, 10: ten}) == Advice(10, 10, 256, 200)


def test_an_email_costs_what_its_lines_add_up_to() -> None:
    """Ten invocations of a batch of 50, and ten reports."""
    used = defaultdict(float, {"write units": 2500.0, "read units": 500.0, "events": 500.0})
    sender = samples(0.5, emails=50, log_bytes=500_000, usage=used)
    feedback = samples(0.02, usage=defaultdict(float, {"write units": 20.0, "events": 10.0}))
    lines = email_cost(sender, feedback, prices.SES_EMAIL)
    seconds = (0.01 * SENDER_MEMORY + 2 * 0.02 * FEEDBACK_MEMORY) / 1024
    assert lines["SES"] == pytest.approx(0.0001)
    assert lines["Lambda"] == pytest.approx(seconds * 0.0000133334 + (0.02 + 2) * 0.2e-6)
    assert lines["DynamoDB"] == pytest.approx((5 + 2 * 2) * 0.625e-6 + 1 * 0.125e-6)
    assert lines["EventBridge"] == pytest.approx((1 + 1 + 2) * 1e-6)
    assert lines["SQS"] == pytest.approx(1.2 * 0.4e-6)
    assert lines["SNS"] == pytest.approx(2 * 0.5e-6)
    assert lines["Logs"] == pytest.approx(1000 * 0.5 / 1024**3)


def test_the_direct_lane_has_no_queue_to_pay() -> None:
    assert email_cost(samples(0.1), samples(0.02), 0.0)["SQS"] == 0


# -- the State table's expressions -------------------------------------------------------------------------


def asked(expression: str, **values: float) -> dict[str, Any]:
    return {
        "ConditionExpression": expression,
        "UpdateExpression": expression,
        "ExpressionAttributeNames": {"#tat": "tat", "#ttl": "ttl"},
        "ExpressionAttributeValues": {f":{name}": {"N": str(value)} for name, value in values.items()},
    }


def numbers(**values: int) -> dict[str, Any]:
    return {name: {"N": str(value)} for name, value in values.items()}


@pytest.mark.parametrize(
    ("condition", "true"),
    [
        ("#tat = :five", True),
        ("#tat <> :five", False),
        ("#tat BETWEEN :one AND :five", True),
        ("#tat BETWEEN :one AND :four", False),
        ("attribute_not_exists(#ttl) AND #tat >= :five", True),
        ("#tat < :one OR (attribute_exists(#tat) AND NOT #tat < :four)", True),
        ("#ttl < :five", False),
        ("#ttl > :five", False),
        ("holder = :name", True),
        ("contains(moves, :name)", True),
        ("NOT contains(marks, :name)", True),
    ],
)
def test_a_condition_holds_as_it_would_on_dynamodb(condition: str, true: bool) -> None:  # noqa: FBT001 - a parameter of the table above
    request = asked(condition, one=1, four=4, five=5)
    request["ExpressionAttributeValues"][":name"] = {"S": "one"}
    assert holds(request, {"tat": {"N": "5"}, "holder": {"S": "one"}, "moves": {"SS": ["one"]}}) is true


def test_an_update_sets_adds_and_removes() -> None:
    expression = "SET #tat = if_not_exists(#tat, :one) + :four, #ttl = :five ADD claims :one REMOVE old"
    values = asked(expression, one=1, four=4, five=5)
    assert updated(values, numbers(tat=5, old=1)) == numbers(tat=9, ttl=5, claims=1)
    assert updated(values, numbers(claims=2)) == numbers(tat=5, ttl=5, claims=3)


def test_an_update_adds_to_a_set_and_leaves_what_it_does_not_name() -> None:
    request = {"UpdateExpression": "ADD moves :move", "ExpressionAttributeValues": {":move": {"SS": ["b"]}}}
    item = {"moves": {"SS": ["a"]}, "kept": {"B": b"1"}}
    assert updated(request, item) == {"moves": {"SS": ["a", "b"]}, "kept": {"B": b"1"}}


def test_partiql_is_read_as_an_insert_or_a_conditional_update() -> None:
    inserted = statement("INSERT INTO \"T\" VALUE {'id': ?, 'rank': ?}", [{"S": "1"}, {"N": "0"}])
    assert (inserted.table, inserted.item) == ("T", {"id": {"S": "1"}, "rank": {"N": "0"}})
    text = 'UPDATE "T" SET "rank" = ? SET "at" = ? REMOVE "lease" WHERE "id" = ? AND "rank" < ?'
    changed = statement(text, [{"N": "1"}, {"S": "now"}, {"S": "1"}, {"N": "1"}])
    row = {"id": {"S": "1"}, "rank": {"N": "0"}, "lease": {"N": "5"}}
    assert changed.key == {"id": {"S": "1"}}
    assert holds(changed.request, row)
    after = updated(changed.request, row)
    assert after == {"id": {"S": "1"}, "rank": {"N": "1"}, "at": {"S": "now"}}
    assert not holds(changed.request, after)
    assert not holds(changed.request, {}), "there must be a row"
