"""The one more try that a soft bounce earns."""

from msgspec.structs import asdict, replace

from engine.feedback.bounce_policy import Verdict, describe
from engine.feedback.reports import Report
from engine.schemas.request import EmailRequest
from engine.schemas.retry import BounceRecord, RetryEmailData, RetryMessage
from engine.schemas.rows import TrackingRow
from engine.schemas.status import Reason
from engine.schemas.times import iso


def retry_message(report: Report, row: TrackingRow, saved: EmailRequest) -> RetryMessage:
    """The saved request again, to the one who bounced: copies were delivered by the first attempt."""
    request = asdict(saved) | {"cc": [], "bcc": []}
    return RetryMessage(
        original_email_data=RetryEmailData(
            **request,
            original_email_id=row.original_email_id or row.email_id,
            original_source=row.original_source,
        ),
        retry_attempt=row.retry_attempt + 1,
        bounce_history=[BounceRecord(timestamp=iso(report.at), reason=describe(report))],
    )


def without_retry(verdict: Verdict) -> Verdict:
    """The saved request is gone: the email stays `soft_bounced`, and row and event say why."""
    message = "bounced softly, and the saved request is gone: publish it again if it still matters"
    reason = Reason(code="soft-bounce-not-retried", message=message)
    return replace(verdict, retry=False, reason=reason, notes={**verdict.notes, "failureReason": message})
