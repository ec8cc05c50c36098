"""The benchmarks at work: deployed handlers and peers in a simulated AWS, and a glance of the suite."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from benchmarks.bundle import BundleError, MeasuredHandler, link_runtime_client, peer, unpack_bundle
from benchmarks.fake_aws import events
from benchmarks.fake_aws.cloud import running_cloud
from benchmarks.fake_aws.function import FunctionError, running
from benchmarks.fake_aws.latencies import Latencies
from benchmarks.report import BenchmarkReport
from benchmarks.run import FEEDBACK, SENDER
from benchmarks.suite import SECTIONS, run_suite

QUICK = Latencies(name="quick", dynamodb=0.1, s3=0.1, ses=0.1, sqs=0.1, events=0.1)
ROOT = Path(__file__).parents[2]
PEERS = ("boto3_sender.threads", "boto3_sender.sequential", "naive_aioboto3.handler")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    scratch = tmp_path_factory.mktemp("bundle")
    return unpack_bundle(ROOT, scratch / "engine"), link_runtime_client(scratch / "runtime")


def invoke(handler: MeasuredHandler, *asked: Any) -> tuple[list[Any], dict[str, float]]:
    """What a function answers, and what it asked of AWS meanwhile."""

    async def work() -> tuple[list[Any], dict[str, float]]:
        async with running_cloud(QUICK) as cloud, running(handler, cloud.variables) as function:
            return [(await function.invoke(event)).body for event in asked], cloud.services.usage

    return asyncio.run(work())


@pytest.mark.parametrize("module", PEERS)
def test_every_peer_sends_a_direct_email_with_all_its_steps(module: str) -> None:
    (answer,), usage = invoke(peer("", module), events.request())
    assert answer == {"status": "sent"}
    assert (usage["ses.SendEmail"], usage["s3.GetObject"], usage["events"]) == (1, 3, 1)
    assert usage["dynamodb.PutItem"] + usage["dynamodb.BatchGetItem"] + usage["dynamodb.UpdateItem"] == 6


@pytest.mark.parametrize("module", PEERS[:2])
def test_the_boto3_peers_send_batches(module: str) -> None:
    answers, usage = invoke(peer("", module), events.bulk(3), events.bulk(1))
    assert answers == [{"batchItemFailures": []}] * 2
    assert (usage["ses.SendEmail"], usage["s3.GetObject"] % 3) == (4, 0)


def test_the_deployed_sender_sends_from_its_zip_alone(bundle: tuple[Path, ...]) -> None:
    sender = MeasuredHandler(name="engine", handler=SENDER, path=bundle)
    asked = (events.request(), events.bulk(3), events.request_for_new_template())
    (direct, batch, other), usage = invoke(sender, *asked)
    assert (direct["status"], batch, other["status"]) == ("sent", {"batchItemFailures": []}, "sent")
    assert (usage["ses.SendEmail"], usage["ses.SendBulkEmail"], usage["events"]) == (2, 1, 5)
    assert usage["s3.GetObject"] == 6, "each template once"


def test_the_deployed_feedback_processor_moves_the_row_of_a_report(bundle: tuple[Path, ...]) -> None:
    processor = MeasuredHandler(name="engine", handler=FEEDBACK, path=bundle)
    _, usage = invoke(processor, events.delivery())
    assert (usage["dynamodb.UpdateItem"], usage["events.PutEvents"]) == (1, 1)


def test_a_function_that_fails_says_why() -> None:
    with pytest.raises(FunctionError, match="KeyError"):
        invoke(peer("", "boto3_sender.sequential"), {"nothing": "of use"})
    with pytest.raises(FunctionError, match="no_such_module"):
        invoke(peer("", "no_such_module.handler"), events.request())


def test_a_folder_that_is_no_checkout_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=f"{tmp_path} is no checkout"):
        unpack_bundle(tmp_path, tmp_path / "unpacked")


@pytest.fixture(scope="module")
def glance() -> BenchmarkReport:
    """Every section, run small, with the engine beside itself."""
    suite = run_suite([*SECTIONS], lambda *_: None, latencies=QUICK, beside=[ROOT], effort=0.01)
    return asyncio.run(suite)


def test_every_section_says_what_it_found(glance: BenchmarkReport) -> None:
    assert [section.name for section in glance.sections] == list(SECTIONS)
    assert all(section.tables and section.summary and section.measures for section in glance.sections)
    assert all(measure.value >= 0 for measure in glance.measures.values())


def test_an_engine_beside_itself_asks_aws_for_the_same(glance: BenchmarkReport) -> None:
    other = f"engine of {ROOT.name}"
    calls = {name: one.value for name, one in glance.measures.items() if name.endswith(", calls")}
    for scenario in ("direct", "delivery report"):
        own, others = (calls[f"cpu: {scenario} · {who}, calls"] for who in ("engine", other))
        # On a busy machine an email may wait a second, and brakes are looked at again.
        assert own == pytest.approx(others, abs=1)
    assert calls["cpu: bulk, batch of 100 · engine, calls"] < 1 < calls["cpu: direct · engine, calls"]


def test_one_email_alone_stands_beside_the_thread_pool_in_either_lane(glance: BenchmarkReport) -> None:
    beside = {row[0]: row[2] for row in glance.summary.rows}
    assert "x boto3 threads" in beside["one direct email, p50 and p99"]
    assert "x boto3 threads" in beside["one email alone in the bulk lane, p50 and p99"]
