"""Consent on the emulator: the links of real mail, followed as mail programs, people and scanners do."""

import re
from collections.abc import AsyncIterator, Iterator
from html import unescape
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from tests.support.runbook import Operator, until

from engine.local.cases import request
from engine.local.environment import running_environment
from engine.local.inbox.source import headers_of
from engine.local.ses import Message
from engine.local.unsubscribing import reachable
from engine.requests.email_job import email_id
from engine.schemas.consent import SUBSCRIPTION_DETAIL_TYPE, SubscriptionChanged
from engine.schemas.request import EmailRequest

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

SOURCE: Final = "shop"
STARTERS: Final = sorted(path.parent.name for path in Path("starter_templates").glob("*/metadata.json"))
_OWN: Final = ("unsubscribeUrl", "preferencesUrl")


class Event(msgspec.Struct, frozen=True):
    detail: SubscriptionChanged


class Shop(Operator):
    """An application, the readers of its mail, and what the bus tells of them."""

    changes_queue = "subscription-changes"

    async def listen(self) -> None:
        bus = self.local.deployment.event_bus_name
        async with self.local.client("sqs") as sqs, self.local.client("events") as events:
            url = (await sqs.create_queue(QueueName=self.changes_queue))["QueueUrl"]
            found = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
            pattern = f'{{"detail-type": ["{SUBSCRIPTION_DETAIL_TYPE}"]}}'
            await events.put_rule(Name=self.changes_queue, EventBusName=bus, EventPattern=pattern)
            target = {"Id": "shop", "Arn": found["Attributes"]["QueueArn"]}
            await events.put_targets(Rule=self.changes_queue, EventBusName=bus, Targets=[target])

    async def changes(self) -> list[SubscriptionChanged]:
        """What the bus told since this was asked last."""
        async with self.local.client("sqs") as sqs:
            url = (await sqs.get_queue_url(QueueName=self.changes_queue))["QueueUrl"]
            answer = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            messages = answer.get("Messages", ())
            for message in messages:
                await sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return [msgspec.json.decode(message["Body"], type=Event).detail for message in messages]

    async def changed(self) -> SubscriptionChanged:
        """The one change that the bus tells next."""
        found: list[SubscriptionChanged] = []

        async def told() -> bool:
            found.extend(await self.changes())
            return bool(found)

        await until(told, "a Subscription Changed event")
        (change,) = found
        return change

    async def send(self, key: str, email: EmailRequest, status: str = "delivered") -> str:
        async with self.local.emails(SOURCE) as emails:
            await emails.send(msgspec.structs.replace(email, idempotency_key=key))
        own_id = email_id(SOURCE, key)
        await self.reached(own_id, status)
        return own_id

    def mail(self, own_id: str) -> Message:
        (message,) = (one for one in self.local.simulator.messages if one.tags["emailId"] == own_id)
        return message

    async def ask(self, method: str, link: str, **form: str) -> int:
        """The HTTP status that a link's page answers with."""
        address = reachable(link, self.local.emulator.endpoint)
        data = form or None
        async with aiohttp.ClientSession() as session, session.request(method, address, data=data) as answer:
            return answer.status

    async def rows(self, *tables: str) -> list[Any]:
        """All rows of some tables."""
        async with self.local.client("dynamodb") as dynamodb:
            found = [await dynamodb.scan(TableName=table, ConsistentRead=True) for table in tables]
        return sorted((row for answer in found for row in answer["Items"]), key=str)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    folder = tmp_path_factory.mktemp("consent")
    async with running_environment(lambda _doing: None, inbox_port=0, folder=folder) as local:
        shop = Shop(local)
        await shop.listen()
        yield shop


def starter(to: str, template: str = "newsletter", **more: Any) -> EmailRequest:
    """An email whose links to unsubscribe are the engine's own."""
    email = request(to, template, **more)
    data = {name: value for name, value in email.template_data.items() if name not in _OWN}
    return msgspec.structs.replace(email, template_data=data)


def header_link(message: Message) -> str:
    """The link of List-Unsubscribe, in the message as it left."""
    headers = dict(headers_of(message))
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    return headers["List-Unsubscribe"].removeprefix("<").removesuffix(">")


@pytest.mark.parametrize("lane", ["transactional", "bulk"])
async def test_one_click_on_the_header_of_a_newsletter_stops_newsletters_alone(shop: Shop, lane: str) -> None:
    reader = f"{lane}@example.com"
    first = await shop.send(f"{lane}-1", starter(reader, priority=lane))
    link = header_link(shop.mail(first))
    assert link in (shop.mail(first).html or "")

    form = {"List-Unsubscribe": "One-Click"}
    assert await shop.ask("POST", link, **form) == 200
    told = await shop.changed()
    assert (told.address, told.topic, told.subscribed, told.via) == (reader, "newsletter", False, "one-click")
    refused = await shop.send(f"{lane}-2", starter(reader, priority=lane), "failed")
    assert shop.code(refused) == "unsubscribed"
    await shop.send(f"{lane}-reset", request(reader, "password-reset"))

    assert await shop.ask("POST", link, topic="newsletter", action="subscribe") == 200
    told = await shop.changed()
    assert (told.address, told.topic, told.subscribed, told.via) == (reader, "newsletter", True, "page")
    await shop.send(f"{lane}-3", starter(reader, priority=lane))


async def test_a_scanner_that_opens_every_link_of_every_email_changes_nothing(shop: Shop) -> None:
    for template in STARTERS:
        await shop.send(f"scanned-{template}", starter("scanned@example.com", template, topic="newsletter"))
    await shop.changes()
    tables = (shop.local.deployment.suppression_table, shop.local.deployment.tracking_table)
    before = await shop.rows(*tables)

    ours = {
        link
        for message in shop.local.simulator.messages
        for link in links_of(message)
        if reachable(link, shop.local.emulator.endpoint) != link
    }
    assert len(ours) >= len(STARTERS)
    for link in ours:
        assert await shop.ask("GET", link) == 200
        for method in ("HEAD", "OPTIONS"):
            assert await shop.ask(method, link) in {200, 204, 404, 405}

    assert await shop.rows(*tables) == before
    assert await shop.changes() == []


def links_of(message: Message) -> Iterator[str]:
    """Every address that a scanner finds in a message: of its HTML, its text and its headers."""
    for text in (message.html, message.text, *(value for _, value in headers_of(message))):
        yield from re.findall(r"https?://[^\s<>\"']+", unescape(text or ""))
