"""Puts request, rendered content and sender together into the message that goes to SES."""

import base64
from collections.abc import Sequence
from typing import Final

from engine.errors import FailureCode, Refusal
from engine.requests.limits import MAX_MESSAGE_BYTES, encoded_size
from engine.requests.unsubscribe import unsubscribe_headers
from engine.schemas.request import Attachment, EmailRequest
from engine.sending.message import AttachedFile, OutgoingMessage
from engine.templating.template import Rendered

EMAIL_ID_TAG: Final = "emailId"

# Room for the headers and boundaries around the parts.
_ENVELOPE_BYTES: Final = 64 * 1024
# Characters that fit whatever they are: four bytes of UTF-8 each, a third more in base64, and line breaks.
_SURELY_SMALL: Final = MAX_MESSAGE_BYTES // 8


def compose(
    request: EmailRequest,
    rendered: Rendered,
    sender: str,
    email_id: str,
    attachments: Sequence[AttachedFile] = (),
    *,
    without: frozenset[str] = frozenset(),
) -> OutgoingMessage:
    """The finished message. `without` holds lower-cased addresses that cc and bcc must not reach."""
    return OutgoingMessage(
        email_id=email_id,
        sender=sender,
        to=request.to,
        cc=tuple(address for address in request.cc if address.lower() not in without),
        bcc=tuple(address for address in request.bcc if address.lower() not in without),
        reply_to=tuple(request.reply_to),
        subject=rendered.subject,
        html=rendered.html,
        text=rendered.text,
        headers=(*request.headers.items(), *unsubscribe_headers(request.unsubscribe)),
        attachments=tuple(attachments),
        tags=((EMAIL_ID_TAG, email_id), *request.tags.items()),
    )


def attached_file(attachment: Attachment, loaded: bytes | None = None) -> AttachedFile:
    """A checked attachment with its bytes: `loaded` for an `s3Key`, its own `content` otherwise."""
    content = base64.b64decode(attachment.content or "") if loaded is None else loaded
    return AttachedFile(attachment.file_name, attachment.content_type, content, attachment.content_id)


def refuse_oversized(message: OutgoingMessage) -> Refusal | None:
    """Whether the message would be over SES's limit; only known once attachments have been fetched."""
    parts = (message.subject, message.html or "", message.text or "")
    if not message.attachments and sum(map(len, parts)) < _SURELY_SMALL:
        return None
    bodies = sum(len(part.encode()) for part in parts)
    files = sum(len(file.content) for file in message.attachments)
    size = encoded_size(bodies + files) + _ENVELOPE_BYTES
    if size <= MAX_MESSAGE_BYTES:
        return None
    return Refusal(
        FailureCode.VALIDATION,
        f"attachments: the email would have {size:,} bytes once encoded, over the {MAX_MESSAGE_BYTES:,} that"
        " SES takes; send a link instead of the largest file",
    )
