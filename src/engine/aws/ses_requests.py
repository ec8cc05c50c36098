"""What the engine asks of SES, in SES's words."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from engine.sending.compose import AttachedFile, OutgoingMessage

_UTF8: Final = "UTF-8"
# Each email of a bulk call brings its finished parts; SES puts them in as they are, without escaping.
# Source: https://docs.aws.amazon.com/ses/latest/dg/send-personalized-email-api.html
_WHOLE: Final = {"Subject": "{{subject}}", "Html": "{{html}}", "Text": "{{text}}"}

_encoder = msgspec.json.Encoder()


def send_email_request(message: OutgoingMessage, configuration_set: str) -> dict[str, Any]:
    """The parameters of SES v2 SendEmail.

    Source: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
    """
    destination = {"ToAddresses": [message.to]}
    if message.cc:
        destination["CcAddresses"] = list(message.cc)
    if message.bcc:
        destination["BccAddresses"] = list(message.bcc)
    request: dict[str, Any] = {
        "FromEmailAddress": message.sender,
        "Destination": destination,
        "Content": {"Simple": _content(message)},
        "ConfigurationSetName": configuration_set,
        "EmailTags": _pairs(message.tags),
    }
    if message.reply_to:
        request["ReplyToAddresses"] = list(message.reply_to)
    return request


def _content(message: OutgoingMessage) -> dict[str, Any]:
    body = {
        kind: {"Data": data, "Charset": _UTF8}
        for kind, data in (("Html", message.html), ("Text", message.text))
        if data is not None
    }
    content: dict[str, Any] = {"Subject": {"Data": message.subject, "Charset": _UTF8}, "Body": body}
    if message.headers:
        content["Headers"] = _pairs(message.headers)
    if message.attachments:
        content["Attachments"] = [_attachment(file) for file in message.attachments]
    return content


def _attachment(file: AttachedFile) -> dict[str, Any]:
    attachment = {
        "FileName": file.file_name,
        "ContentType": file.content_type,
        "RawContent": file.content,
        "ContentTransferEncoding": "BASE64",
        "ContentDisposition": "INLINE" if file.content_id else "ATTACHMENT",
    }
    if file.content_id:
        attachment["ContentId"] = file.content_id
    return attachment


def send_bulk_email_request(messages: Sequence[OutgoingMessage], configuration_set: str) -> dict[str, Any]:
    """The parameters of SES v2 SendBulkEmail, for messages that `domain.grouping` put together.

    Source: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendBulkEmail.html
    """
    first = messages[0]
    template = {name: text for name, text in _WHOLE.items() if _parts(first).get(name.lower()) is not None}
    request: dict[str, Any] = {
        "FromEmailAddress": first.sender,
        "ConfigurationSetName": configuration_set,
        "DefaultContent": {"Template": {"TemplateContent": template, "TemplateData": "{}"}},
        "BulkEmailEntries": [_entry(message) for message in messages],
    }
    if first.reply_to:
        request["ReplyToAddresses"] = list(first.reply_to)
    return request


def _entry(message: OutgoingMessage) -> dict[str, Any]:
    data = {name: part for name, part in _parts(message).items() if part is not None}
    entry: dict[str, Any] = {
        "Destination": {"ToAddresses": [message.to]},
        "ReplacementTags": _pairs(message.tags),
        "ReplacementEmailContent": {
            "ReplacementTemplate": {"ReplacementTemplateData": _encoder.encode(data).decode()}
        },
    }
    if message.headers:
        entry["ReplacementHeaders"] = _pairs(message.headers)
    return entry


def _parts(message: OutgoingMessage) -> dict[str, str | None]:
    return {"subject": message.subject, "html": message.html, "text": message.text}


def _pairs(pairs: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in pairs]
