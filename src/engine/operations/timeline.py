"""The timeline of an email: what happened to it, oldest first, as far as the ledger knows."""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from engine.operations.emails import duration
from engine.operations.suppression_table import entry
from engine.schemas.rows import SuppressionRow, TrackingRow
from engine.schemas.times import parse_iso
from engine.tracking.consent import EVERY_TOPIC, UNSUBSCRIBE
from engine.tracking.lifecycle import Status

TONES: Final = {
    "sending": "quiet",
    "sent": "sent",
    "soft_bounced": "warn",
    "delivered": "good",
    "opened": "best",
    "failed": "bad",
    "bounced": "bad",
    "complained": "bad",
    "dry_run": "quiet",
}
"""The colour of each status."""

LABELS: Final = {"soft_bounced": "soft bounced", "dry_run": "dry run"}
"""Labels of the statuses that are written with an underscore."""

_WORTH_TELLING: Final = 60  # seconds that an email waited before it was sent


def label_of(status: str) -> str:
    """A status as people write it."""
    return LABELS.get(status, status)


class Moment(Struct, frozen=True, kw_only=True, rename="camel"):
    """One entry. `at`: ISO 8601; None for what the ledger has no time of, which stands where it belongs.

    `who`: "Application", "Engine", "SES", "Operator" or "Recipient". `tone`: its colour, as in `TONES`.
    """

    at: str | None
    who: str
    title: str
    tone: str
    about: str = ""


def timeline(attempts: Iterable[TrackingRow], suppressed: Iterable[SuppressionRow]) -> list[Moment]:
    """Everything known about an email and its retry, oldest first."""
    moments = [moment for row in attempts for moment in _in_order(_of_attempt(row))]
    return _in_order([*moments, *map(_of_suppression, suppressed)])


def _in_order(moments: Iterable[Moment]) -> list[Moment]:
    """By time; what has none stays behind what it follows."""
    dated: list[tuple[str, Moment]] = []
    for moment in moments:
        dated.append((moment.at or (dated[-1][0] if dated else ""), moment))
    return [moment for _, moment in sorted(dated, key=lambda pair: pair[0])]


def _of_attempt(row: TrackingRow) -> Iterator[Moment]:
    yield _asked(row)
    if row.status == Status.SENDING:
        yield _claimed(row)
    if row.sent_at:
        yield _sent(row)
    if row.delay_type:
        until = f"; SES tries until {row.delay_expires_at}" if row.delay_expires_at else ""
        yield Moment(at=None, who="SES", title="Delayed", tone="warn", about=f"{row.delay_type}{until}")
    yield from _of_reports(row)
    if row.bounce_type and not (row.soft_bounced_at or row.bounced_at or row.failed_at):
        yield Moment(at=None, who="SES", title="Bounced after delivery", tone="warn", about=bounce(row))
    if row.failed_at:
        about = f"{row.failure_code}: {row.failure_reason}"
        yield Moment(at=row.failed_at, who="Engine", title="Failed", tone="bad", about=about)
    reached = [label_of(status.value) for status in Status if getattr(row, f"{status.value}_at", None)]
    if reached:
        about = f"the bus got Email Status Changed: {', '.join(reached)}"
        yield Moment(at=None, who="Engine", title="Told", tone="quiet", about=about)


def _of_reports(row: TrackingRow) -> Iterator[Moment]:
    reports = (
        (row.soft_bounced_at, "Soft bounced", "warn", bounce(row)),
        (row.delivered_at, "Delivered", "good", ""),
        (row.opened_at, "Opened", "best", ""),
        (row.clicked_at, "Clicked", "best", ""),
        (row.bounced_at, "Bounced", "bad", bounce(row)),
        (row.complained_at, "Complained", "bad", "the recipient marked the email as spam"),
        (row.not_spam_at, "Marked as no spam", "quiet", ""),
        (row.subscription_changed_at, "Preference changed", "quiet", "in a contact list of SES"),
    )
    for at, title, tone, about in reports:
        if at:
            yield Moment(at=at, who="SES", title=title, tone=tone, about=about)


def bounce(row: TrackingRow) -> str:
    """What SES reported of a bounce, such as `Transient MailboxFull smtp; 552 5.2.2 over quota`."""
    parts = (row.bounce_type, row.bounce_sub_type, row.diagnostic_code)
    return " ".join(part for part in parts if part) or "no details"


def _asked(row: TrackingRow) -> Moment:
    what = [row.template_name or "no template"]
    if row.template_version:
        what.append(f"version {row.template_version}")
    if row.campaign:
        what.append(f"campaign {row.campaign}")
    if row.lane:
        what.append(f"{row.lane} lane")
    if row.retry_attempt:
        title, about = f"Attempt {row.retry_attempt + 1}", f"the engine's own, as {row.email_id}"
        return Moment(at=row.timestamp, who="Engine", title=title, tone="quiet", about=about)
    key = f", key {row.idempotency_key}" if row.idempotency_key else ""
    about = f"{row.original_source or 'somebody'}{key}: {', '.join(what)}"
    return Moment(at=row.timestamp, who="Application", title="Asked", tone="quiet", about=about)


def _claimed(row: TrackingRow) -> Moment:
    if row.lease_until is None:
        about = "not sent yet; its message waits for another try, or under a brake"
        return Moment(at=None, who="Engine", title="Deferred", tone="warn", about=about)
    return Moment(at=None, who="Engine", title="Claimed", tone="quiet", about="to be sent")


def _sent(row: TrackingRow) -> Moment:
    asked, sent = parse_iso(row.timestamp), parse_iso(row.sent_at or "")
    waited = (sent - asked).total_seconds() if asked and sent else 0
    about = f"as {row.ses_message_id}" if row.ses_message_id else ""
    if waited >= _WORTH_TELLING:
        about += f"; it had waited {duration(waited)}"
    return Moment(at=row.sent_at, who="SES", title="Accepted", tone="sent", about=about.removeprefix("; "))


def _of_suppression(row: SuppressionRow) -> Moment:
    if row.suppression_type == UNSUBSCRIBE:
        return _of_opt_out(row)
    origin = f", after email {row.email_id}" if row.email_id else ""
    by_hand = row.added_by not in {None, "feedback"}
    return Moment(
        at=row.added_to_suppression_date or None,
        who="Operator" if by_hand else "Engine",
        title="Suppressed",
        tone="bad",
        about=f"{row.email}: {row.reason or row.suppression_type}{origin}",
    )


def _of_opt_out(row: SuppressionRow) -> Moment:
    """Of the recipient's own doing, or of an operator's for them."""
    topic = entry(row).topic
    return Moment(
        at=row.added_to_suppression_date or None,
        who="Recipient" if row.added_by in {None, "recipient"} else "Operator",
        title="Unsubscribed",
        tone="warn",
        about=f"from {'every topic' if topic == EVERY_TOPIC else topic}",
    )
