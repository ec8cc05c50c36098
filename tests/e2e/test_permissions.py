"""The whole loop with IAM enforced: every function can do what its own role allows, and no more.

The emulator enforces policies with AUTH=true. Two things are not as in AWS, and the template is changed for
them here: it is reached over plain HTTP, which the stack's queues, topics and bucket refuse, and it
authorizes a batch of PartiQL statements by the call's name, where AWS goes by what the statements do.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aioboto3
import pytest
from botocore.exceptions import ClientError

from engine.local.deployment import Deployment, deploy, feedback_topic_arn, synthesize
from engine.local.emulator import PROJECT, Emulator, running_emulator
from engine.local.ses.server import serve
from engine.local.ses.simulator import Simulator
from engine.local.unsubscribing import post, unsubscribe_link

pytestmark = pytest.mark.e2e

ASSEMBLIES = PROJECT / ".local" / "assemblies"
REFUSE_PLAIN_HTTP = '"aws:SecureTransport": "false"'
SIMULATOR = "simulator.amazonses.com"
PATIENCE = 90  # seconds, of which a machine in no hurry needs ten

# What is sent, and the statuses that the last one of each is told by; mailboxes as SES's simulator has them.
OUTCOMES = {
    "success": "delivered",
    "bounce": "bounced",
    "complaint": "complained",
    "mailboxfull": "failed",  # after its retry
}


@dataclass(frozen=True)
class Enforced:
    emulator: Emulator
    stack: Deployment
    ses: Simulator
    clients: AsyncExitStack

    async def client(self, service: str, *, key: str = "test") -> Any:
        make: Any = aioboto3.Session(key, "test", region_name=self.emulator.region).client
        return await self.clients.enter_async_context(make(service, endpoint_url=self.emulator.endpoint))


@pytest.fixture
async def enforced(tmp_path: Path) -> AsyncIterator[Enforced]:
    assembly = tmp_path / "assembly"
    shutil.copytree(await synthesize(ASSEMBLIES), assembly)
    template = assembly / "SESMailEngine.template.json"
    text = template.read_text()
    assert REFUSE_PLAIN_HTTP in text
    stack = json.loads(text.replace(REFUSE_PLAIN_HTTP, '"aws:SecureTransport": "never"'))
    allow_batches_of_statements(stack)
    template.write_text(json.dumps(stack))

    publishing: list[Callable[[str], Any]] = []

    async def publish(message: str) -> None:
        await publishing[0](message)

    async with AsyncExitStack() as clients:
        ses = Simulator(publish=publish)
        url = await clients.enter_async_context(serve(ses))
        functions = {"AUTH": "true", "AWS_ENDPOINT_URL_SESV2": url, "SOFT_BOUNCE_RETRY_SECONDS": "0"}
        emulator = await clients.enter_async_context(
            running_emulator(tmp_path / "emulator", functions_environment=functions)
        )
        enforced = Enforced(emulator, await deploy(emulator, assembly), ses, clients)
        sns = await enforced.client("sns")
        topic = feedback_topic_arn(emulator.region)
        publishing.append(lambda message: sns.publish(TopicArn=topic, Message=message))
        yield enforced


def allow_batches_of_statements(stack: dict[str, Any]) -> None:
    """To whoever may insert by PartiQL.

    AWS knows no such action: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-iam.html
    """
    for resource in stack["Resources"].values():
        for policy in resource.get("Properties", {}).get("Policies", []):
            statements = policy["PolicyDocument"]["Statement"]
            if any("dynamodb:PartiQLInsert" in statement["Action"] for statement in statements):
                batch = {"Effect": "Allow", "Action": "dynamodb:BatchExecuteStatement", "Resource": "*"}
                statements.append(batch)


async def test_every_role_lets_its_function_do_its_work(enforced: Enforced) -> None:
    await assert_enforced(enforced)
    listen = await listener(enforced)
    events = await enforced.client("events")
    requests = [request(f"{mailbox}@{SIMULATOR}", "transactional") for mailbox in OUTCOMES]
    requests += [request(f"success+{number}@{SIMULATOR}", "bulk") for number in range(3)]
    # A template that is not there must be told from one that may not be read.
    requests.append(request("nobody@example.com", "transactional", template="no-such-template"))
    answer = await events.put_events(
        Entries=[{**entry, "EventBusName": enforced.stack.event_bus_name} for entry in requests]
    )
    assert answer["FailedEntryCount"] == 0

    missing = {f"{mailbox}@{SIMULATOR}": status for mailbox, status in OUTCOMES.items()}
    missing |= {f"success+{number}@{SIMULATOR}": "delivered" for number in range(3)}
    missing["nobody@example.com"] = "failed"
    async with asyncio.timeout(PATIENCE):
        while missing:
            for told in await listen():
                if missing.get(told["to"]) == told["status"]:
                    del missing[told["to"]]

    link = next(filter(None, map(unsubscribe_link, enforced.ses.messages)))
    for form in ({"List-Unsubscribe": "One-Click"}, {"topic": "news", "action": "subscribe"}):
        assert await post(link, enforced.emulator.endpoint, form) == HTTPStatus.OK

    log = enforced.emulator.log.read_text(errors="replace")
    assert "AccessDenied" not in log
    assert "not authorized" not in log


async def assert_enforced(enforced: Enforced) -> None:
    stranger = await enforced.client("dynamodb", key="stranger")
    with pytest.raises(ClientError, match="UnrecognizedClient"):
        await stranger.describe_table(TableName=enforced.stack.state_table)


def request(to: str, priority: str, *, template: str = "welcome") -> dict[str, str]:
    data = {"userName": "Ada", "companyName": "The Shop"}
    detail = {"to": to, "templateName": template, "templateData": data, "priority": priority, "topic": "news"}
    return {"Source": "shop", "DetailType": "Email Request", "Detail": json.dumps(detail)}


async def listener(enforced: Enforced) -> Callable[[], Any]:
    """Gives the next status events."""
    sqs, events = await enforced.client("sqs"), await enforced.client("events")
    url = (await sqs.create_queue(QueueName="status-events"))["QueueUrl"]
    attributes = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    bus = enforced.stack.event_bus_name
    pattern = json.dumps({"detail-type": ["Email Status Changed"]})
    await events.put_rule(Name="status", EventBusName=bus, EventPattern=pattern)
    target = {"Id": "queue", "Arn": attributes["Attributes"]["QueueArn"]}
    await events.put_targets(Rule="status", EventBusName=bus, Targets=[target])

    async def listen() -> list[dict[str, Any]]:
        answer = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=20)
        for message in answer.get("Messages", ()):
            await sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"])["detail"] for message in answer.get("Messages", ())]

    return listen
