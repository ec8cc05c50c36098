"""In-memory stand-ins for every port that is no table, and one of each together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from tests.support.fake_tables import (
    FakeLedger,
    FakePayloads,
    FakePreSendReader,
    FakeQuota,
    FakeSoftBounces,
    FakeSuppression,
)
from tests.support.log_watch import LOG_WATCH
from tests.support.ports import FakeClock, FakeSleep, Hook, Port

from engine.consent.links import UnsubscribeLinks
from engine.errors import (
    FailureCode,
    OutcomeUnknown,
    Refusal,
    Refused,
    SendFailure,
    SendingPaused,
    SendRefused,
    SendThrottled,
)
from engine.schemas.operator_action import OperatorAction
from engine.schemas.request import Lane
from engine.schemas.retry import RetryMessage
from engine.schemas.status import EmailStatusChanged
from engine.sending.compose import OutgoingMessage
from engine.templating.template import Rendered, Template


@dataclass
class FakeStatusEvents(Port):
    published: list[EmailStatusChanged] = field(default_factory=list)
    actions: list[OperatorAction] = field(default_factory=list)

    async def tell(self, action: OperatorAction) -> None:
        async with self.effect("status_events.tell"):
            self.actions.append(action)

    async def publish(self, events: Sequence[EmailStatusChanged]) -> None:
        async with self.effect("status_events.publish"):
            self.published += events

    def statuses(self, email_id: str | None = None) -> list[str]:
        return [event.status for event in self.published if email_id in {None, event.email_id}]


@dataclass
class FakeRetryQueue(Port):
    deferred: list[tuple[str, int]] = field(default_factory=list)
    retries: list[tuple[RetryMessage, int]] = field(default_factory=list)
    held: list[tuple[str, str, int]] = field(default_factory=list)
    parked: list[str] = field(default_factory=list)

    async def park(self, body: str) -> None:
        async with self.effect("retry_queue.park"):
            self.parked.append(body)

    async def extend_visibility(self, queue_arn: str, receipt_handle: str, seconds: int) -> None:
        async with self.effect("retry_queue.extend_visibility"):
            self.held.append((queue_arn, receipt_handle, seconds))

    async def defer(self, body: str, seconds: int) -> None:
        async with self.effect("retry_queue.defer"):
            self.deferred.append((body, seconds))

    async def schedule_retry(self, message: RetryMessage, seconds: int) -> None:
        async with self.effect("retry_queue.schedule_retry"):
            self.retries.append((message, seconds))


@dataclass
class FakeGate(Port):
    """Answers the scripted waits in turn, then lets everything pass at once."""

    waits: list[float] = field(default_factory=list)
    reserved: list[tuple[int, Lane]] = field(default_factory=list)
    throttles: int = 0
    largest_burst: int = 50

    async def reserve(self, recipients: int, lane: Lane, within: float) -> float:  # noqa: ARG002 - the port's
        async with self.effect("gate.reserve"):
            self.reserved.append((recipients, lane))
            return self.waits.pop(0) if self.waits else 0.0

    async def burst(self) -> int:
        async with self.effect("gate.burst"):
            return self.largest_burst

    async def throttled(self) -> None:
        async with self.effect("gate.throttled"):
            self.throttles += 1


class Lost(msgspec.Struct, frozen=True):
    """SES takes the message, but its answer never arrives."""

    error: OutcomeUnknown = OutcomeUnknown("the answer did not arrive")


@dataclass
class FakeMailer(Port):
    """Answers the scripted outcomes in turn (a message id, a failure, or `Lost`), then accepts everything.

    `sent` holds what SES took, by message id: a lost answer is in it, a failure is not. `calls` holds how
    many messages each call carried. An error that is no failure to send is raised.
    """

    outcomes: list[str | Exception | Lost] = field(default_factory=list)
    sent: dict[str, OutgoingMessage] = field(default_factory=dict)
    calls: list[int] = field(default_factory=list)
    _taken: int = 0

    async def send(self, messages: Sequence[OutgoingMessage]) -> list[str | SendFailure]:
        async with self.effect("mailer.send"):
            self.calls.append(len(messages))
            return [self._send(message) for message in messages]

    def _send(self, message: OutgoingMessage) -> str | SendFailure:
        self._taken += 1
        outcome = self.outcomes.pop(0) if self.outcomes else f"ses-{self._taken}"
        if isinstance(outcome, SendRefused | SendThrottled | SendingPaused):
            return outcome
        if isinstance(outcome, Exception):
            raise outcome
        message_id = outcome if isinstance(outcome, str) else f"ses-{self._taken}"
        self.sent[message_id] = message
        return outcome.error if isinstance(outcome, Lost) else message_id


class FakeTemplate(Template, frozen=True):
    """Renders what it was told to; with `error`, refuses."""

    rendered: Rendered = Rendered(
        subject="Hello", html="<p>Hello</p>", text="Hello", sender_email=None, sender_name=None
    )
    error: str | None = None

    def render(self, data: dict[str, Any]) -> Rendered:  # noqa: ARG002 - the port's signature
        if self.error:
            raise Refused(Refusal(FailureCode.TEMPLATE_ERROR, self.error))
        return self.rendered


@dataclass
class FakeLinks(Port):
    links: UnsubscribeLinks = UnsubscribeLinks("https://page.example/", ["key"])  # noqa: RUF009 - never changed

    async def load(self) -> UnsubscribeLinks:
        async with self.effect("links.load"):
            return self.links


@dataclass
class FakeTemplates(Port):
    templates: dict[str, Template] = field(default_factory=lambda: {"welcome": FakeTemplate("welcome")})
    attachments: dict[str, bytes] = field(default_factory=dict)
    loaded: set[str] = field(default_factory=set)

    async def load(self, name: str) -> Template:
        async with self.effect("templates.load"):
            if name not in self.templates:
                raise Refused(Refusal(FailureCode.TEMPLATE_NOT_FOUND, f"no template {name}"))
            self.loaded.add(name)
            return self.templates[name]

    def known_topic(self, name: str) -> str | None:
        return self.templates[name].topic if name in self.loaded else None

    async def attachment_size(self, s3_key: str) -> int:
        async with self.effect("templates.attachment_size"):
            if s3_key not in self.attachments:
                raise Refused(Refusal(FailureCode.VALIDATION, f"no attachment {s3_key}"))
            return len(self.attachments[s3_key])

    async def load_attachment(self, s3_key: str) -> bytes:
        async with self.effect("templates.load_attachment"):
            if s3_key not in self.attachments:
                raise Refused(Refusal(FailureCode.VALIDATION, f"no attachment {s3_key}"))
            return self.attachments[s3_key]


@dataclass
class FakeTelemetry:
    """Keeps what would be logged and counted; not an effect, so it has no await point."""

    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def record(self, name: str, **fields: str | float) -> None:
        self.events.append((name, dict(fields)))
        LOG_WATCH.look(f"{name} {fields}")

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]


class FakeAws:
    """One of each, all on the same kill switch: what survives when the process does not."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.sleep = FakeSleep(self.clock)
        self.telemetry = FakeTelemetry()
        self.ledger = FakeLedger()
        self.suppression = FakeSuppression()
        self.quota = FakeQuota()
        self.pre_send = FakePreSendReader(self.suppression, self.quota)
        self.soft_bounces = FakeSoftBounces()
        self.payloads = FakePayloads()
        self.status_events = FakeStatusEvents()
        self.retry_queue = FakeRetryQueue()
        self.gate = FakeGate()
        self.mailer = FakeMailer()
        self.templates = FakeTemplates()
        self.links = FakeLinks()

    def switch(self, on_await: Hook | None) -> None:
        """Hand every port the same hook; None lets everything run through."""
        for port in vars(self).values():
            if isinstance(port, Port):
                port.on_await = on_await
