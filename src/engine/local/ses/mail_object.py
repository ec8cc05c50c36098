"""The `mail` object that every SES event carries."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from engine.local.ses.message import Message, bare_address, domain_of

SOURCE_IP = "192.0.2.0"


class MailObject(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of the `mail` object. The defaults make a plausible one for a test."""

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
    def of(
        cls, message: Message, *, account_id: str = "123456789012", region: str = "us-east-1"
    ) -> "MailObject":
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

    def document(self, more_tags: Mapping[str, list[str]]) -> dict[str, Any]:
        """The object as JSON-able data; `more_tags` are what SES adds for one type of event."""
        headers = [
            ("From", self.source),
            ("Reply-To", ", ".join(self.reply_to)),
            ("To", ", ".join(self.to)),
            ("Cc", ", ".join(self.cc)),
            ("Subject", self.subject or ""),
            ("MIME-Version", "1.0"),
        ]
        given = [(name, value) for name, value in headers if value]
        common_headers = {
            "from": [self.source],
            "replyTo": list(self.reply_to),
            "to": list(self.to),
            "cc": list(self.cc),
            "messageId": self.message_id,
            "subject": self.subject,
        }
        return {
            "timestamp": timestamp(self.sent_at),
            "source": self.source,
            "sourceArn": f"arn:aws:ses:{self.region}:{self.account_id}:identity/{domain_of(self.source)}",
            "sendingAccountId": self.account_id,
            "messageId": self.message_id,
            "destination": [bare_address(recipient) for recipient in (*self.to, *self.cc, *self.bcc)],
            "headersTruncated": False,
            "headers": [{"name": name, "value": value} for name, value in (*given, *self.headers)],
            "commonHeaders": {name: value for name, value in common_headers.items() if value},
            "tags": {
                "ses:operation": [self.operation],
                "ses:configuration-set": [self.configuration_set],
                "ses:source-ip": [SOURCE_IP],
                "ses:from-domain": [domain_of(self.source)],
                "ses:caller-identity": ["ses_user"],
                **more_tags,
                **{name: [value] for name, value in self.tags.items()},
            },
        }


def timestamp(moment: datetime) -> str:
    """SES's form of a time: UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
