"""Which emails may share one call to SES.

SendBulkEmail carries up to 50 emails with one sender, each with its own content, headers and tags; it has no
attachments. Copies would count against the 50 as well, so such an email goes alone.
Source: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendBulkEmail.html
"""

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

from engine.domain.deferral import Lane
from engine.domain.message import OutgoingMessage

LARGEST_CALL: Final = 50
# What SES takes as an entry's replacement data: subject, HTML and text as one JSON text.
LARGEST_DATA: Final = 262_144


class Sendable(Protocol):
    """Something that is ready to be sent."""

    @property
    def lane(self) -> Lane: ...

    @property
    def message(self) -> OutgoingMessage: ...


T = TypeVar("T", bound=Sendable)


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
    parts = (message.subject, message.html or "", message.text or "")
    # JSON may double a character; escapes of control characters are rarer than this is generous.
    small = 2 * sum(len(part.encode()) for part in parts) <= LARGEST_DATA
    return small and not message.attachments and not message.cc and not message.bcc
