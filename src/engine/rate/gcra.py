"""The line of send slots that all environments share, as arithmetic over values.

Time is the thing that is handed out. `Line.until` says up to when it is; a claim takes the stretch behind it.
Since stretches never overlap and an email takes as long a stretch as the rate grants it, no second ever holds
more recipients than the rate allows, however many environments claim and wherever a second is said to begin.

Moments and lengths are whole microseconds (epoch), so that DynamoDB and this page compute the same.
"""

import math
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

SECOND: Final = 1_000_000  # microseconds

# Of the rate that SES grants. The rest absorbs what lies between a slot and the moment at which SES counts
# the message: two percent forgive 20 ms in any second.
USED: Final = 0.98
# How far ahead of now the line may be handed out before bulk mail must wait with its next claim (times its
# share), and the longest stretch it claims at once. Their sum is what a campaign can cost a password reset.
LOOK_AHEAD: Final = 400_000
LONGEST_BULK_CLAIM: Final = 350_000
# How much further ahead bulk mail may claim whose time is nearly over: who waited longest comes first.
URGENT_LOOK_AHEAD: Final = 200_000
# Bulk mail's own part of the line, whatever transactional mail asks for.
BULK_FLOOR: Final = 0.1
# A line handed out further than this is the work of a broken clock, not of mail.
ABSURD: Final = 180 * SECOND
# On a throttle the gate closes by a twentieth, once a second at most; ten seconds open it again.
CLOSING: Final = 0.95
OPENING: Final = 0.005
LEAST_OPEN: Final = 0.05


class Line(Struct, frozen=True, kw_only=True):
    """What all environments know of the line. `bulk_due`: from when on bulk mail may claim in any case."""

    until: int = 0
    bulk_due: int = 0
    bulk_claims: int = 0  # ever; the difference between two looks tells how busy the others are
    openness: float = 1.0  # at `throttled_at`
    throttled_at: int = 0
    rate: float = 0.0  # recipients a second, as SES told one of the environments; 0 for never asked
    rate_at: int = 0  # when it did, epoch seconds


class Pace(Struct, frozen=True):
    """How long a stretch of the line an email takes. `rate`: recipients a second that SES grants."""

    rate: float
    openness: float = 1.0

    @property
    def slot(self) -> int:
        """The stretch of one recipient."""
        return math.ceil(SECOND / (self.rate * USED * self.openness))

    def slots(self, recipients: int) -> int:
        """An email's slots: one for each recipient, and more where so many at once would crowd a second.

        SES counts all recipients of an email in one moment. Any second that holds this moment must have room
        for them, those that begin with it and those that end with it; so a large email keeps others away on
        both sides. Two emails can stand at the edges of one second, and each may use half of the reserve.
        An email that fills a second all by itself passes when it is alone in it, so no side need be longer.
        """
        side = min(math.ceil(recipients - self._reserve / 2), math.ceil(self.rate))
        return max(recipients, 2 * side - 1)

    @property
    def burst(self) -> int:
        """The most recipients of one moment that take no more than a slot each."""
        return next(n for n in range(1 + int(self._reserve), 0, -1) if self.slots(n) == n)

    @property
    def _reserve(self) -> float:
        """Recipients a second that the rate allows and the line leaves out."""
        return self.rate * (1 - USED)

    def length(self, recipients: int) -> int:
        return self.slots(recipients) * self.slot

    def moment(self, recipients: int) -> int:
        """When to send, counted from the beginning of the email's stretch: in its middle."""
        return (self.slots(recipients) - 1) // 2 * self.slot


class Claim(Struct, frozen=True, kw_only=True):
    """A stretch that is asked for.

    It may begin between `earliest` and `latest`. Bulk mail (`bulk_due` is set: when it is due again after
    this claim) may begin after `latest` as well, up to `last`, when it is due at `now`.
    """

    now: int
    length: int
    earliest: int
    latest: int
    last: int
    bulk_due: int | None = None
    told: float = 0.0  # recipients a second, where SES told the claimant more lately than the line says
    told_at: int = 0


class Standing(StrEnum):
    """How the line stands to a claim."""

    BEHIND = "behind"  # nothing was handed out up to `earliest`: the claim begins there
    OPEN = "open"  # the claim begins where the line ends
    FULL = "full"  # the claim must wait


def standing(line: Line, claim: Claim) -> Standing:
    if line.until < claim.earliest or line.until > claim.now + ABSURD:
        return Standing.BEHIND
    due = claim.bulk_due is not None and line.bulk_due <= claim.now
    if line.until <= (claim.last if due else min(claim.latest, claim.last)):
        return Standing.OPEN
    return Standing.FULL


def beginning(line: Line, now: int, lead: int) -> int:
    """Where a claim would begin."""
    return now + lead if line.until > now + ABSURD else max(line.until, now + lead)


def handed_out(line: Line, claim: Claim, start: int) -> Line:
    """The line after the claim, which begins at `start`."""
    if claim.bulk_due is not None:
        line = replace(line, bulk_due=claim.bulk_due, bulk_claims=line.bulk_claims + 1)
    if claim.told:
        line = replace(line, rate=claim.told, rate_at=claim.told_at)
    return replace(line, until=start + claim.length)


def transactional_claim(now: int, length: int, earliest: int, last: int) -> Claim:
    """Transactional mail stands in line as long as its time allows."""
    return Claim(now=now, length=length, earliest=earliest, latest=last, last=last)


def bulk_claim(  # noqa: PLR0917 - the parts of one claim
    now: int, length: int, earliest: int, last: int, share: float, urgency: float
) -> Claim:
    """Bulk mail claims when its share of the look-ahead is not handed out, or when it is due.

    `urgency`: which part of its time the mail has waited already, 0 to 1.
    """
    return Claim(
        now=now,
        length=length,
        earliest=earliest,
        latest=now + int(share * LOOK_AHEAD + urgency * URGENT_LOOK_AHEAD),
        last=last,
        bulk_due=now + int(length / min(BULK_FLOOR, share)),
    )


# -- how often to claim ----------------------------------------------------------------------------------

# Claims a second of all environments together that keep the line from running dry between two of them.
_ENOUGH: Final = 10
_SHORTEST_ROUND: Final = LONGEST_BULK_CLAIM / SECOND
_LONGEST_ROUND: Final = 1.0


def bulk_round(others: float) -> float:
    """Seconds between two claims of an environment, beside `others` claims a second: one second if many."""
    return min(max(others / _ENOUGH, _SHORTEST_ROUND), _LONGEST_ROUND)


def fair_stretch(others: float) -> int:
    """How much of the line an environment claims at once, beside `others` claims a second.

    Twice its part of a round, since not everyone comes every time.
    """
    wait = bulk_round(others)
    return min(int(2 * SECOND * wait / (1 + others * wait)), LONGEST_BULK_CLAIM)


# -- throttles -------------------------------------------------------------------------------------------


def openness(line: Line, now: int) -> float:
    """Which part of the rate is used at `now`: all of it, unless SES throttled lately."""
    since = max(0, now - line.throttled_at) / SECOND
    return min(1.0, line.openness + OPENING * since)


def closed_further(line: Line, now: int) -> float | None:
    """The openness after a throttle; None where the last one is too young to be another cause."""
    if line.throttled_at > now - SECOND:
        return None
    return max(LEAST_OPEN, openness(line, now) * CLOSING)
