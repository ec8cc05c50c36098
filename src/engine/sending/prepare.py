"""Step 1: claim ‖ suppression and quota ‖ templates and sizes of attachments ‖ recipients a call may have."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from engine.concurrency import concurrently
from engine.consent.links import UnsubscribeLinks
from engine.errors import FailureCode, Refusal, ServiceUnavailable
from engine.requests.addresses import address_key
from engine.requests.email_job import conflict_id
from engine.schemas.request import EmailRequest
from engine.schemas.rows import TrackingRow
from engine.schemas.times import iso
from engine.sending.braking import hold_bulk
from engine.sending.ports import Dependencies, capture, capture_unavailable
from engine.sending.results import Completed, DeferralReason, Email, Outcome
from engine.templating.template import Template
from engine.tracking.brakes import brake_keys
from engine.tracking.claim import Claimable, Conflict, Duplicate, Leased, Unsettled, judge_existing_row
from engine.tracking.consent import opt_out_keys
from engine.tracking.lifecycle import RANK, Status
from engine.tracking.ports import PreSendChecks
from engine.tracking.status_event import log_labels, reached_at, status_event

Templates = Mapping[str, Template | Refusal | Exception]
"""By name; an error stands where there is none."""


@dataclass(frozen=True)
class Prepared:
    """What a batch asked, each question once, from `asked_at` on; an error stands where there is no answer.

    `unclaimed`: by place, the outcomes of emails that this invocation must not send. `templates` and
    `attachment_sizes` (bytes) by name and by S3 key. `burst`: how many recipients one call may have. `links`
    to the hosted unsubscribe page; None where there is none, or no email has a topic.
    """

    asked_at: datetime
    unclaimed: Mapping[int, Outcome]
    checks: PreSendChecks | ServiceUnavailable
    templates: Templates
    attachment_sizes: Mapping[str, int | Refusal | Exception]
    burst: int
    links: UnsubscribeLinks | ServiceUnavailable | None


async def prepare(deps: Dependencies, emails: Sequence[Email]) -> Prepared:
    requests = [email.job.request for email in emails if email.job.request]
    addresses = {address_key(address) for request in requests for address in request.recipients}
    names = sorted({request.template_name for request in requests})
    keys = sorted({file.s3_key for request in requests for file in request.attachments if file.s3_key})
    brakes = {key for request in requests for key in brake_keys(request)}
    opt_outs = {key for email in emails for key in _opt_out_keys(email, email.row.topic)}
    asked_at = deps.clock()
    async with asyncio.TaskGroup() as group:
        claims = group.create_task(_claim(deps, emails))
        checks = group.create_task(
            capture_unavailable(deps.pre_send.read(addresses, deps.today(), brakes, opt_outs))
        )
        templates = [group.create_task(capture(deps.templates.load(name))) for name in names]
        sizes = [group.create_task(capture(deps.templates.attachment_size(key))) for key in keys]
        burst = group.create_task(deps.gate.burst())
    loaded = dict(zip(names, (task.result() for task in templates), strict=True))
    claimed = [email for email in emails if email.place not in claims.result()]
    found = checks.result()
    if isinstance(found, PreSendChecks):
        found = await _with_late_opt_outs(deps, found, claimed, loaded)
    if isinstance(found, PreSendChecks):
        found = await hold_bulk(deps, found, claimed)
    return Prepared(
        asked_at=asked_at,
        unclaimed=claims.result(),
        checks=found,
        templates=loaded,
        attachment_sizes=dict(zip(keys, (task.result() for task in sizes), strict=True)),
        burst=burst.result(),
        links=await _links(deps, claimed, loaded),
    )


def topic_of(request: EmailRequest, templates: Templates) -> str | None:
    """The topic of an email, as far as it is known."""
    template = templates.get(request.template_name)
    return request.topic or (template.topic if isinstance(template, Template) else None)


async def _links(
    deps: Dependencies, emails: Sequence[Email], templates: Templates
) -> UnsubscribeLinks | ServiceUnavailable | None:
    requests = [email.job.request for email in emails if email.job.request]
    if deps.links is None or not any(topic_of(request, templates) for request in requests):
        return None
    return await capture_unavailable(deps.links.load())


def _opt_out_keys(email: Email, topic: str | None) -> set[str]:
    request = email.job.request
    if request is None or topic is None:
        return set()
    return {key for address in request.recipients for key in opt_out_keys(topic, address_key(address))}


async def _with_late_opt_outs(
    deps: Dependencies, checks: PreSendChecks, emails: Sequence[Email], templates: Templates
) -> PreSendChecks | ServiceUnavailable:
    """The checks, with what topics ask for that only the templates told: one further read, if any."""
    late: set[str] = set()
    for email in emails:
        request, template = email.job.request, templates.get(email.job.template_name)
        if request and not request.topic and isinstance(template, Template):
            late |= _opt_out_keys(email, template.topic) if template.topic != email.row.topic else set()
    if not late:
        return checks
    found = await capture_unavailable(deps.pre_send.read_opt_outs(late))
    if isinstance(found, ServiceUnavailable):
        return found
    return replace(checks, opt_outs={**checks.opt_outs, **found})


async def _claim(deps: Dependencies, emails: Sequence[Email]) -> dict[int, Outcome]:
    tracked = [email for email in emails if email.is_tracked]
    if not tracked:
        return {}
    answers = await capture_unavailable(deps.ledger.claim([email.row for email in tracked]))
    if isinstance(answers, ServiceUnavailable):
        answers = [answers for _ in tracked]
    existing = [(email, there) for email, there in zip(tracked, answers, strict=True) if there]
    outcomes = await concurrently(handle_existing_row(deps, email, there) for email, there in existing)
    return {email.place: outcome for (email, _), outcome in zip(existing, outcomes, strict=True) if outcome}


async def handle_existing_row(
    deps: Dependencies, email: Email, existing: TrackingRow | ServiceUnavailable
) -> Outcome | None:
    """What follows from a row that is there already; None where its claim could be taken over."""
    if isinstance(existing, ServiceUnavailable):
        return deps.unavailable(existing)
    verdict = judge_existing_row(
        existing, email.job.request_hash, now=deps.clock(), reconcile_seconds=deps.policy.reconcile_seconds
    )
    match verdict:
        case Duplicate():
            deps.telemetry.record("duplicate", email_id=existing.email_id, status=existing.status)
            return republish_status(existing)
        case Conflict():
            return await _refuse_conflict(deps, email)
        case Leased(seconds):
            return deps.defer(DeferralReason.CLAIMED_ELSEWHERE, seconds)
        case Unsettled(seconds):
            return deps.defer(DeferralReason.OUTCOME_UNKNOWN, seconds)
        case Claimable(seen_lease):
            ours = replace(
                existing,
                claim_id=email.row.claim_id,
                lease_until=email.row.lease_until,
                kept_request=email.row.kept_request,
            )
            taken = await capture_unavailable(deps.ledger.reclaim(ours, seen_lease))
            return None if taken is True else deps.defer(DeferralReason.CLAIMED_ELSEWHERE, 1)


def republish_status(row: TrackingRow) -> Completed:
    """A redelivery publishes again: the invocation before may have died between record and publish.

    SES may have moved the row on meanwhile, and its report publishes that alone; so `sent` is published too.
    """
    events = [status_event(row, at=reached_at(row), previous=Status(row.status))]
    if row.ses_message_id and row.status_rank > RANK[Status.SENT]:
        sent = replace(row, status=Status.SENT)
        events.insert(0, status_event(sent, at=row.sent_at or row.timestamp, previous=Status.SENT))
    return Completed(events=tuple(events), labels=log_labels(row))


async def _refuse_conflict(deps: Dependencies, email: Email) -> Outcome:
    """Same key, other request: refused under an id of its own, the first email stays untouched."""
    job = email.job
    now = deps.clock()
    row = replace(
        email.row,
        email_id=conflict_id(job.email_id, job.request_hash),
        status=Status.FAILED,
        status_rank=RANK[Status.FAILED],
        lease_until=None,
        failure_code=FailureCode.IDEMPOTENCY_CONFLICT,
        failure_reason=f"idempotencyKey: was used before for another request (email {job.email_id}); a new"
        " email needs a new key, and a repeated one must ask for the same",
        failed_at=iso(now),
    )
    answers = await capture_unavailable(deps.ledger.claim([row]))
    answer = answers if isinstance(answers, ServiceUnavailable) else answers[0]
    if isinstance(answer, ServiceUnavailable):
        return deps.unavailable(answer)
    if answer:
        return republish_status(answer)
    return Completed(events=(status_event(row, at=iso(now)),), labels=log_labels(row))
