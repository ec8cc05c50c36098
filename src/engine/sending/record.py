"""Step 4: what became of a batch is recorded, counted, published and logged."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from engine.errors import ServiceUnavailable
from engine.sending.ports import Dependencies, capture_unavailable
from engine.sending.results import Completed, DeferralReason, Deferred, Email, Failed, Outcome


async def record_and_publish(
    deps: Dependencies, claimed: Sequence[Email], outcomes: Mapping[int, Outcome]
) -> dict[int, Outcome]:
    """Each outcome by place, as it is once it is recorded and published.

    Claims on what is deferred are released, so that the next delivery may claim at once, but for those whose
    outcome is unknown: SES's Send event settles them, or their lease runs out.
    """
    completed = {place: one for place, one in outcomes.items() if isinstance(one, Completed)}
    sent = {place: one for place, one in completed.items() if one.was_sent}
    others = {place: one for place, one in completed.items() if not one.was_sent}
    released = [
        email.row
        for email in claimed
        if isinstance(one := outcomes[email.place], Deferred)
        and one.reason is not DeferralReason.OUTCOME_UNKNOWN
    ]
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(_record_sent(deps, sent.values()))
        refusing = group.create_task(_record_others(deps, others.values()))
        for row in released:
            release = deps.ledger.release(row.email_id, row.lease_until or 0)
            group.create_task(capture_unavailable(release))
    problems = dict.fromkeys(sent, sending.result()) | dict.fromkeys(others, refusing.result())
    return {place: problems.get(place) or outcome for place, outcome in outcomes.items()}


async def _record_sent(deps: Dependencies, sent: Collection[Completed]) -> Failed | None:
    """A lost record is harmless: SES's Send event moves the row as well. So is a lost count.

    The bus takes longest to answer, so it is asked first.
    """
    if not sent:
        return None
    _log(deps, sent)
    counted = sum(outcome.counted for outcome in sent)
    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(_publish(deps, sent))
        moves = [outcome.move for outcome in sent if outcome.move]
        recording = group.create_task(capture_unavailable(deps.ledger.record(moves)))
        if counted:
            counting = group.create_task(capture_unavailable(deps.quota.count_sends(deps.today(), counted)))
    if isinstance(recording.result(), ServiceUnavailable):
        deps.telemetry.record("record-lost", problem=str(recording.result()))
    if counted and isinstance(counting.result(), ServiceUnavailable):
        deps.telemetry.record("count-lost", sends=counted, problem=str(counting.result()))
    return publishing.result()


async def _record_others(deps: Dependencies, others: Collection[Completed]) -> Deferred | Failed | None:
    """Record, then publish: a refusal that was published must not turn into a send at the redelivery."""
    moves = [outcome.move for outcome in others if outcome.move]
    if moves:
        recorded = await capture_unavailable(deps.ledger.record(moves))
        if isinstance(recorded, ServiceUnavailable):
            return deps.unavailable(recorded, emails=len(others))
    _log(deps, others)
    return await _publish(deps, others)


async def _publish(deps: Dependencies, outcomes: Collection[Completed]) -> Failed | None:
    events = [event for outcome in outcomes for event in outcome.events]
    published = await capture_unavailable(deps.status_events.publish(events)) if events else None
    if isinstance(published, ServiceUnavailable):
        deps.telemetry.record("publish-failed", problem=str(published))
        return Failed("the status event could not be published")
    return None


def _log(deps: Dependencies, outcomes: Collection[Completed]) -> None:
    """Log once, whether or not the bus takes the events: a repetition has its own status as the previous."""
    for outcome in outcomes:
        for event in outcome.events[-1:]:
            deps.telemetry.record(
                "email-settled",
                email_id=event.email_id,
                status=event.status,
                previous=event.previous_status or "",
                code=event.reason.code if event.reason else "",
                **outcome.labels,
            )
