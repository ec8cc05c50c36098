"""A batch of emails, from what was asked to what was done. A single email is a batch of one.

Four steps, each of which ends before the next begins: prepare, decide, send, record. It never raises for an
email: each ends `Completed`, `Deferred` (try again later) or `Failed` (a bug, or a status event that did not
go out: the delivery must come again).
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from engine.concurrency import concurrently
from engine.errors import ServiceUnavailable, describe_bug, unwrap
from engine.requests.email_job import EmailJob
from engine.sending.braking import BrakeWatch
from engine.sending.decide import decide
from engine.sending.ports import Dependencies, capture_unavailable
from engine.sending.prepare import Prepared, prepare
from engine.sending.results import Completed, DeferralReason, Deferred, Email, Failed, Outcome, Ready, new_row
from engine.sending.send import BatchSend
from engine.tracking.brakes import brake_keys
from engine.tracking.claim import Lease
from engine.tracking.kept_request import keep_beside
from engine.tracking.lifecycle import RANK, Status

# How much longer than its invocation a claim lasts: the clocks of two environments may differ.
LEASE_MARGIN: Final = 5.0
# Bytes of files that the emails of one batch may carry: the functions have 512 MB, and an email on its way
# takes three times its file.
MAX_BATCH_FILES: Final = 64_000_000


@dataclass(frozen=True)
class SendingPipeline:
    deps: Dependencies

    async def process(self, jobs: Sequence[EmailJob], seconds_left: Callable[[], float]) -> list[Outcome]:
        """One outcome for each job, in order. `seconds_left`: what remains of the invocation."""
        deps = self.deps
        now = deps.clock()
        lease = Lease(deps.new_claim_id(), now.timestamp() + seconds_left() + LEASE_MARGIN)
        outcomes: dict[int, Outcome] = {}
        emails: list[Email] = []
        duplicates: dict[int, int] = {}
        first: dict[str, int] = {}
        for place, job in enumerate(await concurrently(map(self._drop_obsolete_retry, jobs))):
            if not isinstance(job, EmailJob):
                outcomes[place] = job
                continue
            row = new_row(job, lease, now=now, retention_days=deps.policy.retention_days)
            if job.request:
                row = keep_beside(row, job.request) or row
            email = Email(place, job, row)
            if email.is_tracked and first.setdefault(job.email_id, place) != place:
                duplicates[place] = first[job.email_id]
            else:
                emails.append(email)
        try:
            outcomes |= await self._process(emails, seconds_left)
        except Exception as error:  # noqa: BLE001 - a bug that no single email met: all of them come again
            deps.telemetry.record("bug", problem=describe_bug(error))
            outcomes |= {email.place: Failed(describe_bug(error)) for email in emails}
        for place, original in duplicates.items():
            # The same request shares the outcome of the first; another one with its id waits for it.
            same = jobs[place].request_hash == jobs[original].request_hash
            done = isinstance(outcomes[original], Completed) and same
            outcomes[place] = Completed() if done else deps.defer(DeferralReason.CLAIMED_ELSEWHERE, 1)
        return [outcomes[place] for place in range(len(jobs))]

    async def _drop_obsolete_retry(self, job: EmailJob) -> EmailJob | Outcome:
        """A retry is needless when its original has arrived after all: SES's reports come in any order.

        One that was begun has a row, which must reach a final status all the same: it goes on as superseded,
        is judged by its row, and is not sent (again). Every retry takes over what its message leaves out and
        its original's row knows.
        """
        if not job.retry_attempt:
            return job
        original = await capture_unavailable(self.deps.ledger.read(job.original_email_id))
        if isinstance(original, ServiceUnavailable):
            return self.deps.unavailable(original)
        if original is None:
            return job
        superseded = original.status_rank > RANK[Status.SOFT_BOUNCED]
        if superseded:
            begun = await capture_unavailable(self.deps.ledger.read(job.email_id))
            if isinstance(begun, ServiceUnavailable):
                return self.deps.unavailable(begun)
            if begun is None:
                self.deps.telemetry.record(
                    "retry-needless", email_id=job.email_id, original_status=original.status
                )
                return Completed()
        return replace(
            job,
            superseded=superseded,
            source=job.source or original.original_source,
            metadata=job.metadata or original.metadata,
            tags=job.tags or original.tags,
        )

    async def _process(
        self, emails: Sequence[Email], seconds_left: Callable[[], float]
    ) -> dict[int, Outcome]:
        if not emails:
            return {}
        prepared = await prepare(self.deps, emails)
        claimed = [email for email in emails if email.place not in prepared.unclaimed]
        outcomes: dict[int, Outcome] = dict(prepared.unclaimed)
        ready: list[Ready] = []
        files = 0
        for email in claimed:
            decision = self._decide(email, prepared)
            if not isinstance(decision, Ready):
                outcomes[email.place] = decision
                continue
            size = sum(file.size for file in decision.message.attachments)
            if files and files + size > MAX_BATCH_FILES:
                outcomes[email.place] = self.deps.defer(DeferralReason.BATCH_TOO_LARGE)
                continue
            files += size
            ready.append(decision)
        if ready:
            keys = {key for item in ready for key in brake_keys(item.request)}
            brakes = BrakeWatch(self.deps, keys, unwrap(prepared.checks).brakes, prepared.asked_at)
            largest_call = min(self.deps.policy.largest_call, prepared.burst)
            outcomes |= await BatchSend(self.deps, seconds_left, brakes).send(ready, largest_call)
        return await record_and_publish(self.deps, [each for each in claimed if each.is_tracked], outcomes)

    def _decide(self, email: Email, prepared: Prepared) -> Ready | Outcome:
        try:
            decision = decide(email, prepared, self.deps.policy, self.deps.clock())
        except ServiceUnavailable as error:
            return self.deps.unavailable(error)
        except Exception as error:  # noqa: BLE001 - a bug met by one email must not fail the batch's others
            self.deps.telemetry.record("bug", problem=describe_bug(error), email_id=email.row.email_id)
            return Failed(describe_bug(error))
        return self.deps.defer(decision.reason) if isinstance(decision, Deferred) else decision


# -- step 4: record and publish ------------------------------------------------------------------------


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
