"""The outcome of a message at a mailbox, chosen by the recipient's address: delivery, bounce, complaint, ...

Real SES answers five mailbox-simulator addresses (https://docs.aws.amazon.com/ses/latest/dg/send-an-email-from-console.html):
`success@`, `bounce@`, `ooto@`, `complaint@` and `suppressionlist@simulator.amazonses.com`, each with any
`+label`. The other names in `OUTCOMES` exist only here: they stand for outcomes that real SES offers no
address for. All of them work at both domains of `SIMULATOR_DOMAINS`. Mail to `simulator.amazonses.com` does
not count for the daily quota nor, in the engine, for the bounce rate, as with real SES; mail to
`simulator.example.com` counts like any other. Every other address is delivered.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

import msgspec

from engine.local.ses import events
from engine.local.ses.events import EventDocument
from engine.local.ses.mail_object import MailObject
from engine.local.ses.message import bare_address

MAILBOX_SIMULATOR = "simulator.amazonses.com"
SIMULATOR_DOMAINS = frozenset({MAILBOX_SIMULATOR, "simulator.example.com"})

Build = Callable[[MailObject, Sequence[str], datetime], EventDocument]


class Step(msgspec.Struct, frozen=True):
    """One event on the way of a message: its type, and how to build it."""

    kind: str
    build: Build


MailboxOutcome = tuple[Step, ...]
"""The events that follow `Send`, in order."""

SENT = Step("Send", lambda mail, _recipients, _now: events.send(mail))
DELIVERED = Step("Delivery", events.delivery)
OPENED = Step("Open", lambda mail, _recipients, now: events.open_(mail, now))
CLICKED = Step("Click", lambda mail, _recipients, now: events.click(mail, now))
COMPLAINED = Step("Complaint", events.complaint)
DELAYED = Step("DeliveryDelay", events.delivery_delay)
REJECTED = Step("Reject", lambda mail, _recipients, _now: events.reject(mail))
UNSUBSCRIBED = Step("Subscription", lambda mail, _recipients, now: events.subscription(mail, now))

_SUPPRESSED_DIAGNOSTIC = (
    "Amazon SES has suppressed sending to this address because it has a recent history of bouncing as an "
    "invalid address. For more information about how to remove an address from the suppression list, see "
    "the Amazon SES Developer Guide: "
    "http://docs.aws.amazon.com/ses/latest/DeveloperGuide/remove-from-suppressionlist.html"
)
_ACCOUNT_SUPPRESSED_DIAGNOSTIC = (
    "Amazon SES did not send the message to this address because it is on the suppression list for your "
    "account. For more information about removing addresses from the suppression list, see the Amazon SES "
    "Developer Guide at https://docs.aws.amazon.com/ses/latest/DeveloperGuide/sending-email-suppression-list.html"
)


def _bounced(bounce_type: str, subtype: str, status: str | None, diagnostic: str | None) -> Step:
    build = partial(
        events.bounce, bounce_type=bounce_type, subtype=subtype, status=status, diagnostic=diagnostic
    )
    return Step("Bounce", build)


def _soft(subtype: str, status: str | None, diagnostic: str | None) -> Step:
    return _bounced("Transient", subtype, status, diagnostic)


BOUNCED = Step("Bounce", events.bounce)
# As Gmail and Exchange answer: a permanent code, which SES reports as a soft bounce all the same.
MAILBOX_FULL = _soft("MailboxFull", "5.2.2", "smtp; 552 5.2.2 The email account is over quota")

OUTCOMES: Mapping[str, MailboxOutcome] = {
    # At both real SES and here.
    "success": (DELIVERED,),
    "bounce": (BOUNCED,),
    "ooto": (DELIVERED, _soft("General", None, None)),
    "complaint": (DELIVERED, COMPLAINED),
    "suppressionlist": (_bounced("Permanent", "Suppressed", "5.1.1", _SUPPRESSED_DIAGNOSTIC),),
    # Only here: what readers do.
    "open": (DELIVERED, OPENED),
    "click": (DELIVERED, OPENED, CLICKED),
    "unsubscribe": (DELIVERED, UNSUBSCRIBED),
    "notspam": (DELIVERED, Step("Complaint", partial(events.complaint, feedback_type="not-spam"))),
    # Only here: hard bounces of other subtypes.
    "noemail": (_bounced("Permanent", "NoEmail", "5.1.1", "smtp; 550 5.1.1 no such user"),),
    "accountsuppressed": (
        _bounced("Permanent", "OnAccountSuppressionList", "5.1.1", _ACCOUNT_SUPPRESSED_DIAGNOSTIC),
    ),
    # Only here: soft bounces.
    "softbounce": (_soft("General", "4.4.7", "smtp; 451 4.4.7 temporary failure"),),
    "mailboxfull": (MAILBOX_FULL,),
    "toolarge": (_soft("MessageTooLarge", "4.3.4", "smtp; 452 4.3.4 message size exceeds fixed limit"),),
    "timeout": (_soft("CustomTimeoutExceeded", "4.4.7", "smtp; 451 4.4.7 message expired"),),
    "contentrejected": (_soft("ContentRejected", "4.7.1", "smtp; 451 4.7.1 content refused"),),
    "attachmentrejected": (_soft("AttachmentRejected", "4.7.1", "smtp; 451 4.7.1 attachment refused"),),
    "undetermined": (_bounced("Undetermined", "Undetermined", None, None),),
    # Only here: delays, refusals, silence.
    "delay": (DELAYED, DELIVERED),
    "reject": (REJECTED,),
    "silent": (),
}

RECOVERING: Mapping[str, int] = {"recovers": 1, "fulltwice": 2}
"""How many messages to the exact address find the mailbox full; later ones are delivered."""


def outcome_name(address: str) -> str:
    """The outcome's name for an address: its local part without `+label`; `success` at other domains."""
    local, _, domain = bare_address(address).lower().rpartition("@")
    if domain not in SIMULATOR_DOMAINS:
        return "success"
    name = local.partition("+")[0]
    return name if name in OUTCOMES or name in RECOVERING else "success"


def is_recovering(address: str) -> bool:
    """Whether the address is one that fails only at first."""
    return outcome_name(address) in RECOVERING


def is_mailbox_simulator(address: str) -> bool:
    """Whether real SES keeps this address out of the daily quota."""
    return bare_address(address).lower().endswith(f"@{MAILBOX_SIMULATOR}")


def group_by_outcome(
    recipients: Sequence[str],
    received: Callable[[str], int],
    on_list: Callable[[str], bool] = lambda _recipient: False,
) -> list[tuple[MailboxOutcome, tuple[str, ...]]]:
    """The recipients of one message by their outcome: SES reports those with the same one in one event.

    `received`: how many messages a recovering address had before. `on_list`: whether the account suppression
    list holds mail to an address back.
    """
    groups: dict[str, list[str]] = {}
    for recipient in recipients:
        name = "accountsuppressed" if on_list(recipient) else outcome_name(recipient)
        if name in RECOVERING:
            name = "mailboxfull" if received(recipient) < RECOVERING[name] else "success"
        groups.setdefault(name, []).append(recipient)
    return [(OUTCOMES[name], tuple(members)) for name, members in groups.items()]
