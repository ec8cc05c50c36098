"""The inbox: messages that SES accepted, emails that the engine refused, and the events of both."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from engine.local.inbox.mail import Mail, MailList, MailQuery, MailRow
from engine.local.inbox.timeline import final_status, moment, timeline
from engine.local.ses import Message, SimulatedEvent, Simulator
from engine.local.web.pages import Watchers
from engine.schemas.status import EmailStatusChanged

EMAIL_ID_TAG = "emailId"
"""The message tag by which the engine's events find their message."""

PAGE_SIZE = 200
"""Rows of the list; a search finds the others."""


class Inbox:
    """Collects what a simulator does, and the engine's status events. Keeps the newest `keep` emails."""

    def __init__(self, simulator: Simulator, *, keep: int = 5_000) -> None:
        self.simulator = simulator
        self.watchers = Watchers()
        self._keep = keep
        self._messages: dict[str, Message] = {}
        self._events: dict[str, list[SimulatedEvent]] = {}
        self._statuses: dict[str, list[EmailStatusChanged]] = {}
        self._sent_as: dict[str, list[str]] = {}
        simulator.listen(self._record)

    looks_for = "recipient, subject, template …"

    async def find(self, query: MailQuery) -> MailList:
        rows = [row for row in self.rows(query.search) if _fits(row, query)]
        shown = [row for row in rows if query.status in {"", row.status}]
        more = len(shown) - PAGE_SIZE
        note = f"{more} older emails are not shown. Search to find them." if more > 0 else ""
        return MailList(rows=shown[:PAGE_SIZE], counts=Counter(row.status for row in rows), note=note)

    async def mail(self, key: str) -> Mail | None:
        return self.email(key)

    def record_status(self, change: EmailStatusChanged) -> None:
        """Add an "Email Status Changed" event."""
        self._statuses.setdefault(change.email_id, []).append(change)
        _drop_oldest(self._statuses, self._keep)
        self.watchers.wake()

    def rows(self, search: str = "") -> list[MailRow]:
        """The emails that a search finds, newest first."""
        rows = [self._row_of(message) for message in self._messages.values()]
        rows += [
            _refused(changes) for email_id, changes in self._statuses.items() if email_id not in self._sent_as
        ]
        return sorted((row for row in rows if row.matches(search)), key=lambda row: row.at, reverse=True)

    def email(self, key: str) -> Mail | None:
        """One email by its row's key, or by its own id, which is the key only until SES has taken it."""
        sent_as = self._sent_as.get(key, ())
        message = self._messages.get(sent_as[-1] if sent_as else key)
        email_id = message.tags.get(EMAIL_ID_TAG, "") if message else key
        changes = self._statuses.get(email_id, [])
        if message is None and not changes:
            return None
        row = self._row_of(message) if message else _refused(changes)
        return Mail(
            row=row,
            message=message,
            entries=timeline(message, self._events.get(row.key, ()), changes),
            attempts=self._attempts(row, changes),
            email_id=email_id,
            facts=_facts(message) if message else (),
        )

    def _record(self, subject: Message | SimulatedEvent) -> None:
        if isinstance(subject, SimulatedEvent):
            if subject.message_id in self._messages:
                self._events.setdefault(subject.message_id, []).append(subject)
        else:
            self._messages[subject.message_id] = subject
            self._sent_as.setdefault(subject.tags.get(EMAIL_ID_TAG, ""), []).append(subject.message_id)
            for message_id in _drop_oldest(self._messages, self._keep):
                self._events.pop(message_id, None)
        self.watchers.wake()

    def _row_of(self, message: Message) -> MailRow:
        changes = self._statuses.get(message.tags.get(EMAIL_ID_TAG, ""), [])
        last = changes[-1] if changes else None
        return MailRow(
            key=message.message_id,
            email_id=message.tags.get(EMAIL_ID_TAG, ""),
            at=message.accepted_at,
            to=message.recipients,
            sender=message.sender,
            subject=message.subject,
            template=last.template_name if last else "",
            campaign=(last.campaign or "") if last else "",
            status=final_status(self._events.get(message.message_id, ()), changes),
            reason=_reason(changes),
            attempt=last.retry_attempt + 1 if last else 1,
            attachments=len(message.attachments),
        )

    def _attempts(self, row: MailRow, changes: list[EmailStatusChanged]) -> list[MailRow]:
        """The other attempts at the same email, before and after a soft bounce."""
        if not changes:
            return []
        original = changes[-1].original_email_id
        email_ids = {
            email_id for email_id, known in self._statuses.items() if known[-1].original_email_id == original
        }
        keys = [key for email_id in email_ids for key in self._sent_as.get(email_id, ())]
        rows = [self._row_of(self._messages[key]) for key in keys if key in self._messages and key != row.key]
        return sorted(rows, key=lambda other: other.at)


def _fits(row: MailRow, query: MailQuery) -> bool:
    return (
        query.day in {"", row.at.date().isoformat()}
        and query.template in {"", row.template}
        and query.campaign in {"", row.campaign}
    )


def _facts(message: Message) -> list[tuple[str, str]]:
    tags = [(f"Tag {name}", value) for name, value in message.tags.items() if name != EMAIL_ID_TAG]
    return [
        ("SES message id", message.message_id),
        ("Operation", message.operation),
        ("Configuration set", message.configuration_set or "none"),
        *tags,
    ]


def _refused(changes: list[EmailStatusChanged]) -> MailRow:
    last = changes[-1]
    return MailRow(
        key=last.email_id,
        at=moment(last.timestamp),
        to=(last.to,),
        sender="",
        subject="",
        template=last.template_name,
        campaign=last.campaign or "",
        status=final_status((), changes),
        reason=_reason(changes),
        attempt=last.retry_attempt + 1,
        attachments=0,
    )


def _reason(changes: Iterable[EmailStatusChanged]) -> str:
    reasons = [change.reason for change in changes if change.reason]
    return f"{reasons[-1].code}: {reasons[-1].message}" if reasons else ""


def _drop_oldest(kept: dict[str, Any], limit: int) -> list[str]:
    """Drop the entries that came first until `limit` are left; returns their keys."""
    dropped = list(kept)[: max(0, len(kept) - limit)]
    for key in dropped:
        del kept[key]
    return dropped
