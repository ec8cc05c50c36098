"""Whom a report is about, and what the email had reached before it."""

from typing import Literal

from msgspec import Struct

from engine.feedback.reports import Report
from engine.requests.addresses import LONGEST_ADDRESS, address_key
from engine.schemas.rows import TrackingRow
from engine.tracking.lifecycle import Status

# The row's own recipient (or the email as a whole); a cc or bcc recipient; or a mailbox that is neither, such
# as the one that an address forwards to.
Role = Literal["recipient", "copy", "forward"]


class FeedbackTarget(Struct, frozen=True):
    """`addresses`: the keys that are suppressed and counted, first the one that the email was sent to."""

    role: Role
    addresses: tuple[str, ...]


def feedback_target(report: Report, row: TrackingRow | None) -> FeedbackTarget:
    """An email to one address alone can be about no other, whatever mailbox behind a forward a DSN names."""
    only = report.destinations[0] if len(report.destinations) == 1 else ""
    sent_to = address_key(row.to_email) if row else only
    alone = bool(only) if report.destinations else row is not None and row.recipients == 1
    named = report.recipient
    role: Role = "copy" if named in report.destinations else "forward"
    if alone or named is None or named == sent_to:
        role = "recipient"
    addresses = (sent_to, named or "") if role == "recipient" else (named or "",)
    usable = (address for address in addresses if "@" in address and len(address) <= LONGEST_ADDRESS)
    return FeedbackTarget(role, tuple(dict.fromkeys(usable)))


def had_arrived(report: Report, row: TrackingRow) -> bool:
    """Whether the email was delivered before this report came for the first time."""
    moved = {f"{status}:{report.fingerprint}" for status in (Status.SOFT_BOUNCED, Status.FAILED)}
    if moved & row.moves:
        return False
    reached = row.status in {Status.DELIVERED, Status.OPENED}
    return reached or row.delivered_at is not None or row.opened_at is not None


def proven_status(report: Report, row: TrackingRow) -> Status | None:
    """Whatever SES reports about a message, it has taken it: that settles a send whose answer was lost."""
    move = f"{Status.SENT}:{report.fingerprint}"
    return Status.SENT if row.status == Status.SENDING or move in row.moves else None
