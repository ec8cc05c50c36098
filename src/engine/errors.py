"""Why an email was refused, and the ways in which a call to a service can go wrong."""

from enum import StrEnum
from pathlib import PurePath
from traceback import extract_tb
from typing import Final, TypeVar

from msgspec import Struct

T = TypeVar("T")


class FailureCode(StrEnum):
    """The `failureCode` of a row with status `failed`."""

    VALIDATION = "validation"
    SUPPRESSED = "suppressed"
    BOUNCE_RATE_EXCEEDED = "bounce-rate-exceeded"
    TEMPLATE_NOT_FOUND = "template-not-found"
    TEMPLATE_ERROR = "template-error"
    SENDER_NOT_ALLOWED = "sender-not-allowed"
    REJECTED = "rejected"
    IDEMPOTENCY_CONFLICT = "idempotency-conflict"
    SOFT_BOUNCE_RETRY_FAILED = "soft-bounce-retry-failed"
    CONTENT_BOUNCE = "content-bounce"
    RENDERING_FAILURE = "rendering-failure"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    UNSUBSCRIBED = "unsubscribed"
    EXPIRED = "expired"


# Ours, in characters: a refusal is stored and published, and a bad name may be as long as the request.
MAX_REFUSAL: Final = 1_000


class Refusal(Struct, frozen=True):
    """A final no, with its code and a sentence that names what was wrong and what was expected."""

    code: FailureCode
    message: str

    def shortened(self) -> "Refusal":
        """With no more of the sentence than is stored and published."""
        if len(self.message) <= MAX_REFUSAL:
            return self
        return Refusal(self.code, self.message[:MAX_REFUSAL] + " …")


class EngineError(Exception):
    """Anything the engine raises on purpose."""


class Refused(EngineError):  # noqa: N818 - it names an answer, not a malfunction
    """Carries a refusal out of a step that cannot return one."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class ServiceUnavailable(EngineError):  # noqa: N818 - a state of the service, named as HTTP names it
    """A service other than SES did not do its part this time; the same call may succeed later."""


class SendRefused(Refused):
    """SES said no for good: nothing was sent and nothing will be.

    `configuration` marks a no that has nothing to do with this email (an identity or a configuration set that
    is missing): every other email meets it too, so an operator must know.
    """

    def __init__(self, refusal: Refusal, *, configuration: bool = False) -> None:
        super().__init__(refusal)
        self.configuration = configuration


class SendThrottled(EngineError):  # noqa: N818 - see above
    """SES said "not now": nothing was sent; the rate was too high or SES is briefly unwell.

    `unexpected` marks an answer that the engine does not know: the mail waits, and a person should look.
    """

    def __init__(self, message: str, *, unexpected: bool = False) -> None:
        super().__init__(message)
        self.unexpected = unexpected


class SendingPaused(EngineError):  # noqa: N818 - see above
    """SES takes no mail from this account for now: sending paused, or the daily quota used up."""


class OutcomeUnknown(EngineError):  # noqa: N818 - see above
    """The request left and no answer came: SES may or may not have sent the email."""


SendFailure = SendRefused | SendThrottled | SendingPaused | OutcomeUnknown


def unwrap(answer: T | Refusal | Exception) -> T:
    """The answer. Raises the error that stands in its place; a refusal as `Refused`."""
    if isinstance(answer, Exception):
        raise answer
    if isinstance(answer, Refusal):
        raise Refused(answer)
    return answer


def describe_bug(error: BaseException) -> str:
    """Kind and place of an error without its message, which might quote an address or template data."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = extract_tb(error.__traceback__)
    place = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
