"""The scenario of a message: all events that SES reports, by the outcomes at its recipients' mailboxes."""

from collections.abc import Callable, Sequence
from datetime import datetime

from engine.local.ses.account import Account
from engine.local.ses.events import rendering_failure
from engine.local.ses.message import Message
from engine.local.ses.outcomes import DELIVERED, SENT, MailboxOutcome, Step, group_by_outcome
from engine.local.ses.outgoing import SimulatedEvent


def scenario(
    message: Message,
    account: Account,
    at: datetime,
    received: Callable[[str], int],
    on_list: Callable[[str], bool] = lambda _recipient: False,
) -> list[SimulatedEvent]:
    """All events of an accepted message: `Send` for everyone, then each group of recipients its outcome.

    A message whose template lacked data was never sent, so its rendering failure is the only event.
    """
    everyone = message.recipients
    failure = message.rendering_failure
    if failure is not None:
        step = Step("Rendering Failure", lambda mail, _to, _now: rendering_failure(mail, error=failure))
        return _events(message, (step,), everyone, account, at)
    events = _events(message, (SENT,), everyone, account, at)
    for outcome, recipients in group_by_outcome(everyone, received, on_list):
        events += _events(message, outcome, recipients, account, at)
    return events


def later_events(
    message: Message, outcome: MailboxOutcome, account: Account, at: datetime
) -> list[SimulatedEvent]:
    """The events of an outcome that comes later: without the delivery, which was reported before."""
    steps = tuple(step for step in outcome if step is not DELIVERED) or outcome
    return _events(message, steps, message.recipients, account, at)


def _events(
    message: Message, steps: Sequence[Step], recipients: tuple[str, ...], account: Account, at: datetime
) -> list[SimulatedEvent]:
    return [
        SimulatedEvent(
            message=message,
            step=step,
            recipients=recipients,
            at=at,
            account_id=account.account_id,
            region=account.region,
        )
        for step in steps
    ]
