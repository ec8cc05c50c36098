"""Messages that the simulator has accepted, as values."""

from collections.abc import Mapping
from datetime import datetime
from email.utils import parseaddr

import msgspec


class MessageAttachment(msgspec.Struct, frozen=True, kw_only=True):
    """A file beside the body; with a `content_id` and disposition INLINE it is part of the HTML."""

    file_name: str
    content_type: str
    content: bytes
    content_id: str | None = None
    disposition: str = "ATTACHMENT"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message SES took responsibility for: as sent, after template rendering and character sets.

    `tags` are the caller's own message tags; what SES adds (`ses:*`) appears only in events.
    `rendering_failure` holds the reason when a template lacked data: SES answers such a message with success,
    publishes "Rendering Failure" and never delivers it.
    """

    message_id: str
    accepted_at: datetime
    sender: str
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    subject: str = ""
    html: str | None = None
    text: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    tags: Mapping[str, str] = {}
    attachments: tuple[MessageAttachment, ...] = ()
    configuration_set: str | None = None
    operation: str = "SendEmail"
    raw: bytes | None = None
    rendering_failure: str | None = None

    @property
    def recipients(self) -> tuple[str, ...]:
        """Everyone the message goes to, in the order To, Cc, Bcc."""
        return (*self.to, *self.cc, *self.bcc)


def bare_address(mailbox: str) -> str:
    """The address of `Name <user@host>` or of `user@host`; the text itself when it has no address."""
    return (parseaddr(mailbox)[1] or mailbox) if "<" in mailbox else mailbox.strip()


def domain_of(mailbox: str) -> str:
    """The lower-cased domain of a mailbox."""
    return bare_address(mailbox).rpartition("@")[2].lower()
