"""Brakes: what an operator has stopped or cancelled.

A brake is an item of the State table, and holds as long as the item is there. `stop#…` makes mail wait,
`cancel#campaign#…` ends it as failed.
"""

from collections.abc import Mapping
from typing import Final

from engine.errors import FailureCode, Refusal
from engine.schemas.request import EmailRequest, Lane
from engine.schemas.rows import BrakeRow
from engine.tracking.bounce_quota import QuotaPolicy, QuotaReading, refuse_over_quota

STOP: Final = "stop#"
CANCEL: Final = "cancel#"
STOP_ALL: Final = f"{STOP}all"
STOP_BULK: Final = f"{STOP}bulk"
BY_ENGINE: Final = "engine"


def stop_template(name: str) -> str:
    return f"{STOP}template#{name}"


def stop_campaign(name: str) -> str:
    return f"{STOP}campaign#{name}"


def cancel_campaign(name: str) -> str:
    return f"{CANCEL}campaign#{name}"


def brake_keys(request: EmailRequest) -> tuple[str, ...]:
    """The keys of the brakes that concern an email; the first that is there applies."""
    campaign = request.campaign
    return (
        *((cancel_campaign(campaign),) if campaign else ()),
        STOP_ALL,
        *((STOP_BULK,) if Lane(request.priority) is Lane.BULK else ()),
        stop_template(request.template_name),
        *((stop_campaign(campaign),) if campaign else ()),
    )


def applying(request: EmailRequest, brakes: Mapping[str, BrakeRow]) -> BrakeRow | None:
    """The brake that holds an email. What is cancelled is cancelled, stopped or not."""
    return next((brakes[key] for key in brake_keys(request) if key in brakes), None)


def refuse_cancelled(brake: BrakeRow) -> Refusal | None:
    """What a brake does to an email: the refusal of a cancelled one; None for one that waits."""
    return Refusal(FailureCode.CANCELLED, describe(brake)) if brake.pk.startswith(CANCEL) else None


def describe(brake: BrakeRow) -> str:
    """Such as `stop#campaign#spring, set by ops at 2026-11-25T09:00:00.000Z: wrong price`."""
    by, since = brake.by or "somebody", brake.since or "an unknown time"
    return f"{brake.pk}, set by {by} at {since}: {brake.because or 'no reason given'}"


def bulk_hold(reading: QuotaReading, policy: QuotaPolicy, since: str) -> BrakeRow | None:
    """The brake on the bulk lane that the day's bounce rate asks for, where the policy is to hold it."""
    over = refuse_over_quota(reading, policy) if policy.holds_bulk else None
    return BrakeRow(pk=STOP_BULK, because=over.message, by=BY_ENGINE, since=since) if over else None
