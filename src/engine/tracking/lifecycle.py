"""The lifecycle of an email: which status may follow which.

Events come late, twice and out of order, so a status only ever climbs. Every order and every repetition of
the same events ends in the same status.
"""

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    SENDING = "sending"
    SENT = "sent"
    SOFT_BOUNCED = "soft_bounced"
    DELIVERED = "delivered"
    OPENED = "opened"
    FAILED = "failed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


RANK: Final[dict[Status, int]] = {
    Status.SENDING: 0,
    Status.SENT: 1,
    Status.SOFT_BOUNCED: 2,
    Status.DELIVERED: 3,
    Status.OPENED: 4,
    Status.FAILED: 5,
    Status.BOUNCED: 6,
    Status.COMPLAINED: 6,
}


def can_transition(current: Status, to: Status) -> bool:
    """Whether a row in `current` moves when a report says `to`.

    A higher rank wins. Between the two of the highest rank a complaint wins, whichever came first: it is the
    graver news, and without a fixed order the final status would depend on the order of arrival.
    """
    if RANK[to] != RANK[current]:
        return RANK[to] > RANK[current]
    return current is Status.BOUNCED and to is Status.COMPLAINED
