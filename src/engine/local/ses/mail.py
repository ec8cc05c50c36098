"""The `mail` object that every SES event carries."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from engine.local.ses.message import Message, bare_address, domain_of

SOURCE_IP = "192.0.2.0"


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of the `mail` object. The defaults make a plausible mail for a test."""

    message_id: str = "0100017e4bccb684-777bc8de-afa7-4970-92b0-f515137b1497-000000"
    sent_at: datetime = datetime(2026, 1, 12, 1, 0, 14, 340_000, tzinfo=UTC)
    source: str = "Sender Name <sender@example.com>"
    to: tuple[str, ...] = ("recipient@example.com",)
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    subject: str | None = "Message sent from Amazon SES"
    headers: tuple[tuple[str, str], ...] = ()
    tags: Mapping[str, str] = {}
    configuration_set: str = "ConfigSet"
    operation: str = "SendEmail"
    account_id: str = "123456789012"
    region: str = "us-east-1"

    @classmethod
    def of(cls, message: Message, *, account_id: str = "123456789012", region: str = "us-east-1") -> "Mail":
        """The mail object of a message that the simulator accepted."""
        return cls(
            message_id=message.message_id,
            sent_at=message.accepted_at,
            source=message.sender,
            to=message.to,
            cc=message.cc,
            bcc=message.bcc,
            reply_to=message.reply_to,
            subject=message.subject,
            headers=message.headers,
            tags=message.tags,
            configuration_set=message.configuration_set or "",
            operation=message.operation,
            account_id=account_id,
            region=region,
        )


def timestamp(moment: datetime) -> str:
    """SES's form of a time: UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def mail_object(mail: Mail, more_tags: Mapping[str, list[str]]) -> dict[str, Any]:
    """The `mail` object as JSON-able data, with what SES adds to the caller's own tags."""
    return {
        "timestamp": timestamp(mail.sent_at),
        "source": mail.source,
        "sourceArn": f"arn:aws:ses:{mail.region}:{mail.account_id}:identity/{domain_of(mail.source)}",
        "sendingAccountId": mail.account_id,
        "messageId": mail.message_id,
        "destination": [bare_address(recipient) for recipient in (*mail.to, *mail.cc, *mail.bcc)],
        "headersTruncated": False,
        "headers": [{"name": name, "value": value} for name, value in _headers(mail)],
        "commonHeaders": _common_headers(mail),
        "tags": {
            "ses:operation": [mail.operation],
            "ses:configuration-set": [mail.configuration_set],
            "ses:source-ip": [SOURCE_IP],
            "ses:from-domain": [domain_of(mail.source)],
            "ses:caller-identity": ["ses_user"],
            **more_tags,
            **{name: [value] for name, value in mail.tags.items()},
        },
    }


def _headers(mail: Mail) -> list[tuple[str, str]]:
    listed = [("From", mail.source), ("Reply-To", ", ".join(mail.reply_to)), ("To", ", ".join(mail.to))]
    listed += [("Cc", ", ".join(mail.cc)), ("Subject", mail.subject or ""), ("MIME-Version", "1.0")]
    return [*((name, value) for name, value in listed if value), *mail.headers]


def _common_headers(mail: Mail) -> dict[str, Any]:
    common = {
        "from": [mail.source],
        "replyTo": list(mail.reply_to),
        "to": list(mail.to),
        "cc": list(mail.cc),
        "messageId": mail.message_id,
        "subject": mail.subject,
    }
    return {name: value for name, value in common.items() if value}
