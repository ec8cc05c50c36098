"""Publish events: when, in which order and how often, by the schedule and the faults."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from engine.local.ses.events import EventDocument, to_json
from engine.local.ses.faults import Faults
from engine.local.ses.mail_object import MailObject
from engine.local.ses.message import Message
from engine.local.ses.outcomes import Step

logger = logging.getLogger(__name__)

Publish = Callable[[str], Awaitable[None]]
"""Publishes one event, as JSON text: to an SNS topic, or to a list."""

Schedule = Callable[[str], float | None]
"""Seconds from acceptance to an event of the given type; None keeps it until `release`."""

MAX_PUBLISHING = 32
"""Publishing calls under way at once."""


def at_once(_kind: str) -> float | None:
    """Every event is published, in order, before the request is answered."""
    return 0.0


def on_release(_kind: str) -> float | None:
    """Every event waits until the test releases it."""
    return None


def lifelike(kind: str) -> float | None:
    """Small delays in a plausible order, for a person watching."""
    return {"Send": 0.05, "Delivery": 0.3, "DeliveryDelay": 0.2, "Open": 1.0, "Click": 1.5}.get(kind, 0.5)


class SimulatedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event about one message. Its JSON is built on demand: a benchmark may never need it."""

    message: Message
    step: Step
    recipients: tuple[str, ...]
    at: datetime
    account_id: str = "123456789012"
    region: str = "us-east-1"

    @property
    def event_type(self) -> str:
        """One of the ten event types."""
        return self.step.kind

    @property
    def message_id(self) -> str:
        """The message that the event is about."""
        return self.message.message_id

    def document(self) -> EventDocument:
        """The event as JSON-able data."""
        mail = MailObject.of(self.message, account_id=self.account_id, region=self.region)
        return self.step.build(mail, self.recipients, self.at)

    @property
    def body(self) -> str:
        """The event as the text that SNS carries."""
        return to_json(self.document())


class Outgoing:
    """Publishes events by the schedule and the fault plan. Lives on one event loop."""

    def __init__(
        self,
        publish: Publish | None,
        schedule: Schedule,
        faults: Faults,
        on_published: Callable[[SimulatedEvent], None],
    ) -> None:
        self._publish = publish
        self._schedule = schedule
        self._faults = faults
        self._on_published = on_published
        self._held: deque[SimulatedEvent] = deque()
        self._timers: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(MAX_PUBLISHING)

    @property
    def held(self) -> tuple[SimulatedEvent, ...]:
        """Events that wait for `release`."""
        return tuple(self._held)

    async def report(self, events: Sequence[SimulatedEvent]) -> None:
        """Schedule a message's events, in order. Those without delay are published when this returns."""
        plan = self._faults.plan
        timed = [
            self._timed(event, position)
            for position, event in enumerate(events)
            if event.event_type not in plan.events_lost
        ]
        if plan.events_reversed:
            timed.reverse()
        for event, delay in timed:
            for _ in range(plan.event_copies):
                await self._dispatch(event, None if plan.events_held else delay, plan.event_late_seconds)

    async def release(self, count: int | None = None, *, newest_first: bool = False) -> int:
        """Publish held events, oldest first unless told otherwise; the number that went out."""
        wanted = len(self._held) if count is None else min(count, len(self._held))
        for _ in range(wanted):
            await self._send(self._held.pop() if newest_first else self._held.popleft())
        return wanted

    async def aclose(self) -> None:
        """Drop what is scheduled, and wait for what is being published."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        await asyncio.gather(*self._tasks)

    def _timed(self, event: SimulatedEvent, position: int) -> tuple[SimulatedEvent, float | None]:
        """The event with its own time; a millisecond each keeps the order where nothing is delayed."""
        delay = self._schedule(event.event_type)
        at = event.at + timedelta(seconds=delay or 0, milliseconds=position)
        return msgspec.structs.replace(event, at=at), delay

    async def _dispatch(self, event: SimulatedEvent, delay: float | None, late: float) -> None:
        if delay is None:
            self._held.append(event)
        elif delay + late <= 0:
            await self._send(event)
        else:
            self._later(event, delay + late)

    def _later(self, event: SimulatedEvent, delay: float) -> None:
        def start() -> None:
            self._timers.discard(timer)
            task = loop.create_task(self._send(event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        loop = asyncio.get_running_loop()
        timer = loop.call_later(delay, start)
        self._timers.add(timer)

    async def _send(self, event: SimulatedEvent) -> None:
        if self._publish is not None:
            async with self._slots:
                try:
                    await self._publish(event.body)
                except Exception:
                    # SES does not take a message back because the topic can't be reached; neither does this.
                    logger.exception(
                        "The %s event of %s was not published", event.event_type, event.message_id
                    )
        self._on_published(event)
