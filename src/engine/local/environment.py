"""The whole engine on this machine: emulator, SES simulator, inbox, and the stack by a real `cdk deploy`."""

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final, TextIO

import aioboto3
import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from engine.aws.clients import Clients
from engine.client import EmailClient
from engine.local.console.desk import Desk
from engine.local.deployment import Deployment, deploy, feedback_topic_arn, synthesize
from engine.local.emulator import PROJECT, Emulator, running_emulator
from engine.local.inbox.inbox import Inbox
from engine.local.inbox.pages import inbox_pages
from engine.local.ses.account import Account
from engine.local.ses.outgoing import lifelike
from engine.local.ses.server import serve
from engine.local.ses.simulator import Simulator, utc_now
from engine.local.ses.topic import sns_topic
from engine.local.unsubscribing import post, unsubscribe_link
from engine.operations.stack import DeployedStack, StackAddress
from engine.schemas.status import STATUS_EVENT_DETAIL_TYPE, EmailStatusChanged

if sys.platform != "win32":
    import fcntl

FOLDER: Final = PROJECT / ".local"
INBOX_PORT: Final = 8025
_REGION: Final = "us-east-1"
_STATUS_QUEUE: Final = "local-status-events"
# Waits that take a quarter of an hour in an account take seconds here.
_SHORT_WAITS: Final = {"SOFT_BOUNCE_RETRY_SECONDS": "3", "RECONCILE_SECONDS": "20"}

# The emulator checks no signature; fixed names keep the user's own AWS profile out of it.
_CREDENTIALS: Final[dict[str, Any]] = {
    "aws_access_key_id": "local",
    "aws_secret_access_key": "local",
    "region_name": _REGION,
}

OnStatus = Callable[[EmailStatusChanged], None]

logger = logging.getLogger(__name__)


class StatusEvent(msgspec.Struct, frozen=True):
    """An event of the bus, as a queue that is a rule's target receives it."""

    detail: EmailStatusChanged


@dataclass(frozen=True)
class LocalEnvironment:
    """A running environment. `listeners` are called with every status event."""

    url: str
    emulator: Emulator
    deployment: Deployment
    simulator: Simulator
    inbox: Inbox
    listeners: list[OnStatus]

    def client(self, service: str) -> Any:
        """An aioboto3 client, to be entered."""
        session: Any = aioboto3.Session(**_CREDENTIALS)
        return session.client(service, endpoint_url=self.emulator.endpoint)

    async def unsubscribe(self, email_id: str) -> int:
        """Press "Unsubscribe" in an email that was sent, as a mail program does; the page's HTTP status.

        Raises LookupError where SES took no such email, or it names no page.
        """
        sent = [message for message in self.simulator.messages if message.tags.get("emailId") == email_id]
        link = unsubscribe_link(sent[0]) if sent else None
        if link is None:
            raise LookupError(f"no email {email_id} with a List-Unsubscribe header was sent")
        return await post(link, self.emulator.endpoint)

    def emails(self, source: str) -> EmailClient:
        options: dict[str, Any] = {"endpoint_url": self.emulator.endpoint, **_CREDENTIALS}
        return EmailClient(self.deployment.event_bus_name, source=source, **options)


@asynccontextmanager
async def running_environment(
    say: Callable[[str], None],
    *,
    inbox_port: int = INBOX_PORT,
    folder: Path = FOLDER,
    parameters: Mapping[str, str] | None = None,
) -> AsyncIterator[LocalEnvironment]:
    """Start and deploy everything, and keep it until the block ends. `say` gets what is being done.

    `parameters` are the stack's, where they differ from the template's defaults.

    Raises EmulatorError, CdkError, and OSError where the inbox's port is taken.
    """
    async with AsyncExitStack() as stack:
        outgoing: list[Callable[[str], Any]] = []  # publishes to the topic, once there is one

        async def publish(message: str) -> None:
            await outgoing[0](message)

        account = Account(region=_REGION, feedback_topic=feedback_topic_arn(_REGION))
        simulator = Simulator(account, publish=publish, schedule=lifelike, keep=10_000)
        inbox = Inbox(simulator)
        desk = Desk(None, inbox.watchers, utc_now)
        pages = inbox_pages(inbox, desk=desk)
        url = await stack.enter_async_context(serve(simulator, port=inbox_port, mounts=[pages]))
        own_folder = stack.enter_context(unused_folder(folder))
        say("Starting the AWS emulator and synthesizing the stack")
        functions = {"AWS_ENDPOINT_URL_SESV2": url, **_SHORT_WAITS}
        async with asyncio.TaskGroup() as group:
            synthesis = group.create_task(synthesize(folder / "assemblies"))
            emulator = await stack.enter_async_context(
                running_emulator(own_folder, region=_REGION, functions_environment=functions)
            )
        topic = sns_topic(feedback_topic_arn(_REGION), endpoint_url=emulator.endpoint, region=_REGION)
        outgoing.append(await stack.enter_async_context(topic))
        # Closes before the topic: what SES would still report could not be published any more.
        stack.push_async_callback(simulator.aclose)
        say("Deploying with cdk deploy")
        deployment = await deploy(emulator, synthesis.result(), parameters=parameters)
        environment = LocalEnvironment(url, emulator, deployment, simulator, inbox, [inbox.record_status])
        await stack.enter_async_context(status_events(environment))
        desk.stack = await stack.enter_async_context(_deployed(emulator))
        stack.push_async_callback(desk.close)
        yield environment


@contextmanager
def unused_folder(parent: Path) -> Iterator[Path]:
    """`emulator` in a folder, or `emulator-2` and so on while other environments run in those before it."""
    parent.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        folder = parent / ("emulator" if number == 1 else f"emulator-{number}")
        with folder.with_suffix(".lock").open("w") as lock:
            if _locked(lock):
                yield folder
                return


def _locked(lock: TextIO) -> bool:
    """Whether no other process has the lock, which ends with the file; not every system has such locks."""
    if sys.platform != "win32":
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return not isinstance(error, BlockingIOError)
    return True


@asynccontextmanager
async def _deployed(emulator: Emulator) -> AsyncIterator[DeployedStack]:
    """The stack as the pages reach it."""
    address = StackAddress(region=_REGION, endpoint_url=emulator.endpoint)
    clients = Clients(aioboto3.Session(**_CREDENTIALS), emulator.endpoint)
    try:
        yield DeployedStack(address, clients)
    finally:
        await clients.close()


@asynccontextmanager
async def status_events(environment: LocalEnvironment) -> AsyncIterator[None]:
    """Bring every status event of the bus to the environment's listeners, through a queue of its own."""
    async with environment.client("sqs") as sqs, environment.client("events") as events:
        queue_url = (await sqs.create_queue(QueueName=_STATUS_QUEUE))["QueueUrl"]
        attributes = await sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        bus = environment.deployment.event_bus_name
        pattern = json.dumps({"detail-type": [STATUS_EVENT_DETAIL_TYPE]})
        await events.put_rule(Name=_STATUS_QUEUE, EventBusName=bus, EventPattern=pattern)
        target = {"Id": "inbox", "Arn": attributes["Attributes"]["QueueArn"]}
        await events.put_targets(Rule=_STATUS_QUEUE, EventBusName=bus, Targets=[target])
        poller = asyncio.create_task(poll_status_events(sqs, queue_url, environment.listeners))
        try:
            yield
        finally:
            poller.cancel()
            with suppress(asyncio.CancelledError):
                await poller


async def poll_status_events(sqs: Any, queue_url: str, listeners: Sequence[OnStatus]) -> None:
    """Call the listeners with every status event of a queue, until cancelled.

    Anybody may publish on a bus: an event that can't be read, or that a listener fails on, is logged and
    skipped.
    """
    while True:
        try:
            answer = await sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in answer.get("Messages", ()):
                try:
                    event = msgspec.json.decode(message["Body"], type=StatusEvent)
                    for listener in listeners:
                        listener(event.detail)
                except msgspec.MsgspecError as error:
                    logger.warning("Skipped a status event that can't be read: %s", error)
                except Exception:
                    logger.exception("Skipped a status event that could not be shown")
                await sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        except (ClientError, BotoCoreError):
            await asyncio.sleep(0.5)  # the emulator is busy or stopping; the messages stay in the queue
