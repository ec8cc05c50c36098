"""What the pipelines need from the world: `engine.aws` has it, tests hand in plain fakes.

Every method may raise `ServiceUnavailable`; anything more is said at the method. All are shaped for batches,
so that an implementation may share a call between emails.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from engine.domain.deferral import Lane
from engine.domain.failures import (
    OutcomeUnknown,
    Refusal,
    SendingPaused,
    SendRefused,
    SendThrottled,
    ServiceUnavailable,
)
from engine.domain.lifecycle import Status
from engine.domain.message import OutgoingMessage
from engine.domain.quota import QuotaReading
from engine.schemas.request import EmailRequest
from engine.schemas.retry import RetryMessage
from engine.schemas.rows import SuppressionRow, TrackingRow
from engine.schemas.status import EmailStatusChanged

if TYPE_CHECKING:  # rendering brings Jinja, which the feedback processor would pay for at every cold start
    from engine.domain.rendering import Template

Clock = Callable[[], datetime]
Sleep = Callable[[float], Awaitable[None]]


class Move(Struct, frozen=True, kw_only=True):
    """What the sender did with an email: sent it (with SES's message id) or refused it."""

    email_id: str
    to: Status
    at: datetime
    ses_message_id: str | None = None
    refusal: Refusal | None = None


class Advance(Struct, frozen=True):
    """What became of a report: the row as it is now, and whether the report is news to it.

    `moved`: this call moved the row. `told_before`: this very report moved it earlier (a redelivery), so its
    status event may not have gone out and must go again. Neither: the row is past it.
    """

    row: TrackingRow
    previous: Status
    moved: bool
    told_before: bool = False


class Journal(Protocol):
    """Where facts go that are neither effect nor answer: the log and the metrics."""

    def event(self, name: str, **fields: str | float) -> None:
        """Record a fact. Fields never hold an address, template data or any other personal data."""
        ...


class SenderLedger(Protocol):
    """The tracking table, as the sender uses it."""

    async def claim(self, rows: Sequence[TrackingRow]) -> list[TrackingRow | ServiceUnavailable | None]:
        """Insert each row where its id is free: None for a claim won, else the row that is there.

        Where the table did not answer for a row, the error stands in its place and the others stand.
        """
        ...

    async def reclaim(self, row: TrackingRow, seen_lease: float | None) -> bool:
        """Take over a `sending` row whose lease is still the one that was seen; `row` names the new claim."""
        ...

    async def release(self, email_id: str, lease: float) -> None:
        """Give a claim back: nothing was sent, whoever comes next may claim at once."""
        ...

    async def record(self, moves: Sequence[Move]) -> None:
        """Move claimed rows to `sent` or `failed`, each if it gives way; ends their claims.

        Raises ServiceUnavailable when any of them may be unwritten.
        """
        ...

    async def read(self, email_id: str) -> TrackingRow | None: ...


class FeedbackLedger(Protocol):
    """The tracking table, as feedback moves it."""

    async def read(self, email_id: str) -> TrackingRow | None: ...

    async def find_by_ses_message_id(self, ses_message_id: str) -> TrackingRow | None: ...

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
        """Move the row to `to` if it gives way, in one conditional write.

        Raises LookupError where there is no such row.
        """
        ...

    async def note(self, email_id: str, attributes: Mapping[str, str]) -> None:
        """Keep facts beside the status (first click, delay type), by attribute name as in the table.

        Each is written once and never again.
        """
        ...

    async def mark(self, email_id: str, what: str) -> bool:
        """Add to the row's `moves`, in one conditional write; answers whether it was not there yet."""
        ...

    async def soft_bounces_since(self, to_email: str, since: datetime, enough: int) -> int:
        """How many emails to the address `domain.lifecycle.bounced_softly` since then; stops at `enough`."""
        ...


class SuppressionReader(Protocol):
    async def find(self, addresses: Collection[str]) -> Mapping[str, SuppressionRow]:
        """The suppressed ones among lower-cased addresses."""
        ...


class SuppressionWriter(Protocol):
    async def add(self, row: SuppressionRow) -> None:
        """Suppress the address; a row that is there already keeps its first reason."""
        ...


class BounceQuota(Protocol):
    async def read(self, date: str) -> QuotaReading: ...

    async def count_sends(self, date: str, sends: int) -> None: ...

    async def count_bounce(self, date: str) -> None: ...


class TemplateStore(Protocol):
    async def load(self, name: str) -> "Template":
        """The compiled template. Raises Refused (`template-not-found`, `template-error`)."""
        ...

    async def load_attachment(self, s3_key: str) -> bytes:
        """An object of the template bucket. Raises Refused (`validation`)."""
        ...


class Payloads(Protocol):
    """Requests kept for a possible soft-bounce retry, apart from the tracking row."""

    async def save(self, claim_id: str, requests: Mapping[str, EmailRequest]) -> None:
        """Keep the requests that one invocation claimed, by email id."""
        ...

    async def read(self, claim_id: str, email_id: str) -> EmailRequest | None:
        """The request of an email, by the claim in its row; None once it has expired."""
        ...


class RateGate(Protocol):
    """Hands out send slots, so that all environments together keep the account's rate."""

    async def reserve(self, recipients: int, lane: Lane, within: float) -> float:
        """Take slots for this many recipients; answers the seconds to wait before sending to them.

        An answer beyond `within` (seconds) means that no slot came in time and none was taken: come again.
        """
        ...

    async def burst(self) -> int:
        """How many recipients one call to SES may have at no loss of rate; SES counts them in one moment."""
        ...

    async def throttled(self) -> None:
        """SES threw a send back: the gate was too wide."""
        ...


SendFailure = SendRefused | SendThrottled | SendingPaused | OutcomeUnknown


class Mailer(Protocol):
    async def send(self, messages: Sequence[OutgoingMessage]) -> list[str | SendFailure]:
        """Send each once: its SES message id, or why there is none. Never tries twice.

        Several messages go in one call to SES; `domain.grouping` says which may.
        """
        ...


class RetryQueue(Protocol):
    async def defer(self, body: str, seconds: int) -> None:
        """Put a request of the direct lane back for later, whole."""
        ...

    async def schedule_retry(self, message: RetryMessage, seconds: int) -> None: ...


class HeldMail(Protocol):
    """Messages that stay in the queue they came from."""

    async def hold(self, queue_arn: str, receipt_handle: str, seconds: int) -> None:
        """Hide a received message for so long. Receives are counted on, so waits must grow."""
        ...


class StatusEvents(Protocol):
    async def publish(self, events: Sequence[EmailStatusChanged]) -> None:
        """Raises ServiceUnavailable unless every single event was taken."""
        ...
