"""A message's source (RFC 5322), its headers, and its HTML with inline images put in."""

import base64
import re
from collections.abc import Mapping
from contextlib import suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import format_datetime

from engine.local.ses import Message, MessageAttachment

_LINE_BREAKS = re.compile(r"[\r\n]+")
_CONTENT_ID_LINK = re.compile(r"""cid:([^"'\s)>]+)""", re.IGNORECASE)


def source_of(message: Message) -> bytes:
    """The message as SES would hand it to the recipient's server, without SES's signatures."""
    if message.raw is not None:
        return message.raw
    mail = EmailMessage(policy=policy.SMTP)
    envelope = [
        ("From", message.sender),
        ("To", ", ".join(message.to)),
        ("Cc", ", ".join(message.cc)),
        ("Reply-To", ", ".join(message.reply_to)),
        ("Subject", message.subject),
        ("Date", format_datetime(message.accepted_at)),
        ("Message-ID", f"<{message.message_id}@email.amazonses.com>"),
    ]
    for name, value in (*((name, value) for name, value in envelope if value), *message.headers):
        # Where a header that may occur once is there twice, the first stays, as most readers have it.
        with suppress(ValueError):
            mail[name] = _LINE_BREAKS.sub(" ", value)
    if message.text is not None:
        mail.set_content(message.text)
    if message.html is not None and message.text is not None:
        mail.add_alternative(message.html, subtype="html")
    elif message.html is not None:
        mail.set_content(message.html, subtype="html")
    for attachment in message.attachments:
        _attach(mail, attachment)
    return mail.as_bytes()


def headers_of(message: Message) -> list[tuple[str, str]]:
    """All headers of the message, decoded."""
    mail = message_from_bytes(source_of(message), _class=EmailMessage, policy=policy.default)
    return [(name, str(value)) for name, value in mail.items()]


def html_of(message: Message) -> str:
    """The HTML with the inline images that it names as `cid:…` put in."""
    images = {
        attachment.content_id.strip("<>"): attachment
        for attachment in message.attachments
        if attachment.content_id
    }

    def image(match: re.Match[str]) -> str:
        attachment = images.get(match[1])
        if attachment is None:
            return match[0]
        maintype, subtype, _ = media_type(attachment)
        return f"data:{maintype}/{subtype};base64,{base64.b64encode(attachment.content).decode()}"

    return _CONTENT_ID_LINK.sub(image, message.html or "")


def media_type(attachment: MessageAttachment) -> tuple[str, str, Mapping[str, str]]:
    """Type, subtype and parameters; `application/octet-stream` for what is no media type of a single part."""
    header = EmailMessage(policy=policy.default)
    header["Content-Type"] = _LINE_BREAKS.sub(" ", attachment.content_type)
    parsed = header["Content-Type"]
    if parsed.defects or parsed.maintype == "multipart":
        return "application", "octet-stream", {}
    return parsed.maintype, parsed.subtype, parsed.params


def _attach(mail: EmailMessage, attachment: MessageAttachment) -> None:
    """Add a file: an inline image beside the HTML, all others beside the whole message."""
    maintype, subtype, parameters = media_type(attachment)
    file_name = _LINE_BREAKS.sub(" ", attachment.file_name)
    html = mail.get_body(("html",))
    if maintype == "message":
        # Its content is a message or blocks of headers, never in base64 (RFC 2046, section 5.2): parsed.
        head = f"Content-Type: {maintype}/{subtype}\r\n\r\n".encode()
        part = message_from_bytes(head + attachment.content, _class=EmailMessage, policy=policy.SMTP)
        part.add_header("Content-Disposition", "attachment", filename=file_name)
        mail.make_mixed()
        mail.attach(part)
    elif attachment.content_id and attachment.disposition == "INLINE" and isinstance(html, EmailMessage):
        html.add_related(
            attachment.content,
            maintype,
            subtype,
            params=parameters,
            cid=f"<{_LINE_BREAKS.sub('', attachment.content_id)}>",
            filename=file_name,
        )
    else:
        mail.add_attachment(attachment.content, maintype, subtype, params=parameters, filename=file_name)
