"""SES's events, brought to one shape: a `Report` for each affected recipient.

The recipients are those that the event itself names (`bouncedRecipients`, ...): `mail.destination` lists all
of an email's recipients, and its first is as likely as not to be somebody else.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from engine.requests.addresses import address_key
from engine.schemas.ses_events import Kind, Recipient, SesEvent, UnreadableEvent, line
from engine.schemas.times import parse_iso

EMAIL_ID_TAG: Final = "emailId"
_FIRST_YEAR: Final = 2011  # SES's own: what is older is no time, and windows are counted back from it
_AHEAD: Final = timedelta(days=1)  # that a clock may be ahead of ours: what is later is no time either
# SES sends a message to 50 recipients at most. What names more is none of its events, and each costs calls.
MAX_RECIPIENTS: Final = 100


class Report(Struct, frozen=True, kw_only=True):
    """What SES says about one recipient of one message, or (`recipient` None) about the message as a whole.

    `recipient` and `destinations` (all to whom the message went) are address keys; a recipient that can't be
    read is empty. `fingerprint` is the same for every delivery of the same news, in whatever envelope. `type`
    is the bounce, complaint feedback or delay type, `subtype` the bounce's or complaint's; `status` is the
    enhanced status code (RFC 3463) and `text` what a person may read.
    """

    kind: Kind
    at: datetime
    fingerprint: str
    ses_message_id: str
    email_id: str = ""
    recipient: str | None = None
    destinations: tuple[str, ...] = ()
    type: str = ""
    subtype: str = ""
    status: str = ""
    text: str = ""
    expires: str = ""


def reports(event: SesEvent, received: datetime) -> tuple[Report, ...]:
    """One report per affected recipient; `received` stands in where SES gives no readable time.

    Raises UnreadableEvent where nobody can be told to be affected, or far too many are.
    """
    mail, body = event.mail, event.body
    listed = mail.destination if isinstance(mail.destination, list) else []
    destinations = tuple(dict.fromkeys(filter(None, map(reported_address, listed))))
    times = (parse_iso(line(text)) for text in (body.timestamp, mail.timestamp))
    latest = received + _AHEAD
    at = next((time for time in times if time and time.year >= _FIRST_YEAR and time <= latest), received)
    affected: list[tuple[str | None, Recipient]] = []
    if body.recipients is None:
        affected.append((None, Recipient()))
    else:
        if len(body.recipients) > MAX_RECIPIENTS:
            raise UnreadableEvent(
                f"a {event.kind} event that names {len(body.recipients)} recipients, over {MAX_RECIPIENTS}"
            )
        only = destinations if len(destinations) == 1 else ()
        for entry in body.recipients or only:
            of_delivery = {"emailAddress": entry}  # deliveries list plain addresses, all others objects
            who = msgspec.convert(entry if isinstance(entry, dict) else of_delivery, Recipient)
            affected.append((reported_address(who.address), who))
        if not only and not any(address for address, _ in affected):
            raise UnreadableEvent(f"a {event.kind} event that names no recipient")
    found: dict[str, Report] = {}
    for recipient, who in affected:
        details = {
            "type": line(body.type),
            "subtype": line(body.subtype),
            "status": line(who.status),
            "text": line(who.text) or line(body.text),
            "expires": line(body.expires),
        }
        said = (event.kind, line(mail.message_id), recipient, line(body.timestamp), line(body.mark), details)
        fingerprint = hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:32]
        found[fingerprint] = Report(
            kind=event.kind,
            at=at,
            fingerprint=fingerprint,
            ses_message_id=line(mail.message_id),
            email_id=mail.tag(EMAIL_ID_TAG),
            recipient=recipient,
            destinations=destinations,
            **details,
        )
    return tuple(found.values())


def reported_address(mailbox: object) -> str:
    """The key of an address in a report: `Name <a@b>`, `"a"@b`, `"a@b"`, `rfc822;a@b` (RFC 3464, 2.3.2).

    email.utils.parseaddr answers nothing for the odd addresses that bounces are made of.
    """
    text = line(mailbox)
    _, bracket, tail = text.rpartition("<")
    bare = tail.partition(">")[0] if bracket else text
    kind, mark, rest = bare.partition(";")
    bare = (rest if mark and "@" not in kind else bare).strip()
    if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'":
        bare = bare[1:-1]
    local, at, domain = bare.rpartition("@")
    return address_key(local.strip('"') + at + domain)
