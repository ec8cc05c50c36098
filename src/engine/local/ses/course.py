"""The course of a message: the events that its recipients' fates make of it."""

from collections.abc import Callable, Sequence
from datetime import datetime

from engine.local.ses.account import Account
from engine.local.ses.events import rendering_failure
from engine.local.ses.fates import DELIVERED, SENT, Fate, Step, group_by_fate
from engine.local.ses.message import Message
from engine.local.ses.outgoing import SesEvent


def course_of(
    message: Message, account: Account, at: datetime, failed_before: Callable[[str], bool]
) -> list[SesEvent]:
    """Everything that SES reports of an accepted message: `Send` for all, then each group's fate.

    A message whose template lacked data was never sent; its rendering failure is all there is.
    """
    everyone = message.recipients
    failure = message.rendering_failure
    if failure is not None:
        step = Step("Rendering Failure", lambda mail, _to, _now: rendering_failure(mail, error=failure))
        return _events(message, (step,), everyone, account, at)
    course = _events(message, (SENT,), everyone, account, at)
    for fate, recipients in group_by_fate(everyone, failed_before):
        course += _events(message, fate, recipients, account, at)
    return course


def news_of(message: Message, fate: Fate, account: Account, at: datetime) -> list[SesEvent]:
    """What is new when a fate strikes a message later: not the delivery that precedes it."""
    news = tuple(step for step in fate if step is not DELIVERED) or fate
    return _events(message, news, message.recipients, account, at)


def _events(
    message: Message, steps: Sequence[Step], recipients: tuple[str, ...], account: Account, at: datetime
) -> list[SesEvent]:
    return [
        SesEvent(
            message=message,
            step=step,
            recipients=recipients,
            at=at,
            account_id=account.account_id,
            region=account.region,
        )
        for step in steps
    ]
