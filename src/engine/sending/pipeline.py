"""A batch of emails, from what was asked to what was done. A single email is a batch of one.

Four steps, each of which ends before the next begins: prepare, decide, send, record. It never raises for an
email: each ends `Completed`, `Deferred` (try again later) or `Failed` (a bug, or a status event that did not
go out: the delivery must come again).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from engine.concurrency import concurrently
from engine.errors import ServiceUnavailable, describe_bug, unwrap
from engine.requests.email_job import EmailJob
from engine.schemas.times import parse_iso
from engine.sending.braking import BrakeWatch
from engine.sending.decide import decide, expiry
from engine.sending.ports import Dependencies, capture_unavailable
from engine.sending.prepare import Prepared, prepare
from engine.sending.record import record_and_publish
from engine.sending.results import Completed, DeferralReason, Deferred, Email, Failed, Outcome, Ready, new_row
from engine.sending.send import BatchSend
from engine.templating.template import Template
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
            topic = self._topic(job)
            row = new_row(job, lease, now=now, retention_days=deps.policy.retention_days, topic=topic)
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
        request = job.request and replace(
            job.request,
            campaign=job.request.campaign or original.campaign,
            topic=job.request.topic or original.topic,
        )
        return replace(
            job,
            request=request,
            campaign=job.campaign or original.campaign,
            superseded=superseded,
            first_requested_at=parse_iso(original.timestamp) or job.first_requested_at,
            source=job.source or original.original_source,
            metadata=job.metadata or original.metadata,
            tags=job.tags or original.tags,
        )

    def _topic(self, job: EmailJob) -> str | None:
        """The topic as far as it is known before the template is loaded."""
        request = job.request
        if request is None:
            return None
        return request.topic or self.deps.templates.known_topic(request.template_name)

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
        outcomes = {
            **outcomes,
            **{
                email.place: self._until_expiry(email, outcome, prepared)
                for email in claimed
                if isinstance(outcome := outcomes[email.place], Deferred)
            },
        }
        return await record_and_publish(self.deps, [each for each in claimed if each.is_tracked], outcomes)

    def _until_expiry(self, email: Email, outcome: Deferred, prepared: Prepared) -> Deferred:
        """Let an email come back when it expires, so that this is told then and not hours later."""
        request, template = email.job.request, prepared.templates.get(email.job.template_name)
        if outcome.reason is DeferralReason.OUTCOME_UNKNOWN or not request:
            return outcome
        expires = expiry(email.job, request, template) if isinstance(template, Template) else None
        left = (expires - self.deps.clock()).total_seconds() if expires else 0
        return replace(outcome, at_most=left) if left > 0 else outcome

    def _decide(self, email: Email, prepared: Prepared) -> Ready | Outcome:
        try:
            decision = decide(email, prepared, self.deps.policy, self.deps.clock())
        except ServiceUnavailable as error:
            return self.deps.unavailable(error)
        except Exception as error:  # noqa: BLE001 - a bug met by one email must not fail the batch's others
            self.deps.telemetry.record("bug", problem=describe_bug(error), email_id=email.row.email_id)
            return Failed(describe_bug(error))
        return self.deps.defer(decision.reason) if isinstance(decision, Deferred) else decision
