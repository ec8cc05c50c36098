"""What became of a campaign's emails: counted by status, one entry for each email, a verdict.

No index goes by campaign. Its emails are found by the days on which they were asked for, or by their ids,
which follow from source and idempotency key.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from msgspec import Struct

from engine.operations.ledger_reader import LedgerReader
from engine.requests.addresses import address_key
from engine.requests.email_job import retry_id
from engine.schemas.rows import TrackingRow

UNSEEN: Final = "unseen"
"""Of an email that was asked for, and of which the ledger knows nothing."""

WAITING: Final = "waiting"
ARRIVED: Final = frozenset({"delivered", "opened", "complained"})
LEFT: Final = ARRIVED | {"sent", "soft_bounced", "bounced"}
"""Statuses of an email that SES took."""

_PAGE: Final = 1_000  # rows read at a time, in ten calls at once


class Wanted(Struct, frozen=True):
    """An email that a file asks for."""

    line: int
    to: str
    email_id: str
    recipients: int = 1

    @property
    def key(self) -> str:
        return address_key(self.to)


class Entry(Struct, frozen=True, kw_only=True):
    """An email and how it stands, its retry counted in. `code` and `reason` say why, where it failed."""

    to: str
    email_id: str
    status: str
    code: str = ""
    reason: str = ""
    asked_at: str = ""
    line: int | None = None


class Counts(Struct, frozen=True, kw_only=True, rename="camel"):
    """Emails by status, those that failed or bounced also by code. Rates are in percent of what SES took."""

    emails: int
    by_status: dict[str, int]
    by_code: dict[str, int]

    def of(self, *statuses: str) -> int:
        return sum(self.by_status.get(status, 0) for status in statuses)

    @property
    def left(self) -> int:
        return self.of(*LEFT)

    @property
    def bounce_rate(self) -> float:
        return 100 * self.of("bounced") / self.left if self.left else 0.0

    @property
    def complaint_rate(self) -> float:
        return 100 * self.of("complained") / self.left if self.left else 0.0


class Counting:
    """Counts entries as they come."""

    def __init__(self) -> None:
        self._statuses: Counter[str] = Counter()
        self._codes: Counter[str] = Counter()

    def add(self, entry: Entry) -> None:
        self._statuses[entry.status] += 1
        if entry.code:
            self._codes[f"{entry.status} {entry.code}"] += 1

    @property
    def counts(self) -> Counts:
        return Counts(
            emails=self._statuses.total(),
            by_status=dict(self._statuses.most_common()),
            by_code=dict(self._codes.most_common()),
        )


def entry_of(row: TrackingRow, line: int | None = None) -> Entry:
    """An email as its row tells of it."""
    is_soft, is_hard = row.status == "soft_bounced", row.status == "bounced"
    return Entry(
        to=row.to_email,
        email_id=row.original_email_id or row.email_id,
        status=WAITING if row.status == "sending" else row.status,
        code=row.failure_code or (row.bounce_sub_type if is_soft or is_hard else "") or "",
        reason=row.failure_reason or (row.diagnostic_code if is_soft or is_hard else "") or "",
        asked_at=row.timestamp,
        line=line,
    )


async def by_days(
    ledger: LedgerReader,
    campaign: str,
    since: datetime,
    now: datetime,
    *,
    template: str | None = None,
    on_rows: Callable[[int], None] = lambda _: None,
) -> AsyncIterator[Entry]:
    """The campaign's emails that were asked for since then. Reads the days' rows, of others too.

    `template` reads those of that template alone. `on_rows` gets how many rows were read so far. May raise
    ServiceUnavailable.
    """
    rows_read = 0
    soft: dict[str, TrackingRow] = {}
    retries: dict[str, TrackingRow] = {}
    for day in _days(since, now):
        async for page in ledger.by_day(day, since=since, page=_PAGE, template=template):
            rows_read += len(page)
            on_rows(rows_read)
            for row in page:
                if row.campaign != campaign:
                    continue
                if row.retry_attempt:
                    retries[row.original_email_id] = row
                elif row.status == "soft_bounced":
                    soft[row.email_id] = row
                else:
                    yield entry_of(row)
    for email_id, row in soft.items():
        yield entry_of(retries.get(email_id, row))


def _days(since: datetime, now: datetime) -> Iterator[str]:
    """The days from `now` back to `since`, as the index names them."""
    day = now.date()
    while day >= since.date():
        yield day.isoformat()
        day -= timedelta(days=1)


async def by_file(
    ledger: LedgerReader, wanted: Iterable[Wanted], *, on_rows: Callable[[int], None] = lambda _: None
) -> AsyncIterator[Entry]:
    """How each email that a file asks for stands, in the file's order. May raise ServiceUnavailable."""
    emails, done = iter(wanted), 0
    while part := list(islice(emails, _PAGE)):
        rows = await ledger.read(each.email_id for each in part)
        retries = await ledger.read(
            retry_id(row.email_id, 1) for row in rows.values() if row.status == "soft_bounced"
        )
        by_original = {row.original_email_id: row for row in retries.values()}
        for each in part:
            row = by_original.get(each.email_id) or rows.get(each.email_id)
            unseen = Entry(to=each.to, email_id=each.email_id, status=UNSEEN, line=each.line)
            yield entry_of(row, each.line) if row else unseen
        done += len(part)
        on_rows(done)
