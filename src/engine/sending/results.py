"""How an email leaves the pipeline."""

import traceback
from enum import StrEnum

from msgspec import Struct

from engine.schemas.status import EmailStatusChanged
from engine.tracking.ledger import Move
from engine.tracking.lifecycle import Status


class DeferralReason(StrEnum):
    """Why an email waits; also what its metric is told apart by."""

    THROTTLED = "throttled"
    PAUSED = "paused"
    CLAIMED_ELSEWHERE = "claimed-elsewhere"
    OUTCOME_UNKNOWN = "outcome-unknown"
    SERVICE_UNAVAILABLE = "service-unavailable"
    OUT_OF_TIME = "out-of-time"
    BATCH_TOO_LARGE = "batch-too-large"


class Completed(Struct, frozen=True):
    """The email has its answer: the events to publish, the last of which says what became of it.

    There are none where nobody needs an answer (a retry whose original arrived after all). `move`: what is
    still to be recorded. `counted`: how many of its recipients count against the bounce quota.
    """

    events: tuple[EmailStatusChanged, ...] = ()
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


def describe_bug(error: BaseException) -> str:
    """Kind and place of an error without its message, which might quote an address or template data."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
