"""Puts request, rendered content and sender together into the message that goes to SES."""

import base64
from collections.abc import Sequence
from typing import Final

from engine.domain.failures import FailureCode, Refusal
from engine.domain.message import AttachedFile, OutgoingMessage
from engine.domain.rendering import Rendered
from engine.schemas.request import Attachment, EmailRequest, Unsubscribe

EMAIL_ID_TAG: Final = "emailId"

# SES API v2 takes 40 MB a message, after encoding:
# https://docs.aws.amazon.com/ses/latest/dg/quotas.html
MAX_MESSAGE_BYTES: Final = 40_000_000
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


def unsubscribe_headers(unsubscribe: Unsubscribe | None) -> tuple[tuple[str, str], ...]:
    """List-Unsubscribe (RFC 2369) and, for an https url, List-Unsubscribe-Post (RFC 8058, section 3.1)."""
    if unsubscribe is None:
        return ()
    ways = [unsubscribe.url] if unsubscribe.url else []
    if unsubscribe.mailto:
        ways.append(f"mailto:{without_scheme(unsubscribe.mailto)}")
    listed = ("List-Unsubscribe", ", ".join(f"<{way}>" for way in ways))
    if unsubscribe.url and unsubscribe.url.lower().startswith("https:"):
        return listed, ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
    return (listed,)


def without_scheme(mailto: str) -> str:
    """The address (and query) of a mailto, with or without its scheme."""
    return mailto[7:] if mailto[:7].lower() == "mailto:" else mailto


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


def encoded_size(content: int) -> int:
    """What `content` bytes take in base64, with a line break (two bytes) every 76 characters (RFC 2045)."""
    characters = 4 * -(-content // 3)
    return characters + 2 * -(-characters // 76)
