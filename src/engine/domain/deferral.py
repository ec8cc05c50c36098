"""When a held email is tried again."""

from enum import StrEnum
from typing import Final


class Lane(StrEnum):
    TRANSACTIONAL = "transactional"
    BULK = "bulk"


class DeferralReason(StrEnum):
    """Why an email waits; also the dimension of the metric that counts it."""

    THROTTLED = "throttled"
    PAUSED = "paused"
    CLAIMED_ELSEWHERE = "claimed-elsewhere"
    OUTCOME_UNKNOWN = "outcome-unknown"
    SERVICE_UNAVAILABLE = "service-unavailable"
    OUT_OF_TIME = "out-of-time"


# First wait and longest wait in seconds. A pause lasts until a person or midnight ends it, so waiting grows
# to half an hour; a throttle is over in seconds.
_WAITS: Final[dict[DeferralReason, tuple[int, int]]] = {
    DeferralReason.THROTTLED: (2, 300),
    DeferralReason.PAUSED: (60, 1800),
    DeferralReason.CLAIMED_ELSEWHERE: (5, 300),
    DeferralReason.OUTCOME_UNKNOWN: (15, 300),
    DeferralReason.SERVICE_UNAVAILABLE: (5, 600),
    DeferralReason.OUT_OF_TIME: (1, 30),
}

SQS_LONGEST_DELAY: Final = (
    900  # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
)


def wait_before(reason: DeferralReason, receives: int, at_least: float = 0) -> int:
    """Seconds until the next try, doubling with every receive (counted from 1)."""
    first, longest = _WAITS[reason]
    grown = min(first << min(max(receives, 1) - 1, 20), longest)
    return max(grown, int(at_least) + (at_least > int(at_least)))
