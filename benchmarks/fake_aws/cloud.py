"""Everything that a function calls, running: services, SES simulator, and the variables that lead there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from benchmarks.fake_aws.latencies import Latencies
from benchmarks.fake_aws.services import STATE_TABLE, TRACKING_TABLE, FakeServices, answer_late
from engine.local.ses import Account, Simulator, serve

# So high that the gate asks for slots as ever and nobody waits for one.
UNLIMITED_RATE = 100_000
_SES = {"outbound-emails": "ses.SendEmail", "outbound-bulk-emails": "ses.SendBulkEmail"}


@dataclass(frozen=True)
class FakeCloud:
    """`variables`: the environment of a function, with nothing of this process's own in it."""

    services: FakeServices
    variables: dict[str, str]


@asynccontextmanager
async def serving(handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Serve on a free port until the block ends; yields `host:port`."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def running_cloud(latencies: Latencies) -> AsyncIterator[FakeCloud]:
    services = FakeServices(latencies)
    ses = Simulator(Account(max_send_rate=UNLIMITED_RATE, daily_quota=-1), keep=0)

    @web.middleware
    async def late(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = asyncio.get_running_loop().time()
        services.count(_SES.get(request.path.rpartition("/")[2], "ses.GetAccount"))
        answer = await handler(request)
        await answer_late(began, latencies.of("ses"))
        return answer

    async with (
        serving(services) as address,
        serve(ses, mounts=[lambda app: app.middlewares.append(late)]) as ses_url,
    ):
        yield FakeCloud(services, _variables(f"http://{address}", ses_url))


def _variables(endpoint: str, ses_url: str) -> dict[str, str]:
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
        "TRACKING_TABLE": TRACKING_TABLE,
        "SUPPRESSION_TABLE": "sesmailengine-Suppression",
        "STATE_TABLE": STATE_TABLE,
        "TEMPLATE_BUCKET": "sesmailengine-templates",
        "RETRY_QUEUE_URL": f"{endpoint}/123456789012/sesmailengine-EmailRetryQueue",
        "EVENT_BUS_NAME": "sesmailengine-EmailBus",
        "SES_CONFIGURATION_SET": "sesmailengine-ConfigSet",
        "DEFAULT_SENDER_EMAIL": "no-reply@shop.example",
        "DEFAULT_SENDER_NAME": "The Shop",
        "BOUNCE_RATE_THRESHOLD": "5",
        "DATA_RETENTION_DAYS": "90",
        "SES_MAX_SEND_RATE": str(UNLIMITED_RATE),
        "ENVIRONMENT": "bench",
        "LOG_LEVEL": "INFO",
        "PATH": "/usr/bin:/bin",
    }
