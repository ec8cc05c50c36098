"""From a request's content to a message's: character sets, templates, MIME, and SES's limits on content.

Raises SesError for content that SES refuses, before anything is counted or accepted.
"""

import re
from collections.abc import Mapping, Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import getaddresses
from functools import lru_cache
from typing import Any

import msgspec

from engine.local.ses import rules
from engine.local.ses.errors import bad_request, not_found
from engine.local.ses.message import MessageAttachment
from engine.local.ses.wire import (
    AttachmentPart,
    Content,
    EmailContent,
    RawContent,
    SimpleContent,
    Tag,
    TemplateContent,
    TemplateWithData,
)

_PLACEHOLDER = re.compile(r"\{\{\{?\s*([A-Za-z0-9_.-]+)\s*\}?\}\}")
_TAGS_HEADER = "X-SES-MESSAGE-TAGS"
_CONFIGURATION_SET_HEADER = "X-SES-CONFIGURATION-SET"
_ENVELOPE = frozenset({"from", "to", "cc", "bcc", "reply-to", "subject", "mime-version"})


class Composed(msgspec.Struct, frozen=True, kw_only=True):
    """A message's content. From `raw` on: what a raw message brings in its own headers."""

    subject: str = ""
    html: str | None = None
    text: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[MessageAttachment, ...] = ()
    rendering_failure: str | None = None
    raw: bytes | None = None
    sender: str | None = None
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    tags: tuple[Tag, ...] = ()
    configuration_set: str | None = None


def compose(content: EmailContent) -> Composed:
    """The content of a SendEmail request."""
    forms = [form for form in (content.simple, content.raw, content.template) if form is not None]
    if len(forms) != 1:
        raise bad_request("Content must have exactly one of Simple, Raw and Template.")
    (form,) = forms
    if isinstance(form, SimpleContent):
        return _simple(form)
    return _raw(form) if isinstance(form, RawContent) else templated(form)


def templated(
    template: TemplateWithData, data: Mapping[str, Any] | None = None, headers: Sequence[Any] = ()
) -> Composed:
    """The content of a template, with the default data overlaid by `data` and default headers by `headers`.

    A placeholder without data is a rendering failure, not an error: SES accepts the message and reports the
    failure as an event.
    """
    content = inline_content(template)
    values = {**template_data(template.template_data), **(data or {})}
    merged = {header.name.lower(): header for header in (*template.headers, *headers)}
    rules.check_headers(tuple(merged.values()))
    rules.check_size((content.subject, content.html, content.text), template.attachments)
    try:
        rendered = Composed(
            subject=_fill(content.subject, values),
            html=None if content.html is None else _fill(content.html, values),
            text=None if content.text is None else _fill(content.text, values),
        )
    except LookupError as missing:
        failure = f"Attribute '{missing.args[0]}' is not present in the rendering data."
        return Composed(subject=content.subject, rendering_failure=failure)
    return msgspec.structs.replace(
        rendered,
        headers=tuple((header.name, header.value) for header in merged.values()),
        attachments=_attachments(template.attachments),
    )


def inline_content(template: TemplateWithData) -> TemplateContent:
    """The template's inline content. Stored templates are not simulated; the engine sends none."""
    if template.template_content is None:
        raise not_found(f"Template {template.template_name or template.template_arn} does not exist.")
    return template.template_content


@lru_cache(maxsize=64)
def template_data(text: str | None) -> Mapping[str, Any]:
    """The JSON object in a template-data string."""
    if text is None:
        return {}
    if len(text) > rules.MAX_TEMPLATE_DATA:
        raise bad_request(f"Template data is longer than {rules.MAX_TEMPLATE_DATA} characters.")
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise bad_request("Template data is not a JSON object.") from None


def _fill(template: str, values: Mapping[str, Any]) -> str:
    """Put values for placeholders, unescaped: SES leaves the escaping of HTML to the caller.

    Of Handlebars only placeholders are simulated (https://docs.aws.amazon.com/ses/latest/dg/send-personalized-email-advanced.html).
    """

    def value_of(match: re.Match[str]) -> str:
        value: Any = values
        for key in match[1].split("."):
            value = value[key]
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()

    return _PLACEHOLDER.sub(value_of, template)


def _simple(content: SimpleContent) -> Composed:
    if content.body.html is None and content.body.text is None:
        raise bad_request("Body must have Html or Text.")
    rules.check_headers(content.headers)
    html = None if content.body.html is None else _decoded(content.body.html)
    text = None if content.body.text is None else _decoded(content.body.text)
    rules.check_size((content.subject.data, html, text), content.attachments)
    return Composed(
        subject=_decoded(content.subject),
        html=html,
        text=text,
        headers=tuple((header.name, header.value) for header in content.headers),
        attachments=_attachments(content.attachments),
    )


def _decoded(content: Content) -> str:
    """What the reader sees: characters that the character set lacks arrive as `?`."""
    charset = content.charset or "ascii"
    if content.data.isascii() or charset.lower() in {"utf-8", "utf8"}:
        return content.data
    try:
        return content.data.encode(charset, "replace").decode(charset)
    except LookupError:
        raise bad_request(f"Unknown charset {charset}.") from None


def _attachments(parts: Sequence[AttachmentPart]) -> tuple[MessageAttachment, ...]:
    for part in parts:
        rules.check_attachment(part.file_name, part.content_type, part.content_id)
    return tuple(
        MessageAttachment(
            file_name=part.file_name,
            content_type=part.content_type or "application/octet-stream",
            content=part.raw_content,
            content_id=part.content_id,
            disposition=part.content_disposition,
        )
        for part in parts
    )


def _raw(content: RawContent) -> Composed:
    rules.check_bytes(len(content.data))
    mail = message_from_bytes(content.data, _class=EmailMessage, policy=policy.default)
    html = mail.get_body(("html",))
    text = mail.get_body(("plain",))
    tags = (tag.partition("=") for tag in str(mail.get(_TAGS_HEADER, "")).split(",") if tag.strip())
    return Composed(
        subject=str(mail.get("Subject", "")),
        html=None if html is None else html.get_content(),
        text=None if text is None else text.get_content(),
        headers=tuple(
            (name, str(value))
            for name, value in mail.items()
            if name.lower() not in _ENVELOPE and not name.lower().startswith(("content-", "x-ses-"))
        ),
        attachments=tuple(_raw_attachment(part) for part in mail.iter_attachments()),
        raw=content.data,
        sender=str(mail["From"]) if mail["From"] else None,
        to=_mailboxes(mail, "To"),
        cc=_mailboxes(mail, "Cc"),
        bcc=_mailboxes(mail, "Bcc"),
        reply_to=_mailboxes(mail, "Reply-To"),
        tags=tuple(Tag(name=name.strip(), value=value.strip()) for name, _, value in tags),
        configuration_set=mail.get(_CONFIGURATION_SET_HEADER),
    )


def _mailboxes(mail: EmailMessage, name: str) -> tuple[str, ...]:
    return tuple(address for _, address in getaddresses([str(value) for value in mail.get_all(name, [])]))


def _raw_attachment(part: Any) -> MessageAttachment:
    file_name = part.get_filename() or "attachment"
    rules.check_attachment(file_name)
    # A part of type message/… is parsed into messages, whose text is its content.
    parts = part.get_payload() if part.is_multipart() else []
    return MessageAttachment(
        file_name=file_name,
        content_type=part.get_content_type(),
        content=b"\n".join(map(bytes, parts)) or part.get_payload(decode=True) or b"",
        content_id=(part["Content-ID"] or "").strip("<>") or None,
        disposition=(part.get_content_disposition() or "attachment").upper(),
    )
