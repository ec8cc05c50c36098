"""Topics that people unsubscribe from: which there are, what an address gets, and changing that."""

import asyncio
from datetime import datetime

from botocore.exceptions import ClientError
from msgspec import Struct

from engine.aws.consent_rows import ConsentTable
from engine.aws.error_codes import is_code
from engine.aws.event_bus import StatusBus
from engine.bootstrap.settings import named_topics
from engine.consent.links import Subscription
from engine.consent.opt_outs import OptOuts, Via
from engine.operations.actions import tell
from engine.operations.stack import DeployedStack
from engine.operations.suppression_table import entry, open_suppression
from engine.operations.template_metadata import template_metadata, topic_in
from engine.operations.verdict import Verdict, amount
from engine.requests.addresses import address_key
from engine.tracking.consent import EVERY_TOPIC, opt_out_key


class Topic(Struct, frozen=True, kw_only=True, rename="camel"):
    """`name`: what the hosted page calls it. `templates`: those whose metadata names the topic."""

    topic: str
    name: str
    templates: list[str]


class Topics(Struct, frozen=True, rename="camel"):
    topics: list[Topic]

    def verdict(self) -> Verdict:
        if not self.topics:
            sentence = (
                "No template names a topic, and the page has none: nobody can unsubscribe from anything."
            )
            return Verdict(good=True, sentence=sentence)
        return Verdict(good=True, sentence=f"{amount(len(self.topics), 'topic')}. Requests may name others.")


class TopicOfAddress(Struct, frozen=True, kw_only=True, rename="camel"):
    topic: str
    subscribed: bool


class Subscriptions(Struct, frozen=True, kw_only=True, rename="camel"):
    """What an address gets, of the known topics and those that it has ended.

    `all_off`: it gets no mail with a topic.
    """

    address: str
    all_off: bool
    topics: list[TopicOfAddress]

    def verdict(self) -> Verdict:
        gone = [each.topic for each in self.topics if not each.subscribed]
        if self.all_off:
            sentence = f"{self.address} has unsubscribed from everything that one can unsubscribe from."
        elif gone:
            sentence = f"{self.address} has unsubscribed from {', '.join(gone)}."
        else:
            sentence = f"{self.address} has unsubscribed from nothing."
        return Verdict(good=True, sentence=sentence)


async def list_topics(stack: DeployedStack) -> Topics:
    """The hosted page's topics, and those that templates name."""
    names, templates = await asyncio.gather(_names(stack), _topics_of_templates(stack))
    using: dict[str, list[str]] = {topic: [] for topic in names}
    for template, topic in sorted(templates.items()):
        using.setdefault(topic, []).append(template)
    return Topics(
        [Topic(topic=topic, name=names.get(topic, topic), templates=used) for topic, used in using.items()]
    )


async def show_subscriptions(stack: DeployedStack, address: str, topic: str | None) -> Subscriptions:
    """`topic`: one more to look at, which neither the page nor a template names.

    Reads on through all who have unsubscribed, for the topics that only requests name.
    """
    key = address_key(address)
    known = [each.topic for each in (await list_topics(stack)).topics]
    rows = [entry(row) for row in await (await open_suppression(stack)).of_address(key)]
    ended = sorted(row.topic for row in rows if row.topic and row.topic != EVERY_TOPIC)
    topics = list(dict.fromkeys([*known, *ended, *([topic] if topic else [])]))
    consent = await (await _opt_outs(stack)).of(key, topics)
    return Subscriptions(
        address=key,
        all_off=consent.all_off,
        topics=[TopicOfAddress(topic=each, subscribed=consent.subscribed[each]) for each in topics],
    )


async def set_subscription(
    stack: DeployedStack, address: str, topic: str, now: datetime, *, subscribed: bool, options: str = ""
) -> Verdict:
    """Write or take out the row, then tell the bus, as the hosted page does, and who did it."""
    key = address_key(address)
    opt_outs, subscription = await _opt_outs(stack), Subscription(topic, key)
    if subscribed:
        await opt_outs.resume(subscription, Via.OPERATOR, now)
    else:
        await opt_outs.end(subscription, Via.OPERATOR, await stack.operator(), now)
    scope = opt_out_key(key, topic)
    await tell(stack, "topic-on" if subscribed else "topic-off", scope, None, now)
    if not subscribed:
        ended = "any topic" if topic == EVERY_TOPIC else topic
        return Verdict(good=True, sentence=f"{key} gets no more mail of {ended}.")
    if topic == EVERY_TOPIC:
        return Verdict(good=True, sentence=f"{key} gets mail of every topic that it has not ended by name.")
    if (await opt_outs.of(key, [])).all_off:
        sentence = f"{key} still gets no mail of {topic}: it has unsubscribed from every topic."
        command = f"sesmailengine topics set {key} '{EVERY_TOPIC}' --on{options}"
        return Verdict(good=False, sentence=sentence, next_command=command)
    return Verdict(good=True, sentence=f"{key} gets mail of {topic}.")


async def _opt_outs(stack: DeployedStack) -> OptOuts:
    rows = ConsentTable(await stack.client("dynamodb"), stack.suppression_table)
    return OptOuts(rows, StatusBus(await stack.client("events"), stack.event_bus))


async def _names(stack: DeployedStack) -> dict[str, str]:
    functions = await stack.client("lambda")
    try:
        page = await functions.get_function_configuration(FunctionName=stack.resource("Unsubscribe"))
    except ClientError as error:
        if is_code(error, "ResourceNotFoundException"):
            return {}  # not hosted
        raise
    return named_topics(page.get("Environment", {}).get("Variables", {}).get("UNSUBSCRIBE_TOPICS", ""))


async def _topics_of_templates(stack: DeployedStack) -> dict[str, str]:
    s3, bucket = await stack.client("s3"), await stack.template_bucket()
    names: list[str] = []
    async for page in s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix="templates/", Delimiter="/"
    ):
        names += [each["Prefix"].split("/")[1] for each in page.get("CommonPrefixes", ())]
    found = await template_metadata(stack, names)
    return {name: topic for name, each in found.items() if (topic := topic_in(each))}
