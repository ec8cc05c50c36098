"""The requests and answers of SendEmail, SendBulkEmail and GetAccount, as botocore's sesv2 model has them.

Unknown members are ignored, as AWS does. Blobs are base64 in JSON, which msgspec decodes by itself.
"""

from typing import Literal

import msgspec


class _Shape(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    pass


class Content(_Shape, frozen=True, kw_only=True):
    """Text and its character set; without one SES carries 7-bit ASCII only."""

    data: str
    charset: str | None = None


class Body(_Shape, frozen=True, kw_only=True):
    """The two alternatives of a body."""

    text: Content | None = None
    html: Content | None = None


class Header(_Shape, frozen=True, kw_only=True):
    """A custom header."""

    name: str
    value: str


class Tag(_Shape, frozen=True, kw_only=True):
    """A message tag."""

    name: str
    value: str


class AttachmentPart(_Shape, frozen=True, kw_only=True):
    """A file beside the body."""

    raw_content: bytes
    file_name: str
    content_disposition: Literal["ATTACHMENT", "INLINE"] = "ATTACHMENT"
    content_id: str | None = None
    content_type: str | None = None


class SimpleContent(_Shape, frozen=True, kw_only=True):
    """A message that SES assembles."""

    subject: Content
    body: Body
    headers: tuple[Header, ...] = ()
    attachments: tuple[AttachmentPart, ...] = ()


class RawContent(_Shape, frozen=True, kw_only=True):
    """A message that the caller assembled."""

    data: bytes


class TemplateContent(_Shape, frozen=True, kw_only=True):
    """An inline template, with `{{name}}` placeholders."""

    subject: str = ""
    text: str | None = None
    html: str | None = None


class TemplateWithData(_Shape, frozen=True, kw_only=True):
    """SES's `Template`: a template and the data for it, which is JSON text."""

    template_name: str | None = None
    template_arn: str | None = None
    template_content: TemplateContent | None = None
    template_data: str | None = None
    headers: tuple[Header, ...] = ()
    attachments: tuple[AttachmentPart, ...] = ()


class EmailContent(_Shape, frozen=True, kw_only=True):
    """Exactly one of three forms."""

    simple: SimpleContent | None = None
    raw: RawContent | None = None
    template: TemplateWithData | None = None


class Destination(_Shape, frozen=True, kw_only=True):
    """Who the message goes to."""

    to_addresses: tuple[str, ...] = ()
    cc_addresses: tuple[str, ...] = ()
    bcc_addresses: tuple[str, ...] = ()


class SendEmailRequest(_Shape, frozen=True, kw_only=True):
    """POST /v2/email/outbound-emails."""

    content: EmailContent
    from_email_address: str | None = None
    destination: Destination = Destination()
    reply_to_addresses: tuple[str, ...] = ()
    email_tags: tuple[Tag, ...] = ()
    configuration_set_name: str | None = None


class BulkContent(_Shape, frozen=True, kw_only=True):
    """What all entries of a bulk request share."""

    template: TemplateWithData


class ReplacementTemplate(_Shape, frozen=True, kw_only=True):
    """One entry's own template data, as JSON text."""

    replacement_template_data: str | None = None


class ReplacementContent(_Shape, frozen=True, kw_only=True):
    """One entry's own content."""

    replacement_template: ReplacementTemplate = ReplacementTemplate()


class BulkEntry(_Shape, frozen=True, kw_only=True):
    """One message of a bulk request."""

    destination: Destination
    replacement_tags: tuple[Tag, ...] = ()
    replacement_email_content: ReplacementContent = ReplacementContent()
    replacement_headers: tuple[Header, ...] = ()


class SendBulkEmailRequest(_Shape, frozen=True, kw_only=True):
    """POST /v2/email/outbound-bulk-emails."""

    default_content: BulkContent
    bulk_email_entries: tuple[BulkEntry, ...]
    from_email_address: str | None = None
    reply_to_addresses: tuple[str, ...] = ()
    default_email_tags: tuple[Tag, ...] = ()
    configuration_set_name: str | None = None


class SendEmailResponse(_Shape, frozen=True, kw_only=True):
    """The id of the accepted message."""

    message_id: str


class BulkEntryResult(_Shape, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one entry: SUCCESS with an id, or a status with an error."""

    status: str
    error: str | None = None
    message_id: str | None = None


class SendBulkEmailResponse(_Shape, frozen=True, kw_only=True):
    """One result per entry, in the entries' order."""

    bulk_email_entry_results: tuple[BulkEntryResult, ...]


class SendQuota(_Shape, frozen=True, kw_only=True):
    """Recipients in 24 hours, recipients per second, recipients so far."""

    max24_hour_send: float = msgspec.field(name="Max24HourSend")
    max_send_rate: float
    sent_last24_hours: float = msgspec.field(name="SentLast24Hours")


class SuppressionAttributes(_Shape, frozen=True, kw_only=True):
    """For which reasons addresses come onto the account suppression list."""

    suppressed_reasons: tuple[str, ...] = ()


class GetAccountResponse(_Shape, frozen=True, kw_only=True):
    """GET /v2/email/account."""

    send_quota: SendQuota
    sending_enabled: bool
    enforcement_status: str = "HEALTHY"
    production_access_enabled: bool = True
    dedicated_ip_auto_warmup_enabled: bool = False
    suppression_attributes: SuppressionAttributes = SuppressionAttributes()
