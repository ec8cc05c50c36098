"""What becomes of an email, its recipient and the bounce quota when SES reports something.

SES promises no order of its reports. The ledger's ranks settle most of it; the one pair that they can't
settle is in docs/decisions/reports-in-any-order.md.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from engine.errors import FailureCode, Refusal
from engine.feedback.reports import Kind, Report
from engine.schemas.rows import SuppressionType
from engine.schemas.status import Reason
from engine.schemas.times import iso
from engine.tracking.lifecycle import Status

SOFT_BOUNCE_LIMIT: Final = 15

# https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html#bounce-types
PERMANENT: Final = "Permanent"
TRANSIENT: Final = "Transient"
GENERAL: Final = "General"
# SES has retried for hours before it reports a soft bounce; only these may look different a little later.
_WORTH_ANOTHER_TRY: Final = frozenset({"MailboxFull", "CustomTimeoutExceeded", GENERAL})
# The same email would come back again, and another one may well arrive: the recipient is not to blame.
_CONTENT: Final = frozenset({"MessageTooLarge", "ContentRejected", "AttachmentRejected"})
# RFC 5965, section 7.3: the recipient says that this is not spam.
_NOT_SPAM: Final = "not-spam"


class Facts(Struct, frozen=True, kw_only=True):
    """What the ledger knows when a report comes in.

    `delivered`: the email had reached `delivered` or further before this report. `soft_bounces`: emails to
    the address that bounced softly within the window, this one included. `primary`: the report is about the
    `to` address (or the email as a whole), not about a copy.
    """

    attempt: int = 0
    delivered: bool = False
    soft_bounces: int = 1
    primary: bool = True


class Suppression(Struct, frozen=True):
    type: SuppressionType
    reason: str


HARD_BOUNCE: Final = Suppression("bounce", "hard-bounce")
SOFT_BOUNCE_EXCEEDED: Final = Suppression("bounce", "soft-bounce-exceeded")
COMPLAINT: Final = Suppression("complaint", "complaint")


class Verdict(Struct, frozen=True, kw_only=True):
    """What to do about a report.

    `to`: the status to move to, told with `reason`. `aside`: news that changes no status, told with the one
    the row has. `notes`: facts kept in the row, by attribute name. `counts`: a hard bounce for the quota.
    """

    to: Status | None = None
    reason: Reason | None = None
    refusal: Refusal | None = None
    suppress: Suppression | None = None
    counts: bool = False
    retry: bool = False
    aside: Reason | None = None
    notes: Mapping[str, str] = {}


def judge(report: Report, facts: Facts) -> Verdict:
    verdict = _judge(report, facts)
    return verdict if facts.primary else _about_a_copy(report, verdict)


def _judge(report: Report, facts: Facts) -> Verdict:
    match report.kind:
        case Kind.BOUNCE:
            return _bounce(report, facts)
        case Kind.COMPLAINT:
            return _complaint(report)
        case Kind.REJECT | Kind.RENDERING_FAILURE:
            return _dropped(report)
        case _:
            return _progress(report)


def _progress(report: Report) -> Verdict:
    """Reports that bring no bad news about the recipient."""
    at = iso(report.at)
    match report.kind:
        case Kind.SEND:
            return Verdict(to=Status.SENT)
        case Kind.DELIVERY:
            return Verdict(to=Status.DELIVERED)
        case Kind.OPEN:
            return Verdict(to=Status.OPENED, notes={"openedAt": at})
        case Kind.CLICK:  # whoever clicks has opened, even with images off
            return Verdict(to=Status.OPENED, notes={"clickedAt": at})
        case Kind.DELIVERY_DELAY:
            notes = {"delayType": report.type, "delayExpiresAt": report.expires}
            return Verdict(notes=_known(notes), aside=_delayed(report))
        case _:
            # A preference in SES's own contact list, which SES itself enforces. It may concern one topic, and
            # suppressing the address would stop password resets too: so it is noted, no more.
            return Verdict(notes={"subscriptionChangedAt": at})


def _delayed(report: Report) -> Reason:
    until = f", tries until {report.expires}" if report.expires else ""
    return Reason(code="delivery-delayed", message=f"SES could not deliver yet{until}: {describe(report)}")


def _complaint(report: Report) -> Verdict:
    if report.type == _NOT_SPAM:
        return Verdict(notes={"notSpamAt": iso(report.at)})
    kind = f" ({report.type or report.subtype})" if report.type or report.subtype else ""
    reason = Reason(code="complaint", message=f"the recipient marked the email as spam{kind}")
    return Verdict(to=Status.COMPLAINED, reason=reason, suppress=COMPLAINT)


def _dropped(report: Report) -> Verdict:
    """SES took the email and then did not send it."""
    if report.kind is Kind.REJECT:
        return _failed(FailureCode.REJECTED, f"SES dropped the email: {report.text or 'no reason given'}")
    return _failed(
        FailureCode.RENDERING_FAILURE, f"SES could not render the email: {report.text or 'no reason given'}"
    )


def _failed(code: FailureCode, message: str, suppress: Suppression | None = None) -> Verdict:
    refusal = Refusal(code, message)
    return Verdict(
        to=Status.FAILED, refusal=refusal, reason=Reason(code=code, message=message), suppress=suppress
    )


def _bounce(report: Report, facts: Facts) -> Verdict:
    if is_permanent(report):
        verdict = Verdict(
            to=Status.BOUNCED, reason=_reason("hard-bounce", report), suppress=HARD_BOUNCE, counts=True
        )
    elif report.type == TRANSIENT and report.subtype in _CONTENT:
        verdict = _failed(FailureCode.CONTENT_BOUNCE, f"the receiver refused the content: {describe(report)}")
    elif report.type == TRANSIENT:
        verdict = _transient(report, facts)
    else:  # Undetermined, and types that SES may yet invent: nobody knows enough to blame or to try again
        verdict = Verdict(to=Status.SOFT_BOUNCED, reason=_reason("soft-bounce", report))
    return _with_details(report, verdict)


def is_permanent(report: Report) -> bool:
    """Permanent whatever its subtype; also Transient where the receiver's own code says "never" (5.x.x).

    A refusal of the content comes with 5.x.x as well (5.3.4, 5.7.1) but is about this email, not the address.
    """
    if report.type == TRANSIENT:
        return report.status.startswith("5.") and report.subtype not in _CONTENT
    return report.type == PERMANENT


def _transient(report: Report, facts: Facts) -> Verdict:
    suppress = SOFT_BOUNCE_EXCEEDED if facts.soft_bounces >= SOFT_BOUNCE_LIMIT else None
    if report.subtype == GENERAL and facts.delivered and not gave_up(report):
        return Verdict(notes={"autoReplyAt": iso(report.at)})  # an out-of-office answer: they have the email
    if report.subtype == GENERAL and facts.delivered and facts.attempt == 0:
        return Verdict(suppress=suppress)  # delivered, and given up on after all: never resent
    if facts.attempt > 0:
        message = f"the retry bounced too: {describe(report)}"
        return _failed(FailureCode.SOFT_BOUNCE_RETRY_FAILED, message, suppress)
    # An address that was just suppressed gets no retry; its email stays `soft_bounced`, which is what it did.
    worth_it = report.subtype in _WORTH_ANOTHER_TRY and suppress is None
    reason = _reason(suppress.reason if suppress else "soft-bounce", report)
    return Verdict(to=Status.SOFT_BOUNCED, reason=reason, suppress=suppress, retry=worth_it)


def gave_up(report: Report) -> bool:
    """Whether a mail server's failure notification came with the bounce; an out-of-office answer has none."""
    return report.has_dsn and report.action != "delayed"


def may_be_soft_bounce(report: Report) -> bool:
    """Whether the report may be the one too many: then the earlier soft bounces must be counted."""
    return (
        report.kind is Kind.BOUNCE
        and report.type == TRANSIENT
        and report.subtype not in _CONTENT
        and not is_permanent(report)
    )


def _about_a_copy(report: Report, verdict: Verdict) -> Verdict:
    """A cc or bcc recipient: the row tells of `to`, but the address and the quota are worth the same."""
    if verdict.suppress is None:
        return Verdict()
    code = "copy-complained" if report.kind is Kind.COMPLAINT else "copy-bounced"
    why = verdict.reason.message if verdict.reason else ""
    aside = Reason(code=code, message=f"copy to {report.recipient}: {why}")
    return Verdict(suppress=verdict.suppress, counts=verdict.counts, aside=aside)


def _with_details(report: Report, verdict: Verdict) -> Verdict:
    details = {"bounceType": report.type, "bounceSubType": report.subtype, "diagnosticCode": report.text}
    return msgspec.structs.replace(verdict, notes={**verdict.notes, **_known(details)})


def _reason(code: str, report: Report) -> Reason:
    return Reason(code=code, message=describe(report))


def describe(report: Report) -> str:
    """Such as `Transient MailboxFull 4.2.2: smtp; 452 4.2.2 mailbox full`."""
    what = " ".join(filter(None, (report.type, report.subtype, report.status))) or "no details"
    return f"{what}: {report.text}" if report.text else what


def _known(facts: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in facts.items() if value}
