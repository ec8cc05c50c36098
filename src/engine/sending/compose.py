"""Puts request, rendered content and sender together into the message that goes to SES."""

import base64
from collections.abc import Container, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from engine.errors import FailureCode, Refusal, unwrap
from engine.requests.addresses import address_key
from engine.requests.checks import CAMPAIGN_TAG, MAX_MESSAGE_BYTES, encoded_size, unsubscribe_headers
from engine.schemas.request import Attachment, EmailRequest, Lane, Unsubscribe
from engine.templating.template import Rendered

EMAIL_ID_TAG: Final = "emailId"

# Room for the headers and boundaries around the parts.
_ENVELOPE_BYTES: Final = 64 * 1024
# Characters that fit whatever they are: four bytes of UTF-8 each, a third more in base64, and line breaks.
_SURELY_SMALL: Final = MAX_MESSAGE_BYTES // 8


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
    lane: Lane = Lane.TRANSACTIONAL
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


def compose(
    request: EmailRequest,
    rendered: Rendered,
    sender: str,
    email_id: str,
    *,
    hosted: Unsubscribe | None = None,
    left_out: Container[str] = (),
    file_sizes: Mapping[str, int] = {},
) -> OutgoingMessage:
    """The finished message, but for the content of files that lie in the template bucket.

    `hosted`: the unsubscribe page, where the request names none. `left_out`: keys of addresses that cc and
    bcc must not reach. `file_sizes`: bytes, by S3 key.
    """
    campaign = ((CAMPAIGN_TAG, request.campaign),) if request.campaign else ()
    return OutgoingMessage(
        email_id=email_id,
        lane=Lane(request.priority),
        sender=sender,
        to=request.to,
        cc=tuple(address for address in request.cc if address_key(address) not in left_out),
        bcc=tuple(address for address in request.bcc if address_key(address) not in left_out),
        reply_to=tuple(request.reply_to),
        subject=rendered.subject,
        html=rendered.html,
        text=rendered.text,
        headers=(*request.headers.items(), *unsubscribe_headers(hosted or request.unsubscribe)),
        attachments=tuple(attached_file(file, file_sizes) for file in request.attachments),
        tags=((EMAIL_ID_TAG, email_id), *campaign, *request.tags.items()),
    )


def attached_file(attachment: Attachment, file_sizes: Mapping[str, int]) -> AttachedFile:
    content = base64.b64decode(attachment.content or "")
    return AttachedFile(
        file_name=attachment.file_name,
        content_type=attachment.content_type,
        content=content,
        size=file_sizes[attachment.s3_key] if attachment.s3_key else len(content),
        content_id=attachment.content_id,
        s3_key=attachment.s3_key,
    )


def with_files(message: OutgoingMessage, files: Mapping[str, bytes | Refusal | Exception]) -> OutgoingMessage:
    """The message with the content of its files, by S3 key. Raises what stands in a file's place."""
    if not message.attachments:
        return message
    attachments = (
        replace(file, content=unwrap(files[file.s3_key])) if file.s3_key else file
        for file in message.attachments
    )
    return replace(message, attachments=tuple(attachments))


def refuse_oversized(message: OutgoingMessage) -> Refusal | None:
    """Whether the message would be over SES's limit."""
    parts = (message.subject, message.html or "", message.text or "")
    if not message.attachments and sum(map(len, parts)) < _SURELY_SMALL:
        return None
    bodies = sum(len(part.encode()) for part in parts)
    size = encoded_size(bodies + sum(file.size for file in message.attachments)) + _ENVELOPE_BYTES
    if size <= MAX_MESSAGE_BYTES:
        return None
    return Refusal(
        FailureCode.VALIDATION,
        f"attachments: the email would have {size:,} bytes once encoded, over the {MAX_MESSAGE_BYTES:,} that"
        " SES takes; send a link instead of the largest file",
    )
