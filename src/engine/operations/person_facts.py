"""What is held about an address, as facts; and the receipt of what was forgotten."""

from typing import Any, Final

from msgspec import Struct

from engine.operations.scheduled import ScheduledEmail
from engine.operations.ses_list import SesEntry
from engine.operations.suppression_table import Entry
from engine.operations.verdict import Verdict
from engine.schemas.request import EmailRequest

NOT_SEARCHED: Final = (
    "work queues, parked mail and dead-letter queues: SQS deletes a message after 14 days at the latest",
    "emails in which the address is a copy (cc, bcc): rows are found by their recipient",
    "attachments that an application put into the template bucket",
)
STAYS: Final = (
    "point-in-time backups of the tables: 35 days",
    "status events that consumers of the bus, or its archives, have kept: theirs to forget",
    "SES's own records of the messages, and what is in mailboxes",
)


class HeldEmail(Struct, frozen=True, kw_only=True, rename="camel"):
    """A row, and the request as far as it is kept."""

    row: dict[str, Any]
    request: EmailRequest | None


class HeldData(Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything held about an address. `soft_bounces`: when emails bounced softly, by their ids."""

    address: str
    at: str
    emails: list[HeldEmail]
    suppression: list[Entry]
    ses: list[SesEntry]
    soft_bounces: dict[str, int]
    scheduled: list[ScheduledEmail]
    all_schedules_read: bool
    not_searched: tuple[str, ...] = NOT_SEARCHED

    @property
    def summary(self) -> "HeldSummary":
        return HeldSummary(
            emails=len(self.emails),
            requests=sum(each.request is not None for each in self.emails),
            suppression=len(self.suppression),
            ses=len(self.ses),
            soft_bounces=len(self.soft_bounces),
            scheduled=len(self.scheduled),
            all_schedules_read=self.all_schedules_read,
            not_searched=self.not_searched,
        )


class HeldSummary(Struct, frozen=True, kw_only=True, rename="camel"):
    """How much is held, without what it says."""

    emails: int
    requests: int
    suppression: int
    ses: int
    soft_bounces: int
    scheduled: int
    all_schedules_read: bool
    not_searched: tuple[str, ...]


class Receipt(Struct, frozen=True, kw_only=True, rename="camel"):
    """What was forgotten, by whom, and what stays until when. It names the address by a hash alone.

    `address_sha256`: of the address's key. `under_way`: emails whose last report may still come, and bring
    a diagnostic: forget again a day later. `opt_out`: the types of the suppression rows that were kept, or
    `dropped`.
    """

    address_sha256: str
    at: str
    by: str
    emails: int
    under_way: int
    requests: int
    soft_bounces: bool
    scheduled: int
    all_schedules_read: bool
    opt_out: list[str]
    dropped: bool
    not_searched: tuple[str, ...] = NOT_SEARCHED
    stays: tuple[str, ...] = STAYS


def held_verdict(held: HeldSummary, file: str | None, address: str, options: str) -> Verdict:
    if not (held.emails or held.suppression or held.ses or held.soft_bounces or held.scheduled):
        return Verdict(good=False, sentence="Nothing is held about this address, where it was searched.")
    told = f"{held.emails:,} emails, {held.requests:,} of them with their request"
    if file:
        return Verdict(good=True, sentence=f"{told}, and all else that is held are in {file}.")
    return Verdict(
        good=True,
        sentence=f"{told} are held.",
        next_command=f"sesmailengine person export {address} --to FILE.json{options}",
    )


def forgotten_verdict(done: Receipt, file: str) -> Verdict:
    if not (done.emails or done.requests or done.soft_bounces or done.scheduled or done.opt_out):
        sentence = (
            f"Nothing is held about this address: is it written as in the emails? The receipt is {file}."
        )
        return Verdict(good=False, sentence=sentence)
    deleted = f"{done.requests:,} requests and {done.scheduled:,} schedules deleted"
    told = f"{done.emails:,} rows are blank, {deleted}."
    if done.opt_out:
        kinds = ", ".join(done.opt_out)
        told += f" What stopped mail ({kinds}) {'is dropped' if done.dropped else 'stays, with the address'}."
    if done.under_way:
        told += f" {done.under_way:,} emails may still be reported on: forget again tomorrow."
    return Verdict(good=True, sentence=f"{told} The receipt is {file}.")
