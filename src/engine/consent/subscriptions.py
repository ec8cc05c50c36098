"""What a visit of the page reads and changes. Asking for it changes nothing: scanners open every link."""

from collections.abc import Awaitable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from engine.consent.languages import Texts
from engine.consent.links import BadLinkError, Subscription, UnsubscribeLinks
from engine.consent.page import Done, TopicState, message_page, subscriptions_page
from engine.errors import ServiceUnavailable
from engine.schemas.consent import SubscriptionChanged
from engine.schemas.rows import SuppressionRow
from engine.schemas.times import iso
from engine.tracking.consent import EVERY_TOPIC, UNSUBSCRIBE, opt_out_key
from engine.types import Clock, Telemetry


class Action(StrEnum):
    """A button of the page."""

    UNSUBSCRIBE = "unsubscribe"
    SUBSCRIBE = "subscribe"


class Via(StrEnum):
    """Who pressed: a mail program for its reader, or the reader on the page."""

    ONE_CLICK = "one-click"
    PAGE = "page"


class Answer(Struct, frozen=True):
    """An HTTP status and a page."""

    status: int
    html: str


class ConsentRows(Protocol):
    """Rows of type `unsubscribe`; no other row is changed. Every method may raise ServiceUnavailable."""

    async def read(self, keys: Collection[str]) -> Collection[str]:
        """Those of the keys that have such a row."""
        ...

    async def add(self, row: SuppressionRow) -> None: ...

    async def remove(self, key: str) -> None: ...


class SubscriptionEvents(Protocol):
    async def publish_change(self, change: SubscriptionChanged) -> None:
        """Raises ServiceUnavailable."""
        ...


@dataclass(frozen=True)
class SubscriptionPage:
    """`topics`: the names of the topics that the page always shows, by topic, beside the link's own."""

    links: UnsubscribeLinks
    rows: ConsentRows
    events: SubscriptionEvents
    topics: Mapping[str, str]
    clock: Clock
    telemetry: Telemetry

    async def show(self, token: str, texts: Texts) -> Answer:
        return await self._answer(self._show(token, texts), texts)

    async def one_click(self, token: str, texts: Texts) -> Answer:
        """What a mail program does on its own (RFC 8058): the link's topic ends."""
        return await self._answer(self._change(token, None, Action.UNSUBSCRIBE, Via.ONE_CLICK, texts), texts)

    async def act(self, token: str, topic: str, action: Action, texts: Texts) -> Answer:
        """A button of the page. `topic`: of those shown, or `*`; another one is a bad link."""
        return await self._answer(self._change(token, topic, action, Via.PAGE, texts), texts)

    async def _answer(self, visit: Awaitable[Answer], texts: Texts) -> Answer:
        try:
            return await visit
        except BadLinkError:
            return Answer(400, message_page(texts, texts.bad_title, texts.bad_link))
        except ServiceUnavailable as error:
            self.telemetry.record("service-unavailable", problem=str(error))
            return Answer(503, message_page(texts, texts.failed_title, texts.failed))

    async def _show(self, token: str, texts: Texts) -> Answer:
        return await self._state(self.links.read(token), texts)

    async def _change(self, token: str, topic: str | None, action: Action, via: Via, texts: Texts) -> Answer:
        subscription = self.links.read(token)
        topic = subscription.topic if topic is None else topic
        if topic not in {subscription.topic, EVERY_TOPIC, *self.topics}:
            raise BadLinkError("the topic is not one of the page's")
        await self._record(Subscription(topic, subscription.address), action, via)
        return await self._state(subscription, texts, self._done(topic, action, texts))

    async def _record(self, subscription: Subscription, action: Action, via: Via) -> None:
        """The row first: it is what counts. Whoever is told a failure tries again, and is told again."""
        now, key = iso(self.clock()), opt_out_key(subscription.address, subscription.topic)
        if action is Action.UNSUBSCRIBE:
            await self.rows.add(
                SuppressionRow(
                    email=key,
                    suppression_type=UNSUBSCRIBE,
                    reason=via,
                    added_to_suppression_date=now,
                    added_by="recipient",
                )
            )
        else:
            await self.rows.remove(key)
            if subscription.topic == EVERY_TOPIC:
                await self.rows.remove(subscription.address)
        await self.events.publish_change(
            SubscriptionChanged(
                address=subscription.address,
                topic=subscription.topic,
                subscribed=action is Action.SUBSCRIBE,
                via=via.value,
                timestamp=now,
            )
        )
        self.telemetry.record("subscription-changed", topic=subscription.topic, action=action, via=via)

    async def _state(self, subscription: Subscription, texts: Texts, done: Done | None = None) -> Answer:
        names = {subscription.topic: self._name(subscription.topic), **self.topics}
        names.pop(EVERY_TOPIC, None)
        keys = {topic: opt_out_key(subscription.address, topic) for topic in (*names, EVERY_TOPIC)}
        # A bare address with a row of that type counts as every topic.
        gone = await self.rows.read([*keys.values(), subscription.address])
        all_off = keys[EVERY_TOPIC] in gone or subscription.address in gone
        states = [
            TopicState(topic, name, subscribed=not all_off and keys[topic] not in gone)
            for topic, name in names.items()
        ]
        if done and all_off and done.topic != EVERY_TOPIC:
            done = None  # neither the button nor its undo would bring a topic back while everything is off
        return Answer(
            200, subscriptions_page(texts, subscription.address, states, all_off=all_off, done=done)
        )

    def _name(self, topic: str) -> str:
        return self.topics.get(topic, topic)

    def _done(self, topic: str, action: Action, texts: Texts) -> Done:
        of_all, gone = topic == EVERY_TOPIC, action is Action.UNSUBSCRIBE
        if of_all:
            text = texts.gone_all if gone else texts.back_all
        else:
            text = (texts.gone if gone else texts.back).format(topic=self._name(topic))
        return Done(text, topic, Action.SUBSCRIBE if gone else Action.UNSUBSCRIBE)
