"""Clocks that differ, brought together by what the State table's answers say of the time.

Each answer of DynamoDB carries an HTTP `Date`, in whole seconds: at some moment between request and answer
its clock stood within that second. One such answer leaves a second of doubt; each further one that falls near
a tick leaves less. A clock that may be right is left alone (Lambda's are, to about a millisecond), so a
correction is only made where the clock is certainly wrong.
"""

from typing import Final

from msgspec import Struct

from engine.rate.gcra import SECOND

_DRIFT: Final = 100e-6  # how fast two clocks part at the worst; a cheap quartz does 100 us a second


class ClockBounds(Struct, frozen=True):
    """The true time minus ours lies between `low` and `high` (microseconds), as of our time `at`."""

    low: int
    high: int
    at: int

    @property
    def correction(self) -> int:
        """What to add to our clock."""
        if self.low <= 0 <= self.high:
            return 0
        return (self.low + self.high) // 2

    @property
    def doubt(self) -> int:
        return self.high - self.low


def observed(bounds: ClockBounds | None, sent: int, received: int, date: int) -> ClockBounds:
    """What is known after an answer that names the second `date`; `sent` and `received` by our clock."""
    low, high = date * SECOND - received, (date + 1) * SECOND - sent
    if bounds is None:
        return ClockBounds(low, high, received)
    drift = int(max(0, received - bounds.at) * _DRIFT)
    both = ClockBounds(max(low, bounds.low - drift), min(high, bounds.high + drift), received)
    # Nothing in common: one of the clocks was set meanwhile.
    return both if both.low <= both.high else ClockBounds(low, high, received)


def telling_moment(bounds: ClockBounds, after: int, before: int) -> int | None:
    """A moment (by our clock) between two at which a question would halve the doubt, if there is one."""
    middle = (bounds.low + bounds.high) // 2
    tick = -(-(after + middle) // SECOND) * SECOND - middle
    return tick if tick <= before else None
