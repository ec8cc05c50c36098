"""The deployed stack with a proxy before each of its two neighbours: AWS, and SES."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError
from tests.processes.evidence import SENDER_TIMEOUT
from tests.processes.proxy import Proxy
from tests.support.cloud import WELCOME

from engine.local.deployment import deploy, feedback_topic_arn, synthesize
from engine.local.emulator import PROJECT, running_emulator
from engine.local.environment import LocalEnvironment, status_events
from engine.local.inbox.inbox import Inbox
from engine.local.ses.account import Account
from engine.local.ses.outgoing import lifelike
from engine.local.ses.server import serve
from engine.local.ses.simulator import Simulator
from engine.local.ses.topic import sns_topic

ASSEMBLIES: Final = PROJECT / ".local" / "assemblies"
_REGION: Final = "us-east-1"
_RATE: Final = 50  # recipients a second: more than two cores send
# What differs from the template's defaults: short leases, and a bounce quota that stops nothing.
_PARAMETERS: Final = {"SenderTimeout": str(SENDER_TIMEOUT), "BounceRateThreshold": "100"}
# A killed batch comes again after this. AWS's own rule, six times the time-out, would be a minute and a half.
_VISIBILITY: Final = str(SENDER_TIMEOUT + 1)


class Gate:
    """Calls to the emulator that nothing may disturb pass it; a restart waits for them, and they for it."""

    def __init__(self) -> None:
        self._open, self._empty = asyncio.Event(), asyncio.Event()
        self._open.set()
        self._empty.set()
        self._inside = 0

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        await self._open.wait()
        self._inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        self._open.clear()
        try:
            await self._empty.wait()
            yield
        finally:
            self._open.set()


@dataclass(frozen=True)
class Stack:
    """The stack, the proxies before it, and the gate for what is no part of it."""

    environment: LocalEnvironment
    aws: Proxy
    ses: Proxy
    gate: Gate

    @property
    def simulator(self) -> Simulator:
        return self.environment.simulator

    async def restart(self) -> None:
        """Stop the emulator, which ends every function as well, and start it again with its state."""
        async with self.gate.closed():
            await self.environment.emulator.restart()


@asynccontextmanager
async def running_stack(
    folder: Path, aws: Proxy, ses: Proxy, reconcile: float, say: Callable[[str], None]
) -> AsyncIterator[Stack]:
    """Deploy, and keep running until the block ends. Both proxies do nothing to a call as yet."""
    async with AsyncExitStack() as stack:
        gate = Gate()

        async def publish(report: str) -> None:
            """As SES does, until the topic has taken it."""
            while True:
                try:
                    async with gate.passing():
                        return await to_topic(report)
                except (ClientError, BotoCoreError):
                    await asyncio.sleep(0.5)

        simulator = Simulator(Account(max_send_rate=_RATE), publish=publish, schedule=lifelike, keep=1000)
        ses.upstream = await stack.enter_async_context(serve(simulator))
        through_aws, through_ses = [await stack.enter_async_context(proxy.serve()) for proxy in (aws, ses)]
        say("Starting the AWS emulator and synthesizing the stack")
        async with asyncio.TaskGroup() as group:
            synthesis = group.create_task(synthesize(ASSEMBLIES))
            running = running_emulator(
                folder,
                region=_REGION,
                functions_environment={
                    "AWS_ENDPOINT_URL": through_aws,
                    "AWS_ENDPOINT_URL_SESV2": through_ses,
                    "RECONCILE_SECONDS": str(round(reconcile)),
                    "SOFT_BOUNCE_RETRY_SECONDS": "3",
                },
                async_environments=4,
                async_retry_seconds=3,
                keeps_state=True,
            )
            emulator = await stack.enter_async_context(running)
        aws.upstream = emulator.endpoint
        topic = sns_topic(feedback_topic_arn(_REGION), endpoint_url=emulator.endpoint, region=_REGION)
        to_topic = await stack.enter_async_context(topic)
        stack.push_async_callback(simulator.aclose)
        say("Deploying with cdk deploy")
        deployment = await deploy(emulator, synthesis.result(), parameters=_PARAMETERS)
        environment = LocalEnvironment(ses.upstream, emulator, deployment, simulator, Inbox(simulator), [])
        await _prepare(environment)
        await stack.enter_async_context(status_events(environment))
        yield Stack(environment, aws, ses, gate)


async def _prepare(environment: LocalEnvironment) -> None:
    bucket = environment.deployment.template_bucket
    async with environment.client("s3") as s3, environment.client("sqs") as sqs:
        for name, text in WELCOME.items():
            await s3.put_object(Bucket=bucket, Key=f"templates/welcome/{name}", Body=text.encode())
        await s3.put_object(Bucket=bucket, Key="attachments/terms.txt", Body=b"Thirty days.\n")
        for url in (
            environment.deployment.bulk_email_queue_url,
            environment.deployment.email_retry_queue_url,
        ):
            await sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": _VISIBILITY})
