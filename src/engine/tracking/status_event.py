"""Status events: what is told about an email, from its row."""

import re
from typing import Final, cast

from engine.schemas.rows import TrackingRow
from engine.schemas.status import EmailStatusChanged, PublishedStatus, Reason
from engine.tracking.bounce_quota import ON_SES_LISTS
from engine.tracking.lifecycle import Status

# In a row of another hand, or of a request refused as it came, a name may be anything: an address as well,
# which no log may hold.
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


def status_event(
    row: TrackingRow,
    *,
    at: str,
    status: str | None = None,
    previous: Status | None = None,
    reason: Reason | None = None,
    ses_message_id: str | None = None,
) -> EmailStatusChanged:
    """The row's status as it is, or one that the email has reached; `at` in ISO 8601."""
    return EmailStatusChanged(
        email_id=row.email_id,
        original_email_id=row.original_email_id or row.email_id,
        to=row.to_email,
        template_name=row.template_name,
        campaign=row.campaign,
        status=cast("PublishedStatus", str(status or row.status)),
        previous_status=previous,
        reason=reason or reason_of(row),
        ses_message_id=ses_message_id or row.ses_message_id,
        original_source=row.original_source,
        retry_attempt=row.retry_attempt,
        timestamp=at,
        metadata=row.metadata,
        tags=row.tags,
    )


def reason_of(row: TrackingRow) -> Reason | None:
    """Why the row is where it is, as far as it says."""
    if row.status == Status.COMPLAINED:
        return Reason(code="complaint", message="the recipient marked the email as spam")
    if row.failure_code is not None and row.status == Status.FAILED:
        return Reason(code=row.failure_code, message=row.failure_reason or "")
    if row.status not in {Status.BOUNCED, Status.SOFT_BOUNCED}:
        return None
    hard = "ses-list" if row.bounce_sub_type in ON_SES_LISTS else "hard-bounce"
    code = hard if row.status == Status.BOUNCED else "soft-bounce"
    parts = (row.bounce_type, row.bounce_sub_type, row.diagnostic_code)
    return Reason(code=code, message=" ".join(part for part in parts if part) or "no details")


def log_labels(row: TrackingRow) -> dict[str, str]:
    """What log lines about an email name besides its id: lane, template and campaign."""
    names = {"lane": row.lane, "template": row.template_name, "campaign": row.campaign}
    return {label: name if name and _NAME.fullmatch(name) else "" for label, name in names.items()}


def reached_at(row: TrackingRow) -> str:
    """When the row reached its status."""
    reached: str | None = getattr(row, f"{row.status}_at", None)
    return reached or row.timestamp
