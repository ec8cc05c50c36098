"""Which emails share one call to SES."""

from collections.abc import Iterable
from typing import Final

import msgspec

from engine.schemas.request import Lane
from engine.sending.compose import OutgoingMessage
from engine.sending.results import Ready

# What SES takes as an entry's replacement data: subject, HTML and text as one JSON text. SES says characters;
# bytes are never fewer.
LARGEST_DATA: Final = 262_144
_NAMES: Final = 64  # bytes for the names of the parts, and their punctuation

_encoder = msgspec.json.Encoder()


def group_into_calls(ready: Iterable[Ready], largest: int) -> list[list[Ready]]:
    """Which emails share one call to SES, in order. `largest` emails at most; 1 sends each alone.

    SendBulkEmail carries up to 50 emails with one sender, each with its own content, headers and tags; it has
    no attachments. Copies would count against the 50 as well, so such an email goes alone.
    Source: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendBulkEmail.html

    Only the bulk lane shares calls: a transactional email waits for no other.
    """
    groups: list[list[Ready]] = []
    open_groups: dict[object, list[Ready]] = {}
    for item in ready:
        if item.lane is not Lane.BULK or not fits_a_shared_call(item.message):
            groups.append([item])
            continue
        message = item.message
        key = (message.sender, message.reply_to, message.html is None, message.text is None)
        group = open_groups.get(key)
        if group is None or len(group) >= largest:
            group = open_groups[key] = []
            groups.append(group)
        group.append(item)
    return groups


def fits_a_shared_call(message: OutgoingMessage) -> bool:
    if message.attachments or message.cc or message.bcc:
        return False
    parts = (message.subject, message.html or "", message.text or "")
    # JSON makes six bytes of a character at most, and most emails are small enough to need no closer look.
    most = 6 * sum(map(len, parts)) + _NAMES
    return most <= LARGEST_DATA or len(_encoder.encode(parts)) + _NAMES <= LARGEST_DATA
