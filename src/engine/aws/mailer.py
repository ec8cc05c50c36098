"""SES: one call, one email, no second try.

SendEmail has no idempotency token, so a try after a lost answer may send twice. The client must be made with
`total_max_attempts: 1`; what a failure means is said in `aws.errors`.
"""

from typing import TYPE_CHECKING, Any

from engine.aws.errors import ses_error
from engine.domain.message import AttachedFile, OutgoingMessage

if TYPE_CHECKING:
    from types_aiobotocore_sesv2 import SESV2Client

_UTF8 = "UTF-8"


class SesMailer:
    """Implements `Mailer`."""

    def __init__(self, client: "SESV2Client", configuration_set: str) -> None:
        self._client = client
        self._configuration_set = configuration_set

    async def send(self, message: OutgoingMessage) -> str:
        request = send_email_request(message, self._configuration_set)
        try:
            answer = await self._client.send_email(**request)
            message_id = answer["MessageId"]  # a proxy's page may say 200 and hold none
        except Exception as error:
            # Whatever broke, it broke around a send: only the table of errors may say that nothing went out.
            raise ses_error(error) from error
        return message_id


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
        "EmailTags": [{"Name": name, "Value": value} for name, value in message.tags],
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
        content["Headers"] = [{"Name": name, "Value": value} for name, value in message.headers]
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
