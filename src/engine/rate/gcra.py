"""The generic cell rate algorithm (GCRA) for recipients a second, as arithmetic over values.

GCRA keeps one number, the theoretical arrival time (TAT): up to when the rate is handed out. An email takes
the stretch of time behind it, one emission interval for each recipient, and moves the TAT on by as much.
Stretches never overlap, so no second holds more recipients than the rate, however many environments claim and
wherever a second is said to begin. Source: ITU-T I.371, annex A (https://www.itu.int/rec/T-REC-I.371)

Moments and lengths are whole microseconds (epoch), so that DynamoDB and this page compute the same.
"""

import math
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct, field

SECOND: Final = 1_000_000  # microseconds

# Of the rate that SES grants. The rest absorbs what lies between a slot and the moment at which SES counts
# the message: two percent forgive 20 ms in any second.
USED: Final = 0.98
# How long a claim takes, and what an email waits for besides: who claims a slot sooner than that misses it.
# Those behind keep their distance from when it leaves, or a second that begins with it holds one too many.
LEAD: Final = 15_000
# How far ahead of now the TAT may be when bulk mail claims (times its share), and the longest stretch that it
# claims at once. Their sum is what a campaign can cost a password reset.
LOOK_AHEAD: Final = 400_000
LONGEST_BULK_STRETCH: Final = 350_000
# How much further ahead bulk mail may claim whose time is nearly over: who waited longest comes first.
URGENT_LOOK_AHEAD: Final = 200_000
# Bulk mail's own part of the rate, whatever transactional mail asks for.
BULK_FLOOR: Final = 0.1
# A TAT further ahead is the work of a broken clock, not of mail: at one recipient a second and the smallest
# rate factor, an email to 50 takes 17 minutes.
TOO_FAR_AHEAD: Final = 20 * 60 * SECOND
# Additive increase, multiplicative decrease (AIMD) of the rate factor: a throttle takes a twentieth, once a
# second at most; ten seconds give it back.
DECREASE: Final = 0.95
INCREASE: Final = 0.005  # a second
SMALLEST_FACTOR: Final = 0.05


class RateState(Struct, frozen=True, kw_only=True, rename="camel"):
    """What all environments share, by the names that the State table's item has for it.

    Bounds are those of what the engine writes: an item of another hand must not stop all mail.
    """

    tat: int = field(default=0, name="until")
    bulk_tat: int = field(default=0, name="bulkDue")  # from then on bulk mail may claim in any case
    rate_factor: Annotated[float, Meta(ge=SMALLEST_FACTOR, le=1)] = 1.0  # at `throttled_at`
    throttled_at: int = 0
    rate: Annotated[float, Meta(ge=0.1, le=1e6)] = (
        0.0  # recipients a second, as SES answered one of the environments; 0: nobody asked yet
    )
    rate_at: int = 0  # when it did, epoch seconds


class EmissionInterval(Struct, frozen=True):
    """How long an email occupies the rate. `rate`: recipients a second that SES grants."""

    rate: float
    factor: float = 1.0

    @property
    def slot(self) -> int:
        """The stretch of one recipient."""
        return math.ceil(SECOND / (self.rate * USED * self.factor))

    def slots(self, recipients: int) -> int:
        """An email's slots: one for each recipient, and more where so many at once would crowd a second.

        SES counts all recipients of an email in one moment. Any second that holds this moment must have room
        for them, those that begin with it and those that end with it; so a large email keeps others away on
        both sides.
        """
        return max(recipients, 2 * self._side(recipients) - 1)

    def length(self, recipients: int) -> int:
        return self.slots(recipients) * self.slot

    def offset(self, recipients: int) -> int:
        """When to send, counted from the beginning of the email's stretch: as soon as its side is kept."""
        return (self._side(recipients) - 1) * self.slot

    @property
    def burst(self) -> int:
        """The most recipients of one moment that take no more than a slot each."""
        return next(n for n in range(1 + int(self._reserve), 0, -1) if self.slots(n) == n)

    def _side(self, recipients: int) -> int:
        """Slots from an email to the nearest one before or behind it.

        Two emails can stand at the edges of one second, and each may use half of the reserve. An email that
        fills a second all by itself passes when it is alone in it, so no side need be longer than a second.
        """
        return max(1, min(math.ceil(recipients - self._reserve / 2), math.ceil(self.rate)))

    @property
    def _reserve(self) -> float:
        """Recipients a second that the rate allows and the gate leaves out."""
        return self.rate * (1 - USED)


class SlotRequest(Struct, frozen=True, kw_only=True):
    """A stretch that is asked for at `now`; it may begin up to `latest`.

    Bulk mail, which gives a `bulk_limit`, waits while the TAT lies beyond it, unless its floor is due; with
    the claim its floor moves on to `next_bulk_tat`.
    """

    now: int
    length: int
    latest: int
    bulk_limit: int | None = None
    next_bulk_tat: int = 0


class Availability(StrEnum):
    """What the state has for a request."""

    IDLE = "idle"  # the rate is not in use: the stretch begins now
    OPEN = "open"  # the stretch begins at the TAT
    FULL = "full"  # the request must wait


def availability(state: RateState, request: SlotRequest) -> Availability:
    if not request.now <= state.tat <= request.now + TOO_FAR_AHEAD:
        return Availability.IDLE
    waits = request.bulk_limit is not None and state.tat > request.bulk_limit and state.bulk_tat > request.now
    return Availability.FULL if waits or state.tat > request.latest else Availability.OPEN


def next_start(state: RateState, now: int) -> int:
    """Where a stretch claimed now would begin."""
    return state.tat if now <= state.tat <= now + TOO_FAR_AHEAD else now


def bulk_due(state: RateState, now: int, look_ahead: int) -> int:
    """From when on bulk mail finds the state OPEN, unless others move it on."""
    return min(next_start(state, now) - look_ahead, state.bulk_tat)


def rate_factor(state: RateState, now: int) -> float:
    """Which part of the rate is used at `now`: all of it, unless SES throttled lately."""
    since = abs(now - state.throttled_at) / SECOND  # far ahead stands only what a broken clock wrote
    return min(1.0, state.rate_factor + INCREASE * since)


def decreased(state: RateState, now: int) -> float | None:
    """The rate factor after a throttle; None where the last one is too young to be another cause."""
    if abs(now - state.throttled_at) < SECOND:
        return None
    return max(SMALLEST_FACTOR, rate_factor(state, now) * DECREASE)
