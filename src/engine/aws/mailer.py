"""SES: each email in one call, and no second try.

Neither SendEmail nor SendBulkEmail has an idempotency token, so a try after a lost answer may send twice. The
client must be made with `total_max_attempts: 1`; what a failure means is said in `aws.error_codes`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from engine.aws.error_codes import bulk_entry_error, is_not_offered, service_errors, ses_error
from engine.concurrency import concurrently
from engine.errors import OutcomeUnknown, SendFailure, SendRefused, SendThrottled
from engine.schemas.request import Lane
from engine.sending.compose import AttachedFile, OutgoingMessage
from engine.sending.streams import Stream
from engine.types import Telemetry

if TYPE_CHECKING:
    from types_aiobotocore_sesv2 import SESV2Client

_UTF8: Final = "UTF-8"
# Each email of a bulk call brings its finished parts; SES puts them in as they are, without escaping.
# Source: https://docs.aws.amazon.com/ses/latest/dg/send-personalized-email-api.html
_WHOLE: Final = {"Subject": "{{subject}}", "Html": "{{html}}", "Text": "{{text}}"}

_encoder = msgspec.json.Encoder()


class SesMailer:
    """Implements `Mailer`. What shares a call is of one lane."""

    def __init__(self, client: "SESV2Client", streams: Mapping[Lane, Stream], telemetry: Telemetry) -> None:
        self._client = client
        self._streams = streams
        self._telemetry = telemetry
        self._bulk_is_offered = True

    async def send(self, messages: Sequence[OutgoingMessage]) -> list[str | SendFailure]:
        if len(messages) == 1 or not self._bulk_is_offered:
            return await concurrently(map(self._send_alone, messages))
        request = send_bulk_email_request(messages, self._streams[messages[0].lane])
        try:
            answer = await self._client.send_bulk_email(**request)
            results = answer["BulkEmailEntryResults"]
        except Exception as error:  # noqa: BLE001 - only the table of errors may say that nothing went out
            failure = ses_error(error)
            if is_not_offered(error):
                # Nothing was sent. The role, or a service that stands in for SES, lacks the call.
                self._telemetry.record("bulk-calls-refused", problem=str(failure))
                self._bulk_is_offered = False
            elif not (
                isinstance(failure, SendRefused)
                or (isinstance(failure, SendThrottled) and failure.unexpected)
            ):
                return [failure for _ in messages]
            # Refused as a whole, with nothing sent: one bad email must not take the others with it.
            return await concurrently(map(self._send_alone, messages))
        if len(results) != len(messages):
            unknown = OutcomeUnknown("SES answered SendBulkEmail with another number of results")
            return [unknown for _ in messages]
        return [
            result.get("MessageId")
            or bulk_entry_error(result.get("Status", "nothing"), result.get("Error", ""))
            for result in results
        ]

    async def _send_alone(self, message: OutgoingMessage) -> str | SendFailure:
        request = send_email_request(message, self._streams[message.lane])
        try:
            answer = await self._client.send_email(**request)
            return answer["MessageId"]  # a proxy's page may say 200 and hold none
        except Exception as error:  # noqa: BLE001 - as above
            return ses_error(error)


def send_email_request(message: OutgoingMessage, stream: Stream) -> dict[str, Any]:
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
        "EmailTags": _pairs(message.tags),
        **_leaving_by(stream),
    }
    if message.reply_to:
        request["ReplyToAddresses"] = list(message.reply_to)
    return request


def _leaving_by(stream: Stream) -> dict[str, str]:
    tenant = {"TenantName": stream.tenant} if stream.tenant else {}
    return {"ConfigurationSetName": stream.configuration_set, **tenant}


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


def send_bulk_email_request(messages: Sequence[OutgoingMessage], stream: Stream) -> dict[str, Any]:
    """The parameters of SES v2 SendBulkEmail, for messages that `sending.grouping` put together.

    Source: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendBulkEmail.html
    """
    first = messages[0]
    template = {name: text for name, text in _WHOLE.items() if _parts(first).get(name.lower()) is not None}
    request: dict[str, Any] = {
        "FromEmailAddress": first.sender,
        "DefaultContent": {"Template": {"TemplateContent": template, "TemplateData": "{}"}},
        "BulkEmailEntries": [_entry(message) for message in messages],
        **_leaving_by(stream),
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


async def get_send_rate(client: "SESV2Client") -> float:
    """Recipients a second; 0 where the answer doesn't say. Raises ServiceUnavailable."""
    with service_errors("SES GetAccount"):
        account = await client.get_account()
    return account.get("SendQuota", {}).get("MaxSendRate", 0.0)
