"""What the pipeline works with. Every method of a port may raise `ServiceUnavailable`."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from msgspec import Struct

from engine.consent.links import UnsubscribeLinks
from engine.errors import Refusal, Refused, SendFailure, ServiceUnavailable
from engine.schemas.request import Lane
from engine.sending.compose import OutgoingMessage
from engine.sending.results import DeferralReason, Deferred
from engine.sending.sender import SenderPolicy
from engine.templating.template import Template
from engine.tracking.bounce_quota import QuotaPolicy
from engine.tracking.ledger import SenderLedger
from engine.tracking.ports import (
    BounceQuota,
    BrakeWriter,
    OperatorActions,
    Payloads,
    PreSendReader,
    StatusEvents,
)
from engine.types import Clock, Sleep, Telemetry

T = TypeVar("T")


class TemplateStore(Protocol):
    async def load(self, name: str) -> Template:
        """The compiled template. Raises Refused (`template-not-found`, `template-error`)."""
        ...

    def known_topic(self, name: str) -> str | None:
        """The template's topic as far as is known without asking; None also where it has none."""
        ...

    async def attachment_size(self, s3_key: str) -> int:
        """Bytes of an object of the template bucket. Raises Refused (`validation`)."""
        ...

    async def load_attachment(self, s3_key: str) -> bytes:
        """An object of the template bucket. Raises Refused (`validation`)."""
        ...


class LinkSource(Protocol):
    async def load(self) -> UnsubscribeLinks:
        """Links to the hosted unsubscribe page. What signs them is read once."""
        ...


class RateGate(Protocol):
    """Hands out send slots, so that all environments together keep the account's rate."""

    def reserve(self, recipients: int, lane: Lane, within: float) -> Coroutine[Any, Any, float]:
        """Ask for slots for this many recipients; await the seconds to wait before sending to them.

        Those that ask before one of them awaits share a claim. An answer beyond `within` (seconds) means that
        no slot came in time and none was taken: come again.
        """
        ...

    async def burst(self) -> int:
        """How many recipients one call to SES may have at no loss of rate; SES counts them in one moment."""
        ...

    async def throttled(self) -> None:
        """SES threw a send back: the gate was too wide."""
        ...


class Mailer(Protocol):
    async def send(self, messages: Sequence[OutgoingMessage]) -> list[str | SendFailure]:
        """Send each once: its SES message id, or why there is none. Never tries twice.

        Several messages go in one call to SES; `sending.grouping.group_into_calls` says which may.
        """
        ...


# https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendBulkEmail.html
LARGEST_CALL: Final = 50


class SendingPolicy(Struct, frozen=True, kw_only=True):
    """What the settings say about sending. `largest_call`: how many bulk emails one call to SES may carry."""

    sender: SenderPolicy
    quota: QuotaPolicy
    retention_days: int
    reconcile_seconds: float
    largest_call: int = LARGEST_CALL


@dataclass(frozen=True, kw_only=True)
class Dependencies:
    """Everything the pipeline works with. Whoever opened them closes them.

    `links` is None where no unsubscribe page is hosted.
    """

    ledger: SenderLedger
    pre_send: PreSendReader
    quota: BounceQuota
    templates: TemplateStore
    payloads: Payloads
    gate: RateGate
    mailer: Mailer
    status_events: StatusEvents
    telemetry: Telemetry
    clock: Clock
    sleep: Sleep
    new_claim_id: Callable[[], str]
    brakes: BrakeWriter
    operator_actions: OperatorActions
    policy: SendingPolicy
    links: LinkSource | None = None

    def today(self) -> str:
        return self.clock().date().isoformat()

    def defer(self, reason: DeferralReason, seconds: float = 0, *, emails: int = 1) -> Deferred:
        self.telemetry.record("email-deferred", reason=reason.value, emails=emails)
        return Deferred(reason, seconds)

    def unavailable(self, error: ServiceUnavailable, *, emails: int = 1) -> Deferred:
        self.telemetry.record("service-unavailable", problem=str(error))
        return self.defer(DeferralReason.SERVICE_UNAVAILABLE, emails=emails)


async def capture_unavailable(step: Awaitable[T]) -> T | ServiceUnavailable:
    """The result, or why there is none: one step's trouble must not cancel its neighbours."""
    try:
        return await step
    except ServiceUnavailable as error:
        return error


async def capture(step: Awaitable[T]) -> T | Refusal | Exception:
    """The result, a refusal, or the error that an email meets where it needs the result."""
    try:
        return await step
    except Refused as refused:
        return refused.refusal
    except Exception as error:  # noqa: BLE001 - a bug met by one template must not fail the others' emails
        return error
