"""What the proxy does to a call, seen by the SDK with the engine's own settings and by who answers."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiobotocore.config import AioConfig
from tests.processes.proxy import Exchange, Fault, Proxy
from tests.support.cloud import Cloud
from tests.support.real_clients import opened

from engine.aws.clients import CONFIG
from engine.aws.error_codes import service_errors
from engine.aws.template_store import S3TemplateStore
from engine.errors import ServiceUnavailable

ONCE = CONFIG.merge(AioConfig(retries={"total_max_attempts": 1, "mode": "standard"}))


@dataclass
class Through:
    """A way to moto through a proxy; `kills` gets the ports of processes that should die."""

    url: str
    proxy: Proxy
    seen: list[Exchange] = field(default_factory=list)
    kills: list[int] = field(default_factory=list)


@asynccontextmanager
async def through(cloud: Cloud, fault: Fault | None, *, finds_process: bool = True) -> AsyncIterator[Through]:
    seen: list[Exchange] = []
    kills: list[int] = []

    def kill(port: int) -> bool:
        kills.append(port)
        return finds_process

    proxy = Proxy(random.Random(1), kill, seen.append, cloud.endpoint)  # noqa: S311 - dice
    if fault:
        proxy.odds = {fault: 1.0}
    async with proxy.serve() as url:
        yield Through(url, proxy, seen, kills)


async def suppression_of_ada(url: str, cloud: Cloud, config: AioConfig = ONCE) -> str:
    async with opened("dynamodb", url, config) as dynamodb:
        with service_errors("DynamoDB"):
            found = await dynamodb.get_item(
                TableName=cloud.name("Suppression"), Key={"email": {"S": "ada@example.com"}}
            )
        reason: str = found["Item"]["reason"]["S"]
        return reason


@pytest.fixture
def suppressed(cloud: Cloud) -> Cloud:
    cloud.put("Suppression", email="ada@example.com", suppressionType="manual", reason="asked us to")
    return cloud


async def test_without_odds_a_call_passes_as_it_is(suppressed: Cloud) -> None:
    async with through(suppressed, None) as way:
        assert await suppression_of_ada(way.url, suppressed) == "asked us to"
        assert [(one.operation, one.fault, one.status) for one in way.seen] == [
            ("DynamoDB_20120810.GetItem", None, 200)
        ]


async def test_an_object_passes_with_its_size_and_its_bytes(cloud: Cloud) -> None:
    async with through(cloud, None) as way, opened("s3", way.url) as s3:
        where = {"Bucket": cloud.bucket, "Key": "templates/welcome/template.txt"}
        assert (await s3.head_object(**where))["ContentLength"] == len("Hello {{ name }}")
        async with (await s3.get_object(**where))["Body"] as body:
            assert await body.read() == b"Hello {{ name }}"


@pytest.mark.parametrize(
    ("fault", "arrived"),
    [
        ("cut before", None),
        ("cut after", 200),
        ("truncated", 200),
        ("killed before", None),
        ("killed after", 200),
    ],
)
async def test_whatever_breaks_the_caller_gets_no_answer(
    suppressed: Cloud, fault: Fault, arrived: int | None
) -> None:
    async with through(suppressed, fault) as way:
        with pytest.raises(ServiceUnavailable):
            await suppression_of_ada(way.url, suppressed)
        assert [one.status for one in way.seen] == [arrived]
        assert way.proxy.struck == {fault: 1}
        assert len(way.kills) == fault.startswith("killed")


async def test_where_there_is_no_process_to_kill_the_call_passes(suppressed: Cloud) -> None:
    async with through(suppressed, "killed before", finds_process=False) as way:
        assert await suppression_of_ada(way.url, suppressed) == "asked us to"
        assert not way.proxy.struck


async def test_a_turned_bit_of_a_dynamodb_answer_is_noticed_and_the_sdk_asks_again(suppressed: Cloud) -> None:
    async with through(suppressed, "corrupted") as way:

        def once(exchange: Exchange) -> None:
            way.seen.append(exchange)
            way.proxy.odds = {}

        way.proxy.watch = once
        assert await suppression_of_ada(way.url, suppressed, CONFIG) == "asked us to"
        assert [one.fault for one in way.seen] == ["corrupted", None]


async def test_a_turned_bit_of_an_object_is_noticed(cloud: Cloud) -> None:
    async with through(cloud, "corrupted") as way, opened("s3", way.url, ONCE) as s3:
        store = S3TemplateStore(s3, cloud.bucket)
        with pytest.raises(ServiceUnavailable, match="FlexibleChecksumError"):
            await store.load("welcome")
        with pytest.raises(ServiceUnavailable, match="FlexibleChecksumError"):
            await store.load_attachment("templates/welcome/template.txt")


async def test_a_turned_bit_of_any_other_answer_is_noticed(cloud: Cloud) -> None:
    async with through(cloud, "corrupted") as way, opened("sqs", way.url, ONCE) as sqs:
        with pytest.raises(ServiceUnavailable), service_errors("SQS"):
            await sqs.send_message(QueueUrl=cloud.retry_queue, MessageBody="request")


async def test_an_emulator_that_is_away_ends_the_connection(suppressed: Cloud) -> None:
    async with through(suppressed, None) as way:
        way.proxy.upstream = "http://127.0.0.1:9"  # discard: nobody listens
        with pytest.raises(ServiceUnavailable):
            await suppression_of_ada(way.url, suppressed)
