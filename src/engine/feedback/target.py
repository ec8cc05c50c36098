"""How a report bears on a tracking row: whom it is about, and what the row had reached before it."""

from engine.feedback.reports import Report
from engine.schemas.rows import TrackingRow
from engine.tracking.lifecycle import Status


def is_primary(report: Report, row: TrackingRow) -> bool:
    """Whether the report is about the row's recipient (or the email as a whole), not about a copy.

    A report about an email to one address alone can be about no other, even where a DSN names the mailbox
    that the address forwards to.
    """
    alone = row.recipients == 1 and report.destinations == 1
    return alone or report.recipient is None or report.recipient == row.to_email.lower()


def affected_address(report: Report, row: TrackingRow | None) -> str:
    """Whom to suppress: the one that SES names, or, where that is no address, the only one there was."""
    named = report.recipient or ""
    if "@" in named or row is None or not is_primary(report, row):
        return named
    return row.to_email.lower()


def had_arrived(report: Report, row: TrackingRow) -> bool:
    """Whether the email was delivered before this report came for the first time."""
    if f"{Status.SOFT_BOUNCED}:{report.fingerprint}" in row.moves:
        return False
    reached = row.status in {Status.DELIVERED, Status.OPENED}
    return reached or row.delivered_at is not None or row.opened_at is not None


def proven_status(report: Report, row: TrackingRow) -> Status | None:
    """Whatever SES reports about a message, it has taken it: that settles a send whose answer was lost."""
    move = f"{Status.SENT}:{report.fingerprint}"
    return Status.SENT if row.status == Status.SENDING or move in row.moves else None
