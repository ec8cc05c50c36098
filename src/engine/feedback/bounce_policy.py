"""What becomes of an email, its recipient and the bounce quota when SES reports something.

SES's own verdict decides, and why: docs/decisions/0010-ses-verdict-decides-a-bounce.md.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from engine.errors import FailureCode, Refusal
from engine.feedback.reports import Report
from engine.feedback.target import Role
from engine.schemas.rows import SuppressionType
from engine.schemas.ses_events import Kind
from engine.schemas.status import Reason
from engine.schemas.times import iso
from engine.tracking.bounce_quota import ON_SES_LISTS
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
# Reports without bad news: the status they prove, and the attribute that keeps when. Whoever clicks has
# opened, even with images off. A preference in SES's own contact lists is only noted: SES enforces it, it may
# concern one topic, and suppressing the address would stop password resets too.
_PROGRESS: Final[Mapping[Kind, tuple[Status | None, str]]] = {
    Kind.SEND: (Status.SENT, ""),
    Kind.DELIVERY: (Status.DELIVERED, ""),
    Kind.OPEN: (Status.OPENED, "openedAt"),
    Kind.CLICK: (Status.OPENED, "clickedAt"),
    Kind.SUBSCRIPTION: (None, "subscriptionChangedAt"),
}


class BounceContext(Struct, frozen=True, kw_only=True):
    """What is known when a report comes in.

    `delivered`: the email had reached `delivered` or further before this report. `soft_bounces`: emails to
    the address that bounced softly within the window, this one included.
    """

    role: Role = "recipient"
    attempt: int = 0
    delivered: bool = False
    soft_bounces: int = 1


class Suppression(Struct, frozen=True):
    type: SuppressionType
    reason: str


HARD_BOUNCE: Final = Suppression("bounce", "hard-bounce")
SES_LIST: Final = Suppression("bounce", "ses-list")
SOFT_BOUNCE_EXCEEDED: Final = Suppression("bounce", "soft-bounce-exceeded")
COMPLAINT: Final = Suppression("complaint", "complaint")


class Verdict(Struct, frozen=True, kw_only=True):
    """What to do about a report.

    `to`: the status to move to, published with `reason`. `extra_event`: news that changes no status,
    published with the one the row has. `notes`: facts kept in the row, by attribute name. `counts`: a hard
    bounce for the quota.
    """

    to: Status | None = None
    reason: Reason | None = None
    suppress: Suppression | None = None
    counts: bool = False
    retry: bool = False
    extra_event: Reason | None = None
    notes: Mapping[str, str] = {}

    @property
    def refusal(self) -> Refusal | None:
        """Why the email failed, as its row keeps it."""
        if self.to is not Status.FAILED or self.reason is None:
            return None
        return Refusal(FailureCode(self.reason.code), self.reason.message)


def judge(report: Report, context: BounceContext) -> Verdict:
    at, text = iso(report.at), report.text or "no reason given"
    match report.kind:
        case Kind.BOUNCE:
            verdict = _judge_bounce(report, context)
        case Kind.COMPLAINT if report.type.lower() == _NOT_SPAM:
            verdict = Verdict(notes={"notSpamAt": at})
        case Kind.COMPLAINT:
            kind = f" ({report.type or report.subtype})" if report.type or report.subtype else ""
            reason = Reason(code="complaint", message=f"the recipient marked the email as spam{kind}")
            verdict = Verdict(to=Status.COMPLAINED, reason=reason, suppress=COMPLAINT)
        case Kind.REJECT:  # SES took the email and then did not send it
            verdict = _failed(FailureCode.REJECTED, f"SES dropped the email: {text}")
        case Kind.RENDERING_FAILURE:
            verdict = _failed(FailureCode.RENDERING_FAILURE, f"SES could not render the email: {text}")
        case Kind.DELIVERY_DELAY:
            until = f", tries until {report.expires}" if report.expires else ""
            message = f"SES could not deliver yet{until}: {describe(report)}"
            notes = _known({"delayType": report.type, "delayExpiresAt": report.expires})
            verdict = Verdict(notes=notes, extra_event=Reason(code="delivery-delayed", message=message))
        case _:
            status, attribute = _PROGRESS[report.kind]
            verdict = Verdict(to=status, notes={attribute: at} if attribute else {})
    if context.role == "recipient":
        return verdict
    # The row tells of `to`; but another address and the quota are worth the same.
    if verdict.suppress is None:
        return Verdict()
    code = f"{context.role}-{'complained' if report.kind is Kind.COMPLAINT else 'bounced'}"
    why = verdict.reason.message if verdict.reason else describe(report)
    told = Reason(code=code, message=f"{context.role} to {report.recipient}: {why}")
    return Verdict(suppress=verdict.suppress, counts=verdict.counts, extra_event=told)


def _judge_bounce(report: Report, context: BounceContext) -> Verdict:
    what = describe(report)
    notes = _known(
        {"bounceType": report.type, "bounceSubType": report.subtype, "diagnosticCode": report.text}
    )
    if report.type == PERMANENT:
        why = SES_LIST if report.subtype in ON_SES_LISTS else HARD_BOUNCE
        reason = Reason(code=why.reason, message=what)
        counts = why is HARD_BOUNCE
        return Verdict(to=Status.BOUNCED, reason=reason, suppress=why, counts=counts, notes=notes)
    transient = report.type == TRANSIENT
    if transient and report.subtype in _CONTENT:
        return _failed(FailureCode.CONTENT_BOUNCE, f"the receiver refused the content: {what}", notes)
    exceeded = adds_soft_bounce(report, context) and context.soft_bounces >= SOFT_BOUNCE_LIMIT
    suppress = SOFT_BOUNCE_EXCEEDED if exceeded else None
    if transient and context.attempt > 0 and not _is_after_delivery(report, context):
        code = FailureCode.SOFT_BOUNCE_RETRY_FAILED
        return _failed(code, f"the retry bounced too: {what}", notes, suppress)
    if context.delivered:
        told = Reason(code="bounced-after-delivery", message=what)
        return Verdict(suppress=suppress, extra_event=told, notes=notes)
    # An address that was just suppressed gets no retry. Of Undetermined, and of new types, nobody knows
    # enough to blame or to try again.
    return Verdict(
        to=Status.SOFT_BOUNCED,
        reason=Reason(code=suppress.reason if suppress else "soft-bounce", message=what),
        suppress=suppress,
        retry=transient and report.subtype in _WORTH_ANOTHER_TRY and not exceeded,
        notes=notes,
    )


def adds_soft_bounce(report: Report, context: BounceContext) -> bool:
    """Whether the report is one more soft bounce of its address: then those of thirty days are counted."""
    soft = report.type == TRANSIENT and report.subtype not in _CONTENT
    return report.kind is Kind.BOUNCE and soft and not _is_after_delivery(report, context)


def _is_after_delivery(report: Report, context: BounceContext) -> bool:
    """An out-of-office answer, mostly: SES reports those as a general bounce."""
    return report.subtype == GENERAL and context.delivered


def _failed(
    code: FailureCode, message: str, notes: Mapping[str, str] = {}, suppress: Suppression | None = None
) -> Verdict:
    reason = Reason(code=code.value, message=message)
    return Verdict(to=Status.FAILED, reason=reason, suppress=suppress, notes=notes)


def describe(report: Report) -> str:
    """Such as `Transient MailboxFull 4.2.2: smtp; 452 4.2.2 mailbox full`."""
    what = " ".join(filter(None, (report.type, report.subtype, report.status))) or "no details"
    return f"{what}: {report.text}" if report.text else what


def _known(facts: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in facts.items() if value}
