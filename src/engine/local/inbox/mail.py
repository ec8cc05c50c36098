"""A list of mail and one email of it, whatever they come from: the simulator, or a stack's ledger."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from engine.local.ses import Message
from engine.operations.timeline import TONES, label_of
from engine.operations.verdict import Verdict


class MailRow(Struct, frozen=True, kw_only=True):
    """One line of the list. `key` names it in URLs. `subject`: None where the source does not know it.

    `email_id`: where it is not the key.
    """

    key: str
    at: datetime
    to: tuple[str, ...]
    sender: str
    subject: str | None
    template: str
    status: str
    reason: str
    attempt: int
    attachments: int
    campaign: str = ""
    email_id: str = ""

    @property
    def label(self) -> str:
        """The status as people write it."""
        return label_of(self.status)

    @property
    def tone(self) -> str:
        """The status's colour."""
        return TONES.get(self.status, "quiet")

    def matches(self, search: str) -> bool:
        """Whether every word of `search` occurs somewhere in this row."""
        texts = (*self.to, self.sender, self.subject or "", self.template, self.label, self.reason, self.key)
        row = " ".join((*texts, self.campaign, self.email_id)).lower()
        return all(word in row for word in search.lower().split())


class Entry(Struct, frozen=True, kw_only=True):
    """One entry of a timeline. `at`: None where no time is known. `raw` is the event's JSON.

    `who`: "SES", "Engine", "Application", "Operator" or "Recipient". `tone`: its colour.
    """

    at: datetime | None
    who: str
    title: str
    tone: str
    about: str = ""
    raw: str = ""


class Mail(Struct, frozen=True, kw_only=True):
    """One email in full. `message`: None if it was never sent, or where the source has none of it.

    `verdict`: what it means, where the source says so. `facts`: names and values, such as ids.
    """

    row: MailRow
    entries: Sequence[Entry]
    attempts: Sequence[MailRow]
    email_id: str
    message: Message | None = None
    verdict: Verdict | None = None
    facts: Sequence[tuple[str, str]] = ()


class MailQuery(Struct, frozen=True, kw_only=True):
    """What the list shows; everything that is given must hold. `day`: `YYYY-MM-DD`, UTC.

    `before`: for a further page, what `MailList.older` was on the one before it.
    """

    search: str = ""
    status: str = ""
    day: str = ""
    template: str = ""
    campaign: str = ""
    before: str = ""


class MailList(Struct, frozen=True, kw_only=True):
    """Rows, the newest first. `counts`: by status, None where nobody counts them.

    `older`: the next `before`, where there is more. `note`: what is not shown, or why there is nothing.
    """

    rows: Sequence[MailRow]
    counts: Mapping[str, int] | None
    older: str = ""
    note: str = ""


class MailSource(Protocol):
    """Where the pages' mail comes from. `looks_for`: what a search finds, in words."""

    looks_for: str

    async def find(self, query: MailQuery) -> MailList: ...

    async def mail(self, key: str) -> Mail | None:
        """One email by its row's key."""
        ...
