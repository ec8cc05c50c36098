"""A webhook on the emulator: what EventBridge posts, and to whom."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aioboto3
import boto3  # type: ignore[import-untyped]  # a test looks at answers as plain JSON
import msgspec
import pytest
from aiohttp import web
from typer.testing import CliRunner

from engine.aws.signed_webhooks import signature
from engine.cli.main import app
from engine.local.emulator import Emulator, running_emulator
from infra.bundling import engine_zip

pytestmark = pytest.mark.e2e

STACK = "mail"
STATUS = "Email Status Changed"


class Receiver:
    """The endpoint of an application: what was posted to it, in order."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[tuple[dict[str, str], dict[str, Any]]] = asyncio.Queue()
        self.url = ""

    async def _take(self, request: web.Request) -> web.Response:
        self.requests.put_nowait((dict(request.headers), await request.json()))
        return web.Response()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Receiver"]:
        application = web.Application()
        application.router.add_post("/mail", self._take)
        runner = web.AppRunner(application)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/mail"
            yield self
        finally:
            await runner.cleanup()

    async def next(self) -> tuple[dict[str, str], dict[str, Any]]:
        return await asyncio.wait_for(self.requests.get(), 30)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().running() as receiver:
        yield receiver


class Local:
    def __init__(self, emulator: Emulator, events: Any, functions: Any) -> None:
        self._emulator = emulator
        self._events = events
        self._functions = functions

    async def run(self, *words: str, code: int = 0) -> dict[str, Any]:
        """A command's facts; it runs a loop of its own, so it needs another thread."""
        place = ["--stack", STACK, "--region", self._emulator.region, "--endpoint-url"]
        words = ("webhooks", *words, *place, self._emulator.endpoint, "--json")
        answer = await asyncio.to_thread(CliRunner().invoke, app, words)
        assert answer.exit_code == code, answer.output
        if code:
            return {}
        facts: dict[str, Any] = json.loads(answer.output)
        return facts

    async def deploy_function(self) -> None:
        """The function that signs, of the engine's own zip."""
        code = await asyncio.to_thread(engine_zip, "local")
        s3 = boto3.client("s3")  # which takes large files; aiobotocore warns of them
        s3.create_bucket(Bucket="code", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        await asyncio.to_thread(s3.upload_file, str(code), "code", "engine.zip")
        await self._functions.create_function(
            FunctionName=f"{STACK}-Webhook",
            Runtime="python3.13",
            Role="arn:aws:iam::000000000000:role/mail",
            Handler="engine.handlers.webhook.handler",
            Timeout=15,
            Code={"S3Bucket": "code", "S3Key": "engine.zip"},
            Environment={
                "Variables": {
                    "WEBHOOK_SECRET_PREFIX": f"{STACK}-webhook-",
                    "WEBHOOK_ALLOW_PRIVATE": "true",
                    "AWS_ENDPOINT_URL": self._emulator.endpoint,
                }
            },
            Publish=True,
        )
        await self._functions.create_alias(FunctionName=f"{STACK}-Webhook", Name="live", FunctionVersion="1")

    async def publish(self, detail_type: str, **detail: Any) -> None:
        entry = {"EventBusName": f"{STACK}-EmailBus", "Source": "sesmailengine", "DetailType": detail_type}
        await self._events.put_events(Entries=[{**entry, "Detail": json.dumps(detail)}])


@pytest.fixture
async def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Local]:
    """The two things of a stack that a webhook needs: the bus, and the queue for what nobody took."""
    async with running_emulator(tmp_path, region="eu-west-1") as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        session: Any = aioboto3.Session()
        async with (
            session.client("events") as events,
            session.client("sqs") as sqs,
            session.client("lambda") as functions,
        ):
            await events.create_event_bus(Name=f"{STACK}-EmailBus")
            await sqs.create_queue(QueueName=f"{STACK}-WebhookDLQ")
            yield Local(emulator, events, functions)


async def test_a_webhook_gets_what_it_asked_for_with_its_header_until_it_is_removed(
    local: Local, receiver: Receiver
) -> None:
    events = ("--events", "bounced,unsubscribed", "--source", "shop", "--name", "crm")
    token = (await local.run("add", receiver.url, *events, "--yes"))["token"]
    await local.run(
        "add", receiver.url, "--events", "sent", "--name", "other", "--header", "X-Key=k", "--yes"
    )

    # None of these is for it: another status, another source, somebody who came back.
    await local.publish(STATUS, emailId="1", status="delivered", originalSource="shop")
    await local.publish(STATUS, emailId="2", status="bounced", originalSource="crm")
    await local.publish("Subscription Changed", address="ada@example.com", topic="news", subscribed=True)
    await local.publish(STATUS, emailId="3", status="bounced", originalSource="shop")
    headers, event = await receiver.next()
    assert headers["Authorization"] == f"Bearer {token}"
    assert event["detail-type"] == STATUS
    assert event["detail"] == {"emailId": "3", "status": "bounced", "originalSource": "shop"}
    assert event["id"]

    await local.publish("Subscription Changed", address="ada@example.com", topic="news", subscribed=False)
    _, event = await receiver.next()
    assert event["detail"]["address"] == "ada@example.com"

    await local.run("test", "crm")
    headers, event = await receiver.next()
    assert (event["detail-type"], event["detail"]["webhook"]) == ("Webhook Test", "crm")
    assert headers["Authorization"] == f"Bearer {token}"

    assert {each["name"] for each in (await local.run("list"))["webhooks"]} == {"crm", "other"}
    await local.run("remove", "crm", "--yes")
    await local.run("remove", "crm", "--yes", code=1)  # there is none by that name any more
    await local.publish(STATUS, emailId="4", status="bounced", originalSource="shop")
    await local.publish(STATUS, emailId="5", status="sent", originalSource="shop")
    headers, event = await receiver.next()
    assert (headers["X-Key"], event["detail"]["emailId"]) == ("k", "5")


async def test_a_signed_webhook_is_posted_by_the_function_as_it_is_deployed(
    local: Local, receiver: Receiver
) -> None:
    await local.deploy_function()
    added = await local.run("add", receiver.url, "--events", "bounced", "--name", "crm", "--signed", "--yes")
    await local.publish(STATUS, emailId="1", status="bounced", originalSource="shop")
    headers, event = await receiver.next()
    assert event["detail"]["emailId"] == "1"
    assert headers["webhook-id"] == event["id"]
    stamp, body = int(headers["webhook-timestamp"]), msgspec.json.encode(event)
    assert headers["webhook-signature"] == signature(added["secret"], event["id"], stamp, body)
