"""How an email leaves the pipeline, and what the pipeline is made of."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self, TypeVar

from msgspec import Struct

from engine.errors import Refusal, Refused, ServiceUnavailable
from engine.schemas.rows import SuppressionRow
from engine.schemas.status import EmailStatusChanged
from engine.sending.grouping import LARGEST_CALL
from engine.sending.ports import Mailer, RateGate, TemplateStore
from engine.sending.sender import SenderPolicy
from engine.tracking.bounce_quota import QuotaPolicy, QuotaReading
from engine.tracking.ledger import Move, SenderLedger
from engine.tracking.lifecycle import Status
from engine.tracking.ports import BounceQuota, Payloads, PreSendReader, StatusEvents
from engine.types import Clock, Sleep, Telemetry

T = TypeVar("T")


class DeferralReason(StrEnum):
    """Why an email waits; also the dimension of the metric that counts it."""

    THROTTLED = "throttled"
    PAUSED = "paused"
    CLAIMED_ELSEWHERE = "claimed-elsewhere"
    OUTCOME_UNKNOWN = "outcome-unknown"
    SERVICE_UNAVAILABLE = "service-unavailable"
    OUT_OF_TIME = "out-of-time"


class Completed(Struct, frozen=True, kw_only=True):
    """The email has its answer. `event` is None where there is nothing to tell (a retry nobody needs).

    `move`: what is still to be recorded. `counted`: how many recipients count for the bounce quota.
    """

    event: EmailStatusChanged | None
    move: Move | None = None
    counted: int = 0

    @property
    def was_sent(self) -> bool:
        return self.move is not None and self.move.to is Status.SENT


class Deferred(Struct, frozen=True):
    """Nothing was sent, or nobody knows yet: the same delivery must come again, after `seconds` at least."""

    reason: DeferralReason
    seconds: float = 0


class Failed(Struct, frozen=True):
    """Something broke that only a redelivery can mend; `problem` holds no personal data."""

    problem: str


Outcome = Completed | Deferred | Failed


class Facts(Struct, frozen=True):
    """What a batch asked once for all its emails; an error stands where a service did not answer."""

    suppressed: Mapping[str, SuppressionRow] | ServiceUnavailable
    quota: QuotaReading | ServiceUnavailable


class SendingPolicy(Struct, frozen=True, kw_only=True):
    """What the settings say about sending. `largest_call`: how many bulk emails one call to SES may carry."""

    sender: SenderPolicy
    quota: QuotaPolicy
    retention_days: int
    reconcile_seconds: float
    largest_call: int = LARGEST_CALL


@dataclass(frozen=True, kw_only=True)
class Dependencies:
    """Everything the pipeline works with. Whoever opened them closes them."""

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
    policy: SendingPolicy

    def today(self) -> str:
        return self.clock().date().isoformat()

    def hold(self, reason: DeferralReason, seconds: float = 0, *, emails: int = 1) -> Deferred:
        self.telemetry.record("email-held", reason=reason.value, emails=emails)
        return Deferred(reason, seconds)

    def unavailable(self, error: ServiceUnavailable, *, emails: int = 1) -> Deferred:
        self.telemetry.record("service-unavailable", problem=str(error))
        return self.hold(DeferralReason.SERVICE_UNAVAILABLE, emails=emails)


def where(error: BaseException) -> str:
    """Kind and place of an error without its message, which might quote an address or template data."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def known(fact: T | ServiceUnavailable) -> T:
    """The fact. Raises the ServiceUnavailable that stands in its place."""
    if isinstance(fact, ServiceUnavailable):
        raise fact
    return fact


async def attempt(step: Awaitable[T]) -> T | ServiceUnavailable:
    """The result, or the reason why there is none: one step's trouble must not cancel its neighbours."""
    try:
        return await step
    except ServiceUnavailable as error:
        return error


async def attempt_or_refuse(step: Awaitable[T]) -> T | Refusal | ServiceUnavailable:
    """As `attempt`, for a step that may also refuse."""
    try:
        return await attempt(step)
    except Refused as refused:
        return refused.refusal


class UnderWay:
    """Steps that are begun before they are needed. Leaving waits for all of them, whatever became of them.

    Between two invocations Lambda freezes an environment, with whatever is under way in it.
    """

    def __init__(self) -> None:
        self._begun: list[asyncio.Task[Any]] = []

    def begin(self, step: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(step)
        self._begun.append(task)
        return task

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._begun:  # and what they begin meanwhile
            await asyncio.gather(task, return_exceptions=True)


# To make the calls, to gather reads that share one, to begin it, to write bodies.
_TURNS: Final = 4


async def calls_leave() -> None:
    """Let the calls that were begun write their requests, before the loop is kept busy elsewhere."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
