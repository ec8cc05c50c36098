"""Which emails may share one call to SES.

SendBulkEmail carries up to 50 emails with one sender, each with its own content, headers and tags; it has no
attachments. Copies would count against the 50 as well, so such an email goes alone.
Source: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendBulkEmail.html
"""

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

import msgspec

from engine.schemas.request import Lane
from engine.sending.message import OutgoingMessage

LARGEST_CALL: Final = 50
# What SES takes as an entry's replacement data: subject, HTML and text as one JSON text. SES says characters;
# bytes are never fewer.
LARGEST_DATA: Final = 262_144
_NAMES: Final = 64  # bytes for the names of the parts, and their punctuation


class Sendable(Protocol):
    """Something that is ready to be sent."""

    @property
    def lane(self) -> Lane: ...

    @property
    def message(self) -> OutgoingMessage: ...


T = TypeVar("T", bound=Sendable)

_encoder = msgspec.json.Encoder()


def group_into_calls(ready: Sequence[T], largest: int) -> list[list[T]]:
    """Emails of one call together, in order. `largest` emails at most; 1 sends each alone.

    Only the bulk lane shares calls: a transactional email waits for no other.
    """
    groups: list[list[T]] = []
    open_groups: dict[object, list[T]] = {}
    for item in ready:
        if item.lane is not Lane.BULK or not fits_a_shared_call(item.message):
            groups.append([item])
            continue
        key = _shared(item.message)
        group = open_groups.get(key)
        if group is None or len(group) >= largest:
            group = open_groups[key] = []
            groups.append(group)
        group.append(item)
    return groups


def _shared(message: OutgoingMessage) -> object:
    """What the emails of one call have in common, the parts of their content included."""
    return message.sender, message.reply_to, message.html is None, message.text is None


def fits_a_shared_call(message: OutgoingMessage) -> bool:
    lone = bool(message.attachments or message.cc or message.bcc)
    return not lone and _data_fits((message.subject, message.html or "", message.text or ""))


def _data_fits(parts: tuple[str, ...]) -> bool:
    # JSON makes six bytes of a character at most, and most emails are small enough to need no closer look.
    most = 6 * sum(map(len, parts)) + _NAMES
    return most <= LARGEST_DATA or len(_encoder.encode(parts)) + _NAMES <= LARGEST_DATA
