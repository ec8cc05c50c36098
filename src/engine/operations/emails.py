"""Find emails in the ledger, and say where each is now."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from engine.operations.ledger_reader import LedgerReader, Place
from engine.requests.email_job import email_id, retry_id
from engine.schemas.rows import TrackingRow
from engine.schemas.times import iso, parse_iso
from engine.tracking.lifecycle import Status
from engine.tracking.status_event import reason_of

MOST_LOOKED_AT: Final = 5_000
"""Rows that one search reads at most: what is rare among more of them needs a narrower question."""

_DEFAULT_SINCE: Final = timedelta(days=1)


class EmailQuery(Struct, frozen=True, kw_only=True):
    """What to find. Everything that is given must hold; `key` is a source and its idempotency key.

    Without an address, a key or an id it looks at the days since `since`, or one day back from `until`, which
    is left out itself. `after`: of what is listed by address or day, only what comes after this email.
    """

    address: str | None = None
    email_id: str | None = None
    key: tuple[str, str] | None = None
    ses_id: str | None = None
    template: str | None = None
    campaign: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: Place | None = None
    limit: int = 20

    def matches(self, row: TrackingRow) -> bool:
        asked = parse_iso(row.timestamp)
        return (
            self.template in {None, row.template_name}
            and self.campaign in {None, row.campaign}
            and self.status in {None, row.status}
            and not (self.since and asked and asked < self.since)
            and not (self.until and asked and asked >= self.until)
        )


class FoundEmail(Struct, frozen=True, kw_only=True, rename="camel"):
    """An email as a listing shows it. `attempt` counts from 1; `now` says where the email is."""

    email_id: str
    at: str
    to: str
    template_name: str
    campaign: str | None
    source: str
    status: str
    attempt: int
    code: str | None
    reason: str | None
    now: str
    ses_message_id: str | None


class FoundEmails(Struct, frozen=True, kw_only=True, rename="camel"):
    """The newest first. `looked_at`: rows that were read. `whole`: nothing that matches was left out."""

    emails: list[FoundEmail]
    looked_at: int
    whole: bool


def is_email_id(text: str) -> bool:
    """Whether an email may have it: every id is a UUID."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


async def find_emails(ledger: LedgerReader, query: EmailQuery, now: datetime) -> FoundEmails:
    """Raises ServiceUnavailable."""
    found: list[TrackingRow] = []
    looked_at, whole = 0, True
    async for page in _candidates(ledger, query, now):
        looked_at += len(page)
        found += [row for row in page if query.matches(row)]
        if query.address and query.since and page and page[-1].timestamp < iso(query.since):
            break
        if len(found) >= query.limit or looked_at >= MOST_LOOKED_AT:
            whole = False
            break
    rows = sorted(found, key=lambda row: row.timestamp, reverse=True)
    whole = whole and len(rows) <= query.limit
    return FoundEmails(
        emails=[describe_row(row, now) for row in rows[: query.limit]], looked_at=looked_at, whole=whole
    )


async def _candidates(
    ledger: LedgerReader, query: EmailQuery, now: datetime
) -> AsyncIterator[list[TrackingRow]]:
    """Pages of rows, by the narrowest index that the query allows."""
    if query.email_id:
        yield list((await ledger.read([query.email_id])).values())
    elif query.key:
        own_id = email_id(*query.key)
        yield list((await ledger.read([own_id, retry_id(own_id, 1)])).values())
    elif query.ses_id:
        yield await ledger.by_ses_id(query.ses_id)
    elif query.address:
        async for page in ledger.by_address(query.address, until=query.until, after=query.after):
            yield page
    else:
        after = query.after
        newest = (parse_iso(after.timestamp) if after else None) or query.until or now
        since = query.since or newest - _DEFAULT_SINCE
        if newest < since:  # no start within the bounds of the question, which DynamoDB refuses
            return
        for days_ago in range((newest.date() - since.date()).days + 1):
            day = (newest - timedelta(days=days_ago)).date().isoformat()
            async for page in ledger.by_day(day, since=since, until=query.until, after=after):
                yield page
            after = None  # in its own day alone


def describe_row(row: TrackingRow, now: datetime) -> FoundEmail:
    reason = reason_of(row)
    return FoundEmail(
        email_id=row.email_id,
        at=row.timestamp,
        to=row.to_email,
        template_name=row.template_name,
        campaign=row.campaign,
        source=row.original_source,
        status=row.status,
        attempt=row.retry_attempt + 1,
        code=reason.code if reason else None,
        reason=reason.message if reason else None,
        now=where(row, now),
        ses_message_id=row.ses_message_id,
    )


def where(row: TrackingRow, now: datetime) -> str:
    """Where an email is now, in a few words."""
    reason = reason_of(row)
    match row.status:
        case Status.SENDING if row.lease_until is None:
            return "deferred or parked"
        case Status.SENDING:
            left = (row.lease_until or 0) - now.timestamp()
            held = f"for {duration(left)} more" if left > 0 else f"ran out {duration(-left)} ago"
            return (
                f"being sent: its claim holds {held}"
                if left > 0
                else f"deferred or unknown: its claim {held}"
            )
        case Status.SENT:
            return (
                f"with the receiving server, which SES tries: {row.delay_type}"
                if row.delay_type
                else "with SES"
            )
        case Status.DELIVERED if row.bounce_type:
            return f"delivered, then {row.bounce_type} {row.bounce_sub_type or ''}".rstrip()
    return reason.code if reason else row.status.replace("_", " ")


def duration(seconds: float) -> str:
    """Such as `12 s`, `3 min`, `5 h`, `2 days`: whole numbers of the largest unit that gives at least two."""
    for unit, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds // unit:.0f} {name}"
    return f"{max(seconds, 0):.0f} s"
