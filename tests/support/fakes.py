"""In-memory stand-ins for every port: small, honest about conditions, and killable at every await.

Each effect awaits `on_await("<port>.<method>:before")` and `...:after"`. A hook that raises `Killed` there is
a process that dies at that very point: what was done stays done, what comes after never happens.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from tests.support.log_watch import LOG_WATCH

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
    ServiceUnavailable,
)
from engine.schemas.operator_action import OperatorAction
from engine.schemas.request import EmailRequest, Lane
from engine.schemas.retry import RetryMessage
from engine.schemas.rows import BrakeRow, SuppressionRow, TrackingRow
from engine.schemas.status import EmailStatusChanged
from engine.schemas.times import iso
from engine.sending.compose import OutgoingMessage
from engine.templating.template import Rendered, Template
from engine.tracking.bounce_quota import QuotaReading
from engine.tracking.ledger import Advance, Move
from engine.tracking.lifecycle import RANK, Status, can_transition
from engine.tracking.ports import SOFT_BOUNCE_WINDOW, PreSendChecks

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
Hook = Callable[[str], Awaitable[None]]


class Killed(BaseException):
    """The process ends here; not an Exception, so that no handler may swallow it."""


@dataclass
class KillSwitch:
    """A hook that ends the process at the n-th await point (counted from 0), and lists the points it saw.

    Dead is dead: whatever else the process had under way reaches no further point either.
    """

    at: int | None = None
    seen: list[str] = field(default_factory=list)

    async def __call__(self, point: str) -> None:
        self.seen.append(point)
        if self.at is not None and len(self.seen) > self.at:
            raise Killed(point)
        await asyncio.sleep(0)  # as at a real await, others that are under way have their turn


@dataclass
class FakeClock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class FakeSleep:
    """Passes the time without waiting, where it is given the clock."""

    clock: FakeClock | None = None
    naps: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.naps.append(seconds)
        if self.clock:
            self.clock.advance(seconds)


@dataclass(kw_only=True)
class Port:
    """What all fakes share. `fail_next` names methods whose next call finds the service away."""

    on_await: Hook | None = None
    fail_next: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def effect(self, name: str) -> AsyncIterator[None]:
        await self._reach(f"{name}:before")
        method = name.partition(".")[2]
        if method in self.fail_next:
            self.fail_next.remove(method)
            raise ServiceUnavailable(f"{name} is down")
        yield
        await self._reach(f"{name}:after")

    async def _reach(self, point: str) -> None:
        if self.on_await:
            await self.on_await(point)


def row_changed(row: TrackingRow, **changes: Any) -> TrackingRow:
    return msgspec.structs.replace(row, **changes)


@dataclass
class FakeLedger(Port):
    """The tracking table: `SenderLedger` and `FeedbackLedger` over one dict, each write one step.

    A claim for an id in `unanswered` gets no answer from the table, once.
    """

    rows: dict[str, TrackingRow] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)

    def put(self, *rows: TrackingRow) -> None:
        self.rows |= {row.email_id: row for row in rows}

    async def claim(self, rows: Sequence[TrackingRow]) -> list[TrackingRow | ServiceUnavailable | None]:
        async with self.effect("ledger.claim"):
            return [self._insert(row) for row in rows]

    def _insert(self, row: TrackingRow) -> TrackingRow | ServiceUnavailable | None:
        if row.email_id in self.unanswered:
            self.unanswered.remove(row.email_id)
            return ServiceUnavailable("ledger.claim is down")
        there = self.rows.get(row.email_id)
        if there is None:
            self.put(row)
        own = there is not None and there.claim_id is not None and there.claim_id == row.claim_id
        return None if own else there

    async def reclaim(self, row: TrackingRow, seen_lease: float | None) -> bool:
        async with self.effect("ledger.reclaim"):
            there = self.rows.get(row.email_id)
            if there is None or there.status != Status.SENDING:
                return False
            if there.lease_until != seen_lease and there.claim_id != row.claim_id:
                return False
            kept = row.kept_request
            self.put(
                row_changed(there, lease_until=row.lease_until, claim_id=row.claim_id, kept_request=kept)
            )
            return True

    async def release(self, email_id: str, lease: float) -> None:
        async with self.effect("ledger.release"):
            there = self.rows.get(email_id)
            if there and there.status == Status.SENDING and there.lease_until == lease:
                self.put(row_changed(there, lease_until=None))

    async def record(self, moves: Sequence[Move]) -> None:
        async with self.effect("ledger.record"):
            for move in moves:
                told = {"template_version": move.template_version, "topic": move.topic}
                known = {name: value for name, value in told.items() if value}
                self._move(
                    move.email_id,
                    move.to,
                    move.at,
                    ses_message_id=move.ses_message_id,
                    refusal=move.refusal,
                    **known,
                )

    async def read(self, email_id: str) -> TrackingRow | None:
        async with self.effect("ledger.read"):
            return self.rows.get(email_id)

    async def find_by_ses_message_id(self, ses_message_id: str) -> TrackingRow | None:
        async with self.effect("ledger.find_by_ses_message_id"):
            found = (row for row in self.rows.values() if row.ses_message_id == ses_message_id)
            return next(found, None)

    async def advance(
        self,
        email_id: str,
        to: Status,
        *,
        at: datetime,
        fingerprint: str,
        ses_message_id: str | None = None,
        refusal: Refusal | None = None,
    ) -> Advance:
        async with self.effect("ledger.advance"):
            if email_id not in self.rows:
                raise LookupError(f"no tracking row {email_id}")
            before = self.rows[email_id]
            move = f"{to}:{fingerprint}"
            moved = self._move(
                email_id, to, at, ses_message_id=ses_message_id, refusal=refusal, moves=before.moves | {move}
            )
            told = not moved and move in before.moves
            return Advance(self.rows[email_id], Status(before.status), moved=moved, already_published=told)

    def _move(
        self,
        email_id: str,
        to: Status,
        at: datetime,
        *,
        ses_message_id: str | None = None,
        refusal: Refusal | None = None,
        **changes: Any,
    ) -> bool:
        """One conditional write: all of it, or nothing."""
        row = self.rows.get(email_id)
        if row is None or not can_transition(Status(row.status), to):
            return False
        changes |= {"status": to.value, "status_rank": RANK[to], f"{to}_at": iso(at), "lease_until": None}
        changes["ses_message_id"] = row.ses_message_id or ses_message_id
        suppressed = refusal is not None and refusal.code is FailureCode.SUPPRESSED
        if RANK[to] > RANK[Status.SOFT_BOUNCED] and not suppressed:
            changes["kept_request"] = None
        if refusal:
            changes |= {"failure_code": refusal.code.value, "failure_reason": refusal.message}
        self.put(row_changed(row, **changes))
        return True

    async def note(self, email_id: str, attributes: Mapping[str, str]) -> None:
        async with self.effect("ledger.note"):
            row = self.rows.get(email_id)
            if row is None:
                return
            fields = dict(zip(row.__struct_encode_fields__, row.__struct_fields__, strict=True))
            fresh = {fields[name]: value for name, value in attributes.items()}
            self.put(row_changed(row, **{k: v for k, v in fresh.items() if getattr(row, k) is None}))

    async def mark(self, email_id: str, what: str) -> bool:
        async with self.effect("ledger.mark"):
            row = self.rows.get(email_id)
            if row is None or what in row.moves:
                return False
            self.put(row_changed(row, moves=row.moves | {what}))
            return True


@dataclass
class FakeSuppression(Port):
    """A row that is there keeps its first reason."""

    rows: dict[str, SuppressionRow] = field(default_factory=dict)

    async def add(self, row: SuppressionRow) -> None:
        async with self.effect("suppression.add"):
            self.rows.setdefault(row.email, row)


@dataclass
class FakeQuota(Port):
    sends: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    bounces: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    async def count_sends(self, date: str, recipients: int) -> None:
        async with self.effect("quota.count_sends"):
            self.sends[date] += recipients

    async def count_bounce(self, date: str) -> None:
        async with self.effect("quota.count_bounce"):
            self.bounces[date] += 1


@dataclass
class FakePreSendReader(Port):
    """Reads what the two others hold."""

    suppression: FakeSuppression
    quota: FakeQuota
    brakes: dict[str, BrakeRow] = field(default_factory=dict)

    def stop(self, key: str, because: str = "wrong price") -> None:
        self.brakes[key] = BrakeRow(pk=key, because=because, by="ops", since="2026-03-02T09:00:00.000Z")

    async def read(
        self, addresses: Collection[str], date: str, brakes: Collection[str], opt_outs: Collection[str]
    ) -> PreSendChecks:
        async with self.effect("pre_send.read"):
            rows = self.suppression.rows
            found = {address: rows[address] for address in addresses if address in rows}
            suppressed = {key: row for key, row in found.items() if row.suppression_type != "unsubscribe"}
            bare = {f"*#{key}": row for key, row in found.items() if key not in suppressed}
            reading = QuotaReading(self.quota.sends.get(date, 0), self.quota.bounces.get(date, 0))
            return PreSendChecks(suppressed, reading, self._set(brakes), bare | self._opt_outs(opt_outs))

    async def read_opt_outs(self, keys: Collection[str]) -> Mapping[str, SuppressionRow]:
        async with self.effect("pre_send.read_opt_outs"):
            return self._opt_outs(keys)

    def _opt_outs(self, keys: Collection[str]) -> dict[str, SuppressionRow]:
        found = {key: self.suppression.rows[key] for key in keys if key in self.suppression.rows}
        return {key: row for key, row in found.items() if row.suppression_type == "unsubscribe"}

    async def read_brakes(self, keys: Collection[str]) -> Mapping[str, BrakeRow]:
        async with self.effect("pre_send.read_brakes"):
            return self._set(keys)

    def _set(self, keys: Collection[str]) -> dict[str, BrakeRow]:
        return {key: self.brakes[key] for key in keys if key in self.brakes}

    async def set_brake(self, brake: BrakeRow) -> bool:
        async with self.effect("pre_send.set_brake"):
            return self.brakes.setdefault(brake.pk, brake) is brake


@dataclass
class FakeSoftBounces(Port):
    """When each email to an address bounced softly, by address and email id."""

    bounced: dict[str, dict[str, datetime]] = field(default_factory=lambda: defaultdict(dict))

    async def add(self, address: str, email_id: str, at: datetime) -> int:
        async with self.effect("soft_bounces.add"):
            self.bounced[address].setdefault(email_id, at)
            since = at - SOFT_BOUNCE_WINDOW
            return min(sum(moment >= since for moment in self.bounced[address].values()), 20)

    async def remove(self, address: str, email_id: str) -> None:
        async with self.effect("soft_bounces.remove"):
            self.bounced[address].pop(email_id, None)


@dataclass
class FakePayloads(Port):
    """What was saved, by email id; `claims` holds under which claim."""

    saved: dict[str, EmailRequest] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)

    async def save(self, claim_id: str, requests: Mapping[str, EmailRequest]) -> None:
        async with self.effect("payloads.save"):
            self.saved |= requests
            self.claims |= dict.fromkeys(requests, claim_id)

    async def read(self, claim_id: str, email_id: str) -> EmailRequest | None:
        async with self.effect("payloads.read"):
            return self.saved.get(email_id) if self.claims.get(email_id, claim_id) == claim_id else None


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
