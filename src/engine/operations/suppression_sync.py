"""Many addresses at once: from a file, into one, and between our table and SES's account list."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from msgspec import Struct

from engine.concurrency import concurrently
from engine.operations.actions import ActRecord, telling
from engine.operations.ses_list import SesEntry
from engine.operations.suppression import SES_LIST_REASON, SuppressionBook, ses_reason
from engine.operations.suppression_file import BadRow
from engine.operations.suppression_table import TYPES, Entry, entry
from engine.operations.verdict import Verdict
from engine.requests.addresses import address_key, spellings

MOST_FOR_SES: Final = 100_000
"""Rows above which SES's list takes import jobs instead of a call for each address; and those of one job.

Source: https://docs.aws.amazon.com/ses/latest/dg/sending-email-suppression-list.html
"""

_AT_ONCE: Final = 25
_SES_AT_ONCE: Final = 2  # the SDK waits and tries again where SES takes no more
_SHOWN: Final = 20


class Imported(Struct, frozen=True, kw_only=True, rename="camel"):
    """`bad_rows`: the first of them. `ses`: how many were put on SES's list as well."""

    rows: int
    ses: int
    bad: int
    bad_rows: list[BadRow]


class Exported(Struct, frozen=True, kw_only=True, rename="camel"):
    rows: int
    file: str | None


class Differences(Struct, frozen=True, kw_only=True, rename="camel"):
    """Addresses that one list has and the other lacks; `pulled`: how many came into ours.

    Of `ours_only` there are bounces and complaints alone: SES's list knows no other.
    """

    ses_only: list[SesEntry]
    ours_only: list[Entry]
    pulled: int


async def import_entries(
    book: SuppressionBook,
    read: Iterator[Entry | BadRow],
    *,
    because: str,
    also_ses: bool,
    advance: Callable[[int], None] = lambda _seen: None,
) -> Imported:
    """Add every row that can be read. Run again, it changes nothing: what is there keeps its reason.

    `advance` hears how many rows were seen by now.
    """
    async with telling(book.stack, "suppression-import", because, book.clock) as record:
        return await _add(book, read, record, also_ses=also_ses, advance=advance)


async def _add(
    book: SuppressionBook,
    read: Iterator[Entry | BadRow],
    record: ActRecord,
    *,
    also_ses: bool = False,
    advance: Callable[[int], None] = lambda _seen: None,
) -> Imported:
    rows, ses, bad, shown = 0, 0, 0, list[BadRow]()
    while batch := list(islice(read, _AT_ONCE)):
        good = [each for each in batch if isinstance(each, Entry)]
        wrong = [each for each in batch if isinstance(each, BadRow)]
        if good:
            record.scope = f"up to {rows + len(good)} addresses"  # while it isn't known which are in
        await concurrently(book.table.add(each) for each in good)
        if also_ses:
            ses += await _put_on_ses(book, good)
        rows, bad = rows + len(good), bad + len(wrong)
        shown += wrong[: _SHOWN - len(shown)]
        advance(rows + bad)
    record.scope = f"{rows} addresses" if rows else None
    return Imported(rows=rows, ses=ses, bad=bad, bad_rows=shown)


async def _put_on_ses(book: SuppressionBook, entries: Iterable[Entry]) -> int:
    at_once = asyncio.Semaphore(_SES_AT_ONCE)

    async def put(each: Entry) -> None:
        async with at_once:
            await book.ses.put(each.address, ses_reason(each.type))

    return len(await concurrently(put(each) for each in entries if each.type != "unsubscribe"))


async def all_entries(book: SuppressionBook) -> AsyncIterator[list[Entry]]:
    """Pages of our whole list, by type and the newest first; rows without a date are left out."""
    for kind in TYPES:
        async for page in book.table.by_type(kind, page_size=100):
            yield [entry(row) for row in await book.table.read(row.email for row in page)]


async def compare(book: SuppressionBook) -> Differences:
    ses: dict[str, SesEntry] = {}
    missing: list[SesEntry] = []
    async for page in book.ses.pages():
        keys = {address_key(each.address): each for each in page}
        rows = await book.table.read(spelled for key in keys for spelled in spellings(key))
        stopped = {address_key(row.email) for row in rows if row.suppression_type != "unsubscribe"}
        missing += [each for key, each in keys.items() if key not in stopped]
        ses |= keys
    ours_only = [
        entry(row)
        for kind in ("bounce", "complaint")
        async for rows_page in book.table.by_type(kind)
        for row in rows_page
        if address_key(row.email) not in ses
    ]
    return Differences(ses_only=missing, ours_only=ours_only, pulled=0)


async def pull(book: SuppressionBook) -> Differences:
    """Take what only SES's list has into ours, with SES's date; nothing goes the other way."""
    found = await compare(book)
    by = await book.stack.operator()
    added = [
        Entry(
            address=address_key(each.address),
            type=each.reason.lower(),
            reason=SES_LIST_REASON,
            since=each.since,
            added_by=by,
        )
        for each in found.ses_only
    ]
    async with telling(book.stack, "suppression-pull", "", book.clock) as record:
        await _add(book, iter(added), record)
    return Differences(ses_only=[], ours_only=found.ours_only, pulled=len(added))


def imported_verdict(done: Imported) -> Verdict:
    told = f"{done.rows:,} addresses are suppressed"
    if done.ses:
        told += f", {done.ses:,} of them on SES's account list too"
    if done.bad:
        told += f"; {done.bad:,} rows could not be read and are left out"
    return Verdict(good=bool(done.rows) and not done.bad, sentence=f"{told}.")


def import_job(file: str) -> str:
    """How a list that is too long for single calls gets onto SES's: a job for each part of it."""
    destination = "SuppressionListDestination={SuppressionListImportAction=PUT}"
    return (
        f"split -l {MOST_FOR_SES} {file} part- && for part in part-*; do"
        " aws s3 cp $part s3://YOUR-BUCKET/$part && aws sesv2 create-import-job --import-destination"
        f" '{destination}' --import-data-source S3Url=s3://YOUR-BUCKET/$part,DataFormat=CSV; done"
    )


def differences_verdict(found: Differences, options: str) -> Verdict:
    if found.pulled:
        return Verdict(
            good=True,
            sentence=f"{found.pulled:,} addresses of SES's account list are in the engine's list now.",
        )
    ours = len(found.ours_only)
    harmless = (
        f" {ours:,} bounces and complaints are in the engine's list alone, which does no harm: mail to them"
        " never leaves."
        if ours
        else ""
    )
    if not found.ses_only:
        return Verdict(
            good=True, sentence=f"The engine's list has every address of SES's account list.{harmless}"
        )
    return Verdict(
        good=False,
        sentence=f"{len(found.ses_only):,} addresses are on SES's account list alone: mail to them is paid"
        f" for and bounces.{harmless}",
        next_command=f"sesmailengine suppression sync --pull{options}",
    )
