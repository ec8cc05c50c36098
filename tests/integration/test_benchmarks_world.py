"""The world that benchmarks measure in: each handler does its work there, under Lambda's runtime client."""

import asyncio
from typing import Any

import pytest
from benchmarks.fake_aws import events
from benchmarks.fake_aws.cloud import Cloud, running_cloud
from benchmarks.fake_aws.function import Answer, FunctionError, running
from benchmarks.fake_aws.latencies import Latencies
from benchmarks.fake_aws.web import run, wait_until
from benchmarks.latency import FEEDBACK, HANDLERS
from benchmarks.suite import take

NO_TIME = Latencies(name="none", dynamodb=0, s3=0, ses=0, sqs=0, events=0)
NAIVE = "benchmarks.peers.naive_aioboto3.handler"


def answers(handler: str, *asked: Any) -> tuple[list[Any], Cloud]:
    """What a function answers, and the world it did so in."""

    async def work() -> tuple[list[Any], Cloud]:
        async with running_cloud(NO_TIME) as cloud, running(handler, cloud.variables) as function:
            found: list[Answer] = [await function.invoke(event) for event in asked]
            return [answer.body for answer in found], cloud

    return run(work())


@pytest.mark.parametrize("handler", [*HANDLERS.values(), NAIVE])
def test_every_handler_sends_a_direct_email(handler: str) -> None:
    (answer,), cloud = answers(handler, events.request())
    assert answer["status"] == "sent"
    assert cloud.ses_calls.total() == 1
    assert cloud.aws.calls["s3.GetObject"] == 3


@pytest.mark.parametrize("handler", HANDLERS.values())
def test_every_handler_does_all_that_a_scenario_asks_of_it(handler: str) -> None:
    """Refuses suppressed mail, takes batches and retries, and loads a template it has not seen."""
    asked = (
        events.request(suppressed=True),
        events.retries(),
        events.bulk(3),
        events.unseen_template(),
        events.unseen_template(),
    )
    (suppressed, retried, batch, *unseen), cloud = answers(handler, *asked)
    assert suppressed["status"] == "failed"
    assert retried == batch == {"batchItemFailures": []}
    assert [one["status"] for one in unseen] == ["sent", "sent"]
    sent_apart = cloud.ses_calls["/v2/email/outbound-emails"]
    assert sent_apart == (3 if cloud.ses_calls["/v2/email/outbound-bulk-emails"] else 6)
    assert cloud.aws.calls["s3.GetObject"] in {9, 12}  # the suppressed one may have asked for its template


def test_the_feedback_processor_moves_the_row_of_a_report() -> None:
    (answer,), cloud = answers(FEEDBACK, events.delivery())
    assert answer is None
    assert cloud.aws.calls == {"dynamodb.GetItem": 1, "dynamodb.UpdateItem": 1, "events.PutEvents": 1}


def test_a_function_that_fails_says_why_with_the_end_of_its_log() -> None:
    with pytest.raises(FunctionError, match="KeyError"):
        answers(HANDLERS["boto3 sequential"], {"nothing": "of use"})


def test_a_function_that_does_not_start_says_so() -> None:
    with pytest.raises(FunctionError, match="no_such_module"):
        answers("benchmarks.no_such_module.handler", events.request())


def test_every_service_of_a_profile_is_asked_how_long_its_server_takes() -> None:
    async def measured(latencies: Latencies) -> dict[str, float]:
        async with running_cloud(latencies) as cloud:
            assert not cloud.aws.calls
            assert not cloud.ses_calls
            return cloud.aws.own_time

    some = Latencies(name="some", dynamodb=1, s3=1, ses=1, sqs=0, events=1)
    found = run(measured(some))
    assert set(found) == {"dynamodb", "s3", "ses", "events"}
    assert all(seconds >= 0 for seconds in found.values())
    assert run(measured(NO_TIME)) == {}


def test_services_answer_no_sooner_than_their_profile_says() -> None:
    async def waited() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await wait_until(began + 0.003)
        return loop.time() - began

    assert run(waited()) >= 0.003


def test_the_sections_that_need_no_function_run_from_end_to_end() -> None:
    told: list[str] = []

    async def glance() -> Any:
        return await take(NO_TIME, ["decoding", "growth"], lambda name, *_: told.append(name), effort=0.01)

    report = run(glance())
    assert [section.name for section in report.sections] == ["decoding", "growth"]
    assert {"decoding", "growth"} == set(told)
    calls = {
        row[0]: row[1]
        for section in report.sections
        for table in section.tables
        for row in table.rows
        if "emails" in table.title
    }
    assert calls["quota check · 100"] == calls["quota check · 1,000,000"] == "1"
    assert calls["status update · 100"] == calls["status update · 1,000,000"] == "1"
    assert int(calls["quota check by rows (as described) · 1,000,000"]) > 100
