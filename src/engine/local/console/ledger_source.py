"""The mail of a stack, out of its ledger: everything but what the emails said."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from engine.local.inbox.mail import Entry, Mail, MailList, MailQuery, MailRow
from engine.operations.advice import judge_email
from engine.operations.emails import MOST_LOOKED_AT, EmailQuery, FoundEmail, find_emails, is_email_id
from engine.operations.explain import EmailHistory, email_facts, history
from engine.operations.ledger_reader import Place, open_ledger
from engine.operations.stack import DeployedStack
from engine.operations.timeline import Moment
from engine.schemas.times import parse_iso
from engine.types import Clock

PAGE_SIZE: Final = 50
DAYS_BACK: Final = 7
"""How far the list looks where neither a day nor an address is asked for."""

_LONG_AGO: Final = "1970-01-01T00:00:00+00:00"


class LedgerSource:
    """Implements `MailSource`. May raise ServiceUnavailable, ClientError and BotoCoreError."""

    looks_for = "address, email id or SES id"

    def __init__(self, stack: DeployedStack, clock: Clock) -> None:
        self._stack = stack
        self._clock = clock

    async def find(self, query: MailQuery) -> MailList:
        now = self._clock()
        found = await find_emails(await open_ledger(self._stack), _question(query, now), now)
        last = found.emails[-1] if found.emails and not found.whole else None
        older = f"{last.at} {last.email_id}" if last else ""
        note = ""
        if not found.emails and not found.whole:
            note = f"None of the newest {MOST_LOOKED_AT:,} emails matches; narrow the question."
        elif not found.emails and not (query.day or query.search):
            note = f"Nothing of the last {DAYS_BACK} days. Choose a day to look further back."
        return MailList(rows=[_row(email) for email in found.emails], counts=None, older=older, note=note)

    async def mail(self, key: str) -> Mail | None:
        facts = await email_facts(self._stack, key)
        if facts is None:
            return None
        now = self._clock()
        told = history(facts, now)
        mine = next(email for email in told.attempts if email.email_id == key or "@" in key)
        return Mail(
            row=_row(mine),
            entries=_entries(told.timeline),
            attempts=[_row(email) for email in told.attempts if email.email_id != mine.email_id],
            email_id=mine.email_id,
            verdict=judge_email(facts, now, self._stack.address.options),
            facts=_facts(told, mine),
        )


def _question(query: MailQuery, now: datetime) -> EmailQuery:
    day = parse_iso(query.day)
    at, _, last_id = query.before.partition(" ")
    since = day or (None if query.search else now - timedelta(days=DAYS_BACK))
    is_address = "@" in query.search
    is_id = not is_address and is_email_id(query.search)
    return EmailQuery(
        address=query.search if is_address else None,
        email_id=query.search if is_id else None,
        ses_id=query.search if query.search and not is_address and not is_id else None,
        template=query.template or None,
        campaign=query.campaign or None,
        status=query.status or None,
        since=since,
        until=day + timedelta(days=1) if day else None,
        after=Place(at, last_id) if parse_iso(at) and last_id else None,
        limit=PAGE_SIZE,
    )


def _row(email: FoundEmail) -> MailRow:
    reason = f"{email.code}: {email.reason}" if email.code else ""
    return MailRow(
        key=email.email_id,
        at=parse_iso(email.at) or datetime.fromisoformat(_LONG_AGO),
        to=(email.to,),
        sender="",
        subject=None,
        template=email.template_name,
        status=email.status,
        reason=reason or (email.now if email.now != email.status else ""),
        attempt=email.attempt,
        attachments=0,
        campaign=email.campaign or "",
    )


def _entries(timeline: Sequence[Moment]) -> list[Entry]:
    return [
        Entry(
            at=parse_iso(moment.at or ""),
            who=moment.who,
            title=moment.title,
            tone=moment.tone,
            about=moment.about,
        )
        for moment in timeline
    ]


def _facts(told: EmailHistory, email: FoundEmail) -> list[tuple[str, str]]:
    listing = told.ses_listing
    known = f"{listing.reason} since {listing.since}" if listing else "not on it"
    facts = [
        ("SES message id", email.ses_message_id or ""),
        ("Source", email.source),
        ("Campaign", email.campaign or ""),
        ("Brakes", ", ".join(brake.pk for brake in told.brakes)),
        ("SES's list of the account", told.ses_listing_unknown or known),
    ]
    return [(name, value) for name, value in facts if value]
