"""Email Status Changed: what the engine publishes for every status that an email reaches."""

from typing import Literal

from msgspec import Struct

STATUS_EVENT_SOURCE = "sesmailengine"
STATUS_EVENT_DETAIL_TYPE = "Email Status Changed"
REQUEST_DETAIL_TYPE = "Email Request"

# Every value of the ledger but "sending", which is a lease and not news, and "dry_run", which has no row.
PublishedStatus = Literal[
    "sent", "soft_bounced", "delivered", "opened", "failed", "bounced", "complained", "dry_run"
]


class Reason(Struct, frozen=True, kw_only=True, rename="camel"):
    """Why: a stable code for programs, a sentence for people."""

    code: str
    message: str


class EmailStatusChanged(Struct, frozen=True, kw_only=True, rename="camel"):
    """The `detail` of the event; at least once for every status a row reaches.

    `original_email_id` groups an email with its retries: a first attempt names itself. A previous status
    equal to the status itself marks an event that is told again after a redelivery.
    """

    email_id: str
    original_email_id: str
    to: str
    template_name: str
    status: PublishedStatus
    previous_status: str | None
    reason: Reason | None
    ses_message_id: str | None
    original_source: str
    retry_attempt: int
    timestamp: str
    metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
