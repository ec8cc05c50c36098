"""Everything a function calls, running: the stub, the SES simulator, and the variables that lead there."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from benchmarks.fake_aws.aws import StubAws
from benchmarks.fake_aws.cores import on_the_worlds_core
from benchmarks.fake_aws.latencies import Latencies
from benchmarks.fake_aws.punctual import own_time
from benchmarks.fake_aws.rows import AnyRow
from benchmarks.fake_aws.web import serving, wait_until
from engine.local.ses import Account, Simulator, serve

# So wide that the gate asks for slots as ever and nobody waits for one.
UNHURRIED = 100_000


@dataclass(frozen=True)
class Cloud:
    """`variables`: the environment of a function, with nothing of this process's own in it."""

    aws: StubAws
    ses: Simulator
    ses_calls: Counter[str]
    variables: dict[str, str]


@asynccontextmanager
async def running_cloud(latencies: Latencies) -> AsyncIterator[Cloud]:
    with on_the_worlds_core():
        async with _serving_cloud(latencies) as cloud:
            yield cloud


@asynccontextmanager
async def _serving_cloud(latencies: Latencies) -> AsyncIterator[Cloud]:
    aws = StubAws(latencies)
    aws.rows = AnyRow()
    ses = Simulator(Account(max_send_rate=UNHURRIED, daily_quota=-1), keep=0)

    ses_calls: Counter[str] = Counter()

    @web.middleware
    async def late(request: web.Request, handler: Handler) -> web.StreamResponse:
        arrived = asyncio.get_running_loop().time()
        ses_calls[request.path] += 1
        answer = await handler(request)
        await wait_until(arrived + latencies.of("ses") - aws.own_time.get("ses", 0.0))
        return answer

    async with (
        serving(aws) as address,
        serve(ses, mounts=[lambda app: app.middlewares.append(late)]) as ses_url,
    ):
        ports = (int(place.rpartition(":")[2]) for place in (address, ses_url))
        aws.own_time = await own_time(latencies, *ports)
        aws.forget()
        ses_calls.clear()
        yield Cloud(aws, ses, ses_calls, variables(f"http://{address}", ses_url))


def variables(endpoint: str, ses_url: str) -> dict[str, str]:
    """As the stack sets them, and Lambda's own."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_SESV2": ses_url,
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_LAMBDA_FUNCTION_NAME": "sesmailengine-EmailSender",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "TRACKING_TABLE": "sesmailengine-EmailTracking",
        "SUPPRESSION_TABLE": "sesmailengine-Suppression",
        "STATE_TABLE": "sesmailengine-State",
        "TEMPLATE_BUCKET": "sesmailengine-templates",
        "RETRY_QUEUE_URL": f"{endpoint}/123456789012/sesmailengine-EmailRetryQueue",
        "EVENT_BUS_NAME": "sesmailengine-EmailBus",
        "SES_CONFIGURATION_SET": "sesmailengine-ConfigSet",
        "DEFAULT_SENDER_EMAIL": "no-reply@shop.example",
        "DEFAULT_SENDER_NAME": "The Shop",
        "BOUNCE_RATE_THRESHOLD": "5",
        "DATA_RETENTION_DAYS": "90",
        "SES_MAX_SEND_RATE": str(UNHURRIED),
        "ENVIRONMENT": "bench",
        "LOG_LEVEL": "INFO",
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": "src:.",
    }
