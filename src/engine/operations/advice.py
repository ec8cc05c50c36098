"""What an email's facts mean: one sentence, and the command to run next. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from engine.operations.asking import known
from engine.operations.emails import duration
from engine.operations.explain import EmailFacts
from engine.operations.scopes import go_command
from engine.operations.timeline import bounce
from engine.operations.verdict import Verdict
from engine.schemas.rows import TrackingRow
from engine.schemas.times import parse_iso
from engine.tracking.bounce_quota import ON_SES_LISTS
from engine.tracking.brakes import STOP, describe
from engine.tracking.lifecycle import Status

_QUIET: Final = 3600  # seconds after which a sent email without a report is worth a look
_RETRY: Final = 900  # seconds after which a soft bounce is tried again

# Why an email failed: what to do, and the command that helps.
_FAILED: Final[Mapping[str, tuple[str, str | None]]] = {
    "validation": ("The application must mend its request and ask again, under another key.", None),
    "template-not-found": (
        "Upload the template, then let the application ask again under another key.",
        None,
    ),
    "template-error": ("Template and data don't fit: mend either, then ask again under another key.", None),
    "sender-not-allowed": (
        "Add the sender's domain to ALLOWED_SENDERS if it may send, then ask again under another key.",
        None,
    ),
    "idempotency-conflict": (
        "Another request has used the same key: the application must give each email its own.",
        None,
    ),
    "bounce-rate-exceeded": (
        "Too much of that day's mail bounced; find out why, then ask again under another key.",
        "status",
    ),
    "soft-bounce-retry-failed": (
        "The mailbox took neither attempt. The address is not blamed: later mail to it is sent.",
        None,
    ),
    "content-bounce": (
        "The receiving server refuses this content or its size, not the address: mend the template.",
        None,
    ),
    "rejected": ("SES refuses the message itself: look at the reason, and at SES's console.", "doctor"),
    "rendering-failure": ("SES could not fill its template: this is the engine's to mend.", None),
    "unsubscribed": (
        "The recipient has unsubscribed from this topic; mail without a topic still reaches them.",
        None,
    ),
    "expired": ("It could not leave before the moment that its request named.", "status"),
    "superseded": ("The original has arrived after all, so nothing is missing.", None),
    "cancelled": ("An operator cancelled its campaign.", None),
}


def judge_email(facts: EmailFacts, now: datetime, options: str = "") -> Verdict:
    """`options`: those that name the stack, for the command to run next."""
    status = facts.row.status
    match status:
        case Status.SENDING:
            verdict = _sending(facts, now)
        case Status.SENT:
            verdict = _sent(facts.row, now)
        case Status.SOFT_BOUNCED:
            verdict = _soft_bounced(facts)
        case Status.DELIVERED | Status.OPENED:
            verdict = _arrived(facts)
        case Status.FAILED:
            verdict = _failed(facts)
        case Status.BOUNCED:
            verdict = _bounced(facts)
        case Status.COMPLAINED:
            verdict = _complained(facts)
        case _:
            sentence = f"Its status is {status!r}, which this version does not know."
            verdict = Verdict(good=False, sentence=sentence)
    if verdict.next_command is None:
        return verdict
    return replace(verdict, next_command=f"sesmailengine {verdict.next_command}{options}")


def _sending(facts: EmailFacts, now: datetime) -> Verdict:
    row = facts.row
    if facts.brakes:
        brake = facts.brakes[0]
        if not brake.pk.startswith(STOP):
            sentence = (
                f"Its campaign is cancelled ({describe(brake)}): it ends as failed when it is next tried."
            )
            return Verdict(good=False, sentence=sentence)
        return Verdict(
            good=False,
            sentence=f"It is held by a brake: {describe(brake)}. It leaves after `go`; nothing is lost.",
            next_command=go_command(brake),
        )
    if row.lease_until is None:
        return Verdict(
            good=False,
            sentence="It is not sent yet: it was deferred and waits in its lane for another try, by itself.",
            next_command="status",
        )
    left = row.lease_until - now.timestamp()
    if left > 0:
        return Verdict(
            good=True, sentence=f"It is being sent: an invocation holds its claim for {duration(left)} more."
        )
    return Verdict(
        good=False,
        sentence=f"Whether SES took it is not known: the claim ran out {duration(-left)} ago, unanswered."
        " SES's Send report settles it; without one it is tried again by itself, after RECONCILE_SECONDS.",
        next_command="status",
    )


def _sent(row: TrackingRow, now: datetime) -> Verdict:
    sent = parse_iso(row.sent_at or row.timestamp)
    age = (now - sent).total_seconds() if sent else 0.0
    if row.delay_type:
        until = f" until {day(row.delay_expires_at)}" if row.delay_expires_at else ""
        return Verdict(
            good=False,
            sentence=f"SES has it and can't deliver it yet ({row.delay_type}); it goes on trying{until}, then"
            " it bounces. Nothing is to be done here.",
        )
    if age < _QUIET:
        return Verdict(
            good=True, sentence=f"SES took it {duration(age)} ago; the receiving server has not answered yet."
        )
    return Verdict(
        good=False,
        sentence=f"SES took it {duration(age)} ago and has reported nothing since: either the receiving"
        " server is slow, or reports don't come in (FeedbackProcessor, and its dead-letter queue).",
        next_command="status",
    )


def _soft_bounced(facts: EmailFacts) -> Verdict:
    row = facts.row
    why = bounce(row)
    if facts.blocking:
        return Verdict(
            good=False,
            sentence=f"It bounced softly ({why}) and is not tried again.{_later_mail(facts)}",
            next_command=_show(facts),
        )
    if row.bounce_type == "Undetermined":
        return Verdict(
            good=False,
            sentence=f"It bounced for a reason that SES could not tell ({why}). It is not tried again; later"
            " mail to the address is sent.",
        )
    return Verdict(
        good=False,
        sentence=f"It bounced softly ({why}); the engine tries once more, {duration(_RETRY)} later.",
    )


def _arrived(facts: EmailFacts) -> Verdict:
    row = facts.row
    if row.status == Status.OPENED:
        sentence = f"It was opened on {day(row.opened_at)}: it arrived."
    else:
        sentence = (
            f"The receiving server took it on {day(row.delivered_at)}: it is in the mailbox, in its spam"
            " folder, or where a rule of the recipient's put it."
        )
    if row.bounce_type and row.bounce_type != "Permanent" and not row.soft_bounced_at:
        sentence += f" A bounce came after it ({bounce(row)}), as automatic answers do."
    blocked = facts.blocking or known(facts.ses_listing)
    return Verdict(
        good=True, sentence=sentence + _later_mail(facts), next_command=_show(facts) if blocked else None
    )


def _failed(facts: EmailFacts) -> Verdict:
    row = facts.row
    code, reason = row.failure_code or "no code", (row.failure_reason or "no reason given").rstrip(".")
    if code == "suppressed":
        return _suppressed(facts, reason)
    happened = "It was sent and then failed" if row.sent_at else "It was not sent"
    advice, command = _FAILED.get(code, ("", None))
    return Verdict(
        good=False, sentence=f"{happened} ({code}): {reason}. {advice}".rstrip(), next_command=command
    )


def _suppressed(facts: EmailFacts, reason: str) -> Verdict:
    places = _suppressed_where(facts)
    if places:
        return Verdict(
            good=False,
            sentence=f"It was not sent, because the address is suppressed: it is {places}. If the address is"
            " right and its owner wants mail, take it out.",
            next_command=f"suppression remove {facts.row.to_email}",
        )
    return Verdict(
        good=False,
        sentence=f"It was not sent (suppressed): {reason}. The address is so no longer: the application may"
        " ask again, under another key.",
    )


def _bounced(facts: EmailFacts) -> Verdict:
    row = facts.row
    if row.bounce_sub_type in ON_SES_LISTS:
        sentence = f"SES did not even try: the address is on a list of its own ({row.bounce_sub_type})."
    else:
        sentence = f"The receiving server refused it for good on {day(row.bounced_at)}: {bounce(row)}."
    advice = " Ask the recipient for another address, or take it out if it is right."
    return Verdict(
        good=False,
        sentence=sentence + _later_mail(facts) + (advice if _suppressed_where(facts) else ""),
        next_command=_show(facts),
    )


def _complained(facts: EmailFacts) -> Verdict:
    sentence = (
        f"It arrived, and the recipient marked it as spam on {day(facts.row.complained_at)}."
        f"{_later_mail(facts)} Write to them again only if they ask for it."
    )
    return Verdict(good=False, sentence=sentence, next_command=_show(facts))


def _later_mail(facts: EmailFacts) -> str:
    """What becomes of more mail to the address: empty where nothing is in its way."""
    places = _suppressed_where(facts)
    return f" Later mail to it is refused: it is {places}." if places else ""


def _suppressed_where(facts: EmailFacts) -> str:
    parts = []
    if row := facts.blocking:
        why = row.reason or row.suppression_type
        parts.append(f"in our table since {day(row.added_to_suppression_date)} ({why})")
    if (listing := known(facts.ses_listing)) is not None:
        parts.append(f"on SES's list of the account since {day(listing.since)} ({listing.reason})")
    return " and ".join(parts)


def _show(facts: EmailFacts) -> str:
    return f"suppression show {facts.row.to_email}"


def day(at: str | None) -> str:
    """A moment as people read it, to the minute."""
    moment = parse_iso(at or "")
    return f"{moment:%Y-%m-%d at %H:%M} UTC" if moment else "an unknown day"
