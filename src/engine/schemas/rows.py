"""Rows of the tables, field for attribute."""

from typing import Literal

from msgspec import Struct

SuppressionType = Literal["bounce", "complaint", "manual", "unsubscribe"]


class TrackingRow(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One attempt to send one email: a row of EmailTracking.

    Everything but the key has a default, because a row may come from an older version or another hand.
    `timestamp` is the time of the request; the other `…_at` are the times at which the row reached a status.
    `moves` holds "<status>:<fingerprint>" for each report that moved the row, so that a redelivery of a
    report (which must be published again) is known from a second report of its kind (which must not).
    """

    email_id: str
    to_email: str = ""
    status: str = "sending"
    status_rank: int = 0
    timestamp: str = ""
    date_partition: str = ""
    retry_attempt: int = 0
    original_email_id: str = ""
    original_source: str = ""
    template_name: str = ""
    template_version: str | None = None
    campaign: str | None = None
    topic: str | None = None
    lane: str | None = None
    idempotency_key: str | None = None
    ses_message_id: str | None = None
    failure_code: str | None = None
    failure_reason: str | None = None
    ttl: int | None = None
    # The claim: which invocation holds (or held) the row, until when (epoch seconds), and for which request.
    claim_id: str | None = None
    lease_until: float | None = None
    request_hash: str | None = None
    # The request itself, for a soft-bounce retry, where there is room (`tracking.kept_request`).
    kept_request: bytes | None = None
    # Repeated in every status event.
    metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    # How many addresses the email went to, and when and by which report the row moved.
    recipients: int = 1
    moves: frozenset[str] = frozenset()
    sent_at: str | None = None
    delivered_at: str | None = None
    opened_at: str | None = None
    clicked_at: str | None = None
    soft_bounced_at: str | None = None
    failed_at: str | None = None
    bounced_at: str | None = None
    complained_at: str | None = None
    # What else SES reported; the first report of a kind stays.
    bounce_type: str | None = None
    bounce_sub_type: str | None = None
    diagnostic_code: str | None = None
    delay_type: str | None = None
    delay_expires_at: str | None = None
    not_spam_at: str | None = None
    subscription_changed_at: str | None = None


class SuppressionRow(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An address that must get no more mail; `email` is its address key, or that of an opt-out.

    And why: the email it came of, what the receiving server said, and who added it.
    """

    email: str
    suppression_type: str = "manual"
    reason: str = ""
    added_to_suppression_date: str = ""
    email_id: str | None = None
    diagnostic_code: str | None = None
    added_by: str | None = None


class BrakeRow(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A brake: an item of State that stops mail, or cancels a campaign, as long as it is there.

    `pk` says what it is about (`tracking.brakes`); the rest why, who set it, and since when (ISO 8601).
    """

    pk: str
    because: str = ""
    by: str = ""
    since: str = ""
