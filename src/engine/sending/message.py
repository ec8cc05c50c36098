"""The finished email, as it is handed to SES."""

from msgspec import Struct


class AttachedFile(Struct, frozen=True):
    """A decoded attachment of `size` bytes; with a `content_id` it is shown inline.

    One that lies in the template bucket (`s3_key`) gets its content right before it is sent.
    """

    file_name: str
    content_type: str
    content: bytes
    size: int
    content_id: str | None = None
    s3_key: str | None = None


class OutgoingMessage(Struct, frozen=True, kw_only=True):
    """One email, rendered and addressed. `sender` is a complete From header value."""

    email_id: str
    sender: str
    to: str
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    subject: str
    html: str | None
    text: str | None
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[AttachedFile, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        return (self.to, *self.cc, *self.bcc)

    @property
    def recipients(self) -> int:
        """What SES counts against rate and quota."""
        return 1 + len(self.cc) + len(self.bcc)
