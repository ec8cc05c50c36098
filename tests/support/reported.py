"""An email that was sent, and what SES reports of it, for tests of the feedback pipeline on fakes."""

from datetime import datetime
from typing import Any

from msgspec.structs import replace
from tests.support.fakes import FakeAws
from tests.support.harness import feedback_pipeline
from tests.support.ses_examples import EMAIL_ID, MESSAGE_ID, Event, text

from engine.schemas.request import EmailRequest
from engine.schemas.rows import TrackingRow

TO = "recipient@example.com"
DSN = {"status": "4.2.2", "action": "failed", "diagnostic": "smtp; 452 4.2.2 mailbox full"}
REQUEST = EmailRequest(to=TO, template_name="welcome", template_data={"userName": "Ann"}, cc=["c@x.org"])
SENT = TrackingRow(
    email_id=EMAIL_ID,
    to_email=TO,
    status="sent",
    status_rank=1,
    timestamp="2026-03-02T09:40:01.000Z",
    original_email_id=EMAIL_ID,
    original_source="com.example.shop",
    template_name="welcome",
    campaign="spring",
    lane="bulk",
    ses_message_id=MESSAGE_ID,
    sent_at="2026-03-02T09:40:02.000Z",
    metadata={"order": "42"},
    tags={"kind": "news"},
)
COPIED = replace(SENT, recipients=2)
TWO: dict[str, Any] = {"mail_destination": [TO, "c@x.org"]}
FOREIGN: dict[str, Any] = {"mail_tags": {}, "mail_messageId": "of-another-system"}


def world_with(*rows: TrackingRow) -> FakeAws:
    fake_aws = FakeAws()
    fake_aws.ledger.put(*rows)
    for row in rows:
        if row.status == "soft_bounced":
            fake_aws.soft_bounces.bounced[row.to_email][row.email_id] = datetime.fromisoformat(row.timestamp)
    fake_aws.payloads.saved[EMAIL_ID] = REQUEST
    return fake_aws


async def after(*events: Event, row: TrackingRow = SENT) -> FakeAws:
    fake_aws = world_with(row)
    await feedback_pipeline(fake_aws).process([text(one) for one in events])
    return fake_aws


def the_row(fake_aws: FakeAws) -> TrackingRow:
    return fake_aws.ledger.rows[EMAIL_ID]


def earlier_bounces(count: int, **changes: Any) -> list[TrackingRow]:
    soft = replace(SENT, status="soft_bounced", status_rank=2, **changes)
    return [replace(soft, email_id=f"earlier-{number}") for number in range(count)]
