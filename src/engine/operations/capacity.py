"""How long so many emails take, and how many environments a rate keeps busy.

Pure; the benchmarks advise by it too.
"""

import math
from datetime import timedelta
from typing import Final

LEAST_CONCURRENCY: Final = 2
"""SQS triggers have no smaller MaximumConcurrency."""

QUEUES_KEEP: Final = timedelta(days=14)
"""After that SQS deletes a message, whatever it waited for."""

MOST_A_SECOND: Final = 1_000
"""Writes a second of one DynamoDB partition, which the rate's item and a day of the index are."""

_DAY: Final = timedelta(days=1)


def environments(rate: float, batch: int, seconds: float) -> int:
    """Environments that are busy at a rate of emails a second, where a batch takes an invocation so long.

    Little's law: as many are busy as invocations are under way at a time.
    """
    return max(LEAST_CONCURRENCY, math.ceil(rate / batch * seconds))


def sending_time(recipients: int, rate: float, daily_quota: float | None, left: float | None) -> timedelta:
    """From now to the last of them, where no other mail takes a share. Rates in recipients a second.

    SES counts its quota over the last 24 hours: what is sent now counts until this time tomorrow.
    `daily_quota` None: there is none. `left`: of the quota, now.
    """
    if daily_quota is None or left is None or recipients <= left:
        return timedelta(seconds=recipients / rate)
    later = recipients - left
    days = math.ceil(later / daily_quota)
    last = later - (days - 1) * daily_quota
    return days * _DAY + timedelta(seconds=last / rate)
