"""The inbox: messages that SES accepted, emails that the engine refused, and what became of them."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec

from engine.local.inbox.timeline import TONES, Entry, label_of, moment, status_by, timeline
from engine.local.ses import Message, SimulatedEvent, Simulator
from engine.schemas.status import EmailStatusChanged

EMAIL_ID_TAG = "emailId"
"""The message tag by which the engine's events find their message."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list. `key` names it in URLs: the message id, or the email id if unsent."""

    key: str
    at: datetime
    to: tuple[str, ...]
    sender: str
    subject: str
    template: str
    status: str
    reason: str
    attempt: int
    attachments: int

    @property
    def label(self) -> str:
        """The status as people write it."""
        return label_of(self.status)

    @property
    def tone(self) -> str:
        """The status's colour."""
        return TONES[self.status]

    def has(self, text: str) -> bool:
        """Whether a search for `text` finds this row; every word must occur somewhere."""
        haystack = " ".join(
            (*self.to, self.sender, self.subject, self.template, self.label, self.reason, self.key)
        )
        return all(word in haystack.lower() for word in text.lower().split())


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """One email in full. `message` is None when the engine never sent it."""

    row: Row
    message: Message | None
    entries: list[Entry]
    attempts: list[Row]
    email_id: str


class Inbox:
    """Listens to a simulator, and to the engine's "Email Status Changed" events by `record_status`.

    Keeps the newest `keep` emails.
    """

    def __init__(self, simulator: Simulator, *, keep: int = 5_000) -> None:
        self.simulator = simulator
        self._keep = keep
        self._messages: dict[str, Message] = {}
        self._events: dict[str, list[SimulatedEvent]] = {}
        self._statuses: dict[str, list[EmailStatusChanged]] = {}
        self._sent_as: dict[str, list[str]] = {}
        self._watchers: set[asyncio.Event] = set()
        simulator.listen(self._hear)

    def record_status(self, detail: Mapping[str, Any]) -> None:
        """Take in the detail of an "Email Status Changed" event. Raises ValidationError for another."""
        change = msgspec.convert(detail, EmailStatusChanged)
        self._statuses.setdefault(change.email_id, []).append(change)
        _forget_oldest(self._statuses, self._keep)
        self.wake()

    def rows(self, search: str = "") -> list[Row]:
        """The emails that a search finds, newest first."""
        rows = [self._row_of(message) for message in self._messages.values()]
        rows += [
            _refused(changes) for email_id, changes in self._statuses.items() if email_id not in self._sent_as
        ]
        return sorted((row for row in rows if row.has(search)), key=lambda row: row.at, reverse=True)

    def mail(self, key: str) -> Mail | None:
        """One email by its row's key."""
        message = self._messages.get(key)
        email_id = message.tags.get(EMAIL_ID_TAG, "") if message else key
        changes = self._statuses.get(email_id, [])
        if message is None and not changes:
            return None
        row = self._row_of(message) if message else _refused(changes)
        return Mail(
            row=row,
            message=message,
            entries=timeline(message, self._events.get(key, ()), changes),
            attempts=self._attempts(row, changes),
            email_id=email_id,
        )

    @contextmanager
    def watch(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever something has changed; the watcher clears it."""
        changed = asyncio.Event()
        self._watchers.add(changed)
        try:
            yield changed
        finally:
            self._watchers.discard(changed)

    def wake(self) -> None:
        """Tell all watchers to look."""
        for changed in self._watchers:
            changed.set()

    def _hear(self, news: Message | SimulatedEvent) -> None:
        if isinstance(news, SimulatedEvent):
            if news.message_id in self._messages:
                self._events.setdefault(news.message_id, []).append(news)
        else:
            self._messages[news.message_id] = news
            self._sent_as.setdefault(news.tags.get(EMAIL_ID_TAG, ""), []).append(news.message_id)
            for message_id in _forget_oldest(self._messages, self._keep):
                self._events.pop(message_id, None)
        self.wake()

    def _row_of(self, message: Message) -> Row:
        changes = self._statuses.get(message.tags.get(EMAIL_ID_TAG, ""), [])
        last = changes[-1] if changes else None
        return Row(
            key=message.message_id,
            at=message.accepted_at,
            to=message.recipients,
            sender=message.sender,
            subject=message.subject,
            template=last.template_name if last else "",
            status=status_by(self._events.get(message.message_id, ()), changes),
            reason=_reason(changes),
            attempt=last.retry_attempt + 1 if last else 1,
            attachments=len(message.attachments),
        )

    def _attempts(self, row: Row, changes: list[EmailStatusChanged]) -> list[Row]:
        """The other attempts at the same email: those before a soft bounce and those after it."""
        if not changes:
            return []
        original = changes[-1].original_email_id
        family = {
            email_id for email_id, told in self._statuses.items() if told[-1].original_email_id == original
        }
        keys = [key for email_id in family for key in self._sent_as.get(email_id, ())]
        kin = [self._row_of(self._messages[key]) for key in keys if key in self._messages and key != row.key]
        return sorted(kin, key=lambda other: other.at)


def count_by_status(rows: Iterable[Row]) -> Counter[str]:
    """How many emails have each status."""
    return Counter(row.status for row in rows)


def _refused(changes: list[EmailStatusChanged]) -> Row:
    last = changes[-1]
    return Row(
        key=last.email_id,
        at=moment(last.timestamp),
        to=(last.to,),
        sender="",
        subject="",
        template=last.template_name,
        status=status_by((), changes),
        reason=_reason(changes),
        attempt=last.retry_attempt + 1,
        attachments=0,
    )


def _reason(changes: Iterable[EmailStatusChanged]) -> str:
    reasons = [change.reason for change in changes if change.reason]
    return f"{reasons[-1].code}: {reasons[-1].message}" if reasons else ""


def _forget_oldest(kept: dict[str, Any], limit: int) -> list[str]:
    """Drop the entries that came first until `limit` are left; their keys."""
    gone = list(kept)[: max(0, len(kept) - limit)]
    for key in gone:
        del kept[key]
    return gone
