"""A message in the form it travels in (RFC 5322), and its HTML in the form a browser may be shown."""

import base64
import re
from contextlib import suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from engine.local.ses import Message, MessageAttachment

_LINE_BREAKS = re.compile(r"[\r\n]+")
_CONTENT_TYPE = re.compile(r"([A-Za-z0-9!#$&^_.+-]+)/([A-Za-z0-9!#$&^_.+-]+)")
_CONTENT_ID_LINK = re.compile(r"""cid:([^"'\s)>]+)""", re.IGNORECASE)
_PLAIN = "application", "octet-stream"


def source_of(message: Message) -> bytes:
    """The message as SES would hand it to the recipient's server, without SES's signatures."""
    if message.raw is not None:
        return message.raw
    mail = EmailMessage(policy=policy.SMTP)
    for name, value in _headers(message):
        # A header that may occur once and is there twice: the first stays, as most readers do it.
        with suppress(ValueError):
            mail[name] = _LINE_BREAKS.sub(" ", value)
    _add_body(mail, message)
    return mail.as_bytes()


def headers_of(message: Message) -> list[tuple[str, str]]:
    """All headers of the message, decoded."""
    mail = message_from_bytes(source_of(message), _class=EmailMessage, policy=policy.default)
    return [(name, str(value)) for name, value in mail.items()]


def html_page(message: Message) -> str:
    """The HTML with inline images put in, and links that open outside the frame they are shown in."""
    images = {
        attachment.content_id.strip("<>"): attachment
        for attachment in message.attachments
        if attachment.content_id
    }

    def image(match: re.Match[str]) -> str:
        attachment = images.get(match[1])
        return match[0] if attachment is None else _data_url(attachment)

    return '<base target="_blank">' + _CONTENT_ID_LINK.sub(image, message.html or "")


def media_type(attachment: MessageAttachment) -> tuple[str, str]:
    """The two halves of the content type; `application/octet-stream` for what is none."""
    match = _CONTENT_TYPE.match(attachment.content_type)
    if match is None or match[1].lower() == "multipart":
        return _PLAIN
    return match[1].lower(), match[2].lower()


def _headers(message: Message) -> list[tuple[str, str]]:
    envelope = [
        ("From", message.sender),
        ("To", ", ".join(message.to)),
        ("Cc", ", ".join(message.cc)),
        ("Reply-To", ", ".join(message.reply_to)),
        ("Subject", message.subject),
        ("Date", format_datetime(message.accepted_at)),
        ("Message-ID", f"<{message.message_id}@email.amazonses.com>"),
    ]
    return [*((name, value) for name, value in envelope if value), *message.headers]


def _add_body(mail: EmailMessage, message: Message) -> None:
    if message.text is not None:
        mail.set_content(message.text)
    if message.html is not None and message.text is not None:
        mail.add_alternative(message.html, subtype="html")
    elif message.html is not None:
        mail.set_content(message.html, subtype="html")
    html: Any = mail.get_body(("html",))
    for attachment in message.attachments:
        maintype, subtype = media_type(attachment)
        if attachment.content_id and attachment.disposition == "INLINE" and html is not None:
            html.add_related(
                attachment.content,
                maintype,
                subtype,
                cid=f"<{attachment.content_id}>",
                filename=attachment.file_name,
            )
        else:
            mail.add_attachment(attachment.content, maintype, subtype, filename=attachment.file_name)


def _data_url(attachment: MessageAttachment) -> str:
    maintype, subtype = media_type(attachment)
    return f"data:{maintype}/{subtype};base64,{base64.b64encode(attachment.content).decode()}"
