"""What a visit of the page reads and changes. Asking for it changes nothing: scanners open every link."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct

from engine.consent.languages import Texts
from engine.consent.links import BadLinkError, Subscription, UnsubscribeLinks
from engine.consent.opt_outs import OptOuts, Via
from engine.consent.page import Done, TopicState, message_page, subscriptions_page
from engine.errors import ServiceUnavailable
from engine.tracking.consent import EVERY_TOPIC
from engine.types import Clock, Telemetry


class Action(StrEnum):
    """A button of the page."""

    UNSUBSCRIBE = "unsubscribe"
    SUBSCRIBE = "subscribe"


class Answer(Struct, frozen=True):
    """An HTTP status and a page."""

    status: int
    html: str


@dataclass(frozen=True)
class SubscriptionPage:
    """`topics`: the names of the topics that the page always shows, by topic, beside the link's own."""

    links: UnsubscribeLinks
    opt_outs: OptOuts
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
        changed, now = Subscription(topic, subscription.address), self.clock()
        if action is Action.UNSUBSCRIBE:
            await self.opt_outs.end(changed, via, "recipient", now)
        else:
            await self.opt_outs.resume(changed, via, now)
        self.telemetry.record("subscription-changed", topic=topic, action=action, via=via)
        return await self._state(subscription, texts, self._done(topic, action, texts))

    async def _state(self, subscription: Subscription, texts: Texts, done: Done | None = None) -> Answer:
        names = {subscription.topic: self._name(subscription.topic), **self.topics}
        names.pop(EVERY_TOPIC, None)
        consent = await self.opt_outs.of(subscription.address, names)
        states = [
            TopicState(topic, name, subscribed=consent.subscribed[topic]) for topic, name in names.items()
        ]
        if done and consent.all_off and done.topic != EVERY_TOPIC:
            done = None  # neither the button nor its undo would bring a topic back while everything is off
        return Answer(
            200, subscriptions_page(texts, subscription.address, states, all_off=consent.all_off, done=done)
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
