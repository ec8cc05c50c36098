"""When a deferred email is tried again.

Hiding a message again counts as a receive, and after `RECEIVES` of them SQS moves it to the dead-letter
queue. So waits grow: fast at first, for most trouble is over in seconds, then slowly, to about a tenth of the
time that the email has waited already. A hundred receives of the shortest waits last two days, those of a
pause a week. They end before SQS deletes the message, which is after fourteen days, wherever it lies then.
"""

import math
from typing import Final, NamedTuple

from engine.sending.results import DeferralReason


class _Waits(NamedTuple):
    """Seconds: `first`, doubling to `longest`. After `calm` receives they double with every `double_each`."""

    first: int
    longest: int
    calm: int = 30
    double_each: int = 10


# A pause lasts until a person or midnight ends it; a throttle is over in seconds. An email that found no slot
# in time needs nothing but another invocation, for those who waited most go first.
_WAITS: Final[dict[DeferralReason, _Waits]] = {
    DeferralReason.THROTTLED: _Waits(2, 300),
    DeferralReason.PAUSED: _Waits(60, 1800, calm=50),
    DeferralReason.CLAIMED_ELSEWHERE: _Waits(5, 300),
    DeferralReason.OUTCOME_UNKNOWN: _Waits(15, 300),
    DeferralReason.SERVICE_UNAVAILABLE: _Waits(5, 600),
    DeferralReason.OUT_OF_TIME: _Waits(1, 30, calm=60, double_each=4),
    DeferralReason.BATCH_TOO_LARGE: _Waits(1, 30, calm=60, double_each=4),
    DeferralReason.STOPPED: _Waits(60, 1800, calm=50),  # where there is no ParkedEmailQueue
}
# What broke in our own hands gets no better by waiting for days: to the dead-letter queue within a day.
_BROKEN: Final = _Waits(5, 600, calm=1000)
_LONGEST_WAIT: Final = 6 * 3600

# The queues' maxReceiveCount, as the stack sets it.
RECEIVES: Final = 100
# Twelve hours, less the longest that an invocation may have had the message: SQS counts from the receive, and
# refuses what goes beyond instead of shortening it.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
SQS_LONGEST_VISIBILITY: Final = 12 * 3600 - 900


def wait_before(reason: DeferralReason, receives: int, at_least: float = 0, at_most: float = math.inf) -> int:
    """Seconds until the next try, growing with the receives (counted from 1).

    Never sooner than `at_least`, and no later than right after `at_most`.
    """
    wait = max(_grown(_WAITS[reason], receives), math.ceil(at_least))
    return wait if wait <= at_most else math.floor(at_most) + 1


def visibility(reason: DeferralReason, receives: int, at_least: float = 0, at_most: float = math.inf) -> int:
    """As `wait_before`, and no longer than SQS hides a message."""
    return min(wait_before(reason, receives, at_least, at_most), SQS_LONGEST_VISIBILITY)


def visibility_of_broken(receives: int) -> int:
    """For an email that met a bug, or whose status event could not be published."""
    return _grown(_BROKEN, receives)


def _grown(waits: _Waits, receives: int) -> int:
    soon = min(waits.first << min(max(receives, 1) - 1, 20), waits.longest)
    late = max(0, receives - waits.calm) / waits.double_each
    return min(math.ceil(soon * 2**late), _LONGEST_WAIT)
