"""Step 2: whether an email may go out, and as what message. Pure: all that it needs was asked before."""

from datetime import datetime

from engine.consent.links import LINK_VARIABLES, Subscription
from engine.errors import FailureCode, Refusal, Refused, unwrap
from engine.requests.addresses import address_key
from engine.requests.checks import brings_unsubscribe, refuse_full_headers, unsubscribe_headers
from engine.requests.email_job import EmailJob
from engine.schemas.request import EmailRequest, Unsubscribe
from engine.schemas.rows import BrakeRow
from engine.schemas.status import Reason
from engine.sending.compose import OutgoingMessage, compose, refuse_oversized
from engine.sending.ports import SendingPolicy
from engine.sending.prepare import Prepared, topic_of
from engine.sending.results import Completed, DeferralReason, Deferred, Email, Ready
from engine.sending.sender import resolve_sender
from engine.templating.template import Template
from engine.tracking.bounce_quota import refuse_over_quota
from engine.tracking.brakes import applying, describe, refuse_cancelled
from engine.tracking.consent import opt_out, unsubscribed
from engine.tracking.expiry import expires_at, refuse_expired


def decide(
    email: Email, prepared: Prepared, policy: SendingPolicy, now: datetime
) -> Ready | Completed | Deferred:
    """Raises ServiceUnavailable where a question that this email needs an answer to has none."""
    request = email.job.request
    if request is None:
        return email.refused_as_it_came(now)
    if email.job.superseded:
        problem = "the original has arrived after all, and SES has not said that this retry did"
        return email.refused(Refusal(FailureCode.SUPERSEDED, problem), now)
    if brake := applying(request, unwrap(prepared.checks).brakes):
        return under_brake(email, brake, now)
    try:
        message = message_of(email.job, request, prepared, policy, now)
    except Refused as refused:
        return email.refused(refused.refusal, now, topic_of(request, prepared.templates))
    if email.job.dry_run:
        would = f"would go to {message.recipients} recipient(s), from {message.sender}, with the subject"
        reason = Reason(code="would-send", message=f"{would} {message.subject!r}")
        return email.completed("dry_run", now, reason=reason)
    template = unwrap(prepared.templates[request.template_name])
    return Ready(email, request, message, template, expiry(email.job, request, template))


def expiry(job: EmailJob, request: EmailRequest, template: Template) -> datetime | None:
    """When an email expires; a retry as its original does."""
    return expires_at(request.expires_at, job.first_requested_at, template.valid_for_seconds)


def under_brake(email: Email, brake: BrakeRow, now: datetime) -> Completed | Deferred:
    """What becomes of an email that a brake concerns."""
    if refusal := refuse_cancelled(brake):
        return email.refused(refusal, now)
    if email.job.dry_run:
        reason = Reason(code="would-wait", message=f"would wait, for mail is stopped: {describe(brake)}")
        return email.completed("dry_run", now, reason=reason)
    return Deferred(DeferralReason.STOPPED)


def message_of(
    job: EmailJob, request: EmailRequest, prepared: Prepared, policy: SendingPolicy, now: datetime
) -> OutgoingMessage:
    """The message. Raises Refused.

    For the first of: suppression, bounce quota, template, expiry, consent, sender, size. A suppressed or
    unsubscribed `to` refuses the email. Such a cc or bcc is left out and the others get theirs, as it is with
    SES's own list: https://docs.aws.amazon.com/ses/latest/dg/sending-email-suppression-list.html
    """
    checks = unwrap(prepared.checks)
    found = checks.suppressed.get(job.to)
    if found:
        since = found.added_to_suppression_date or "an unknown date"
        why = f"{found.suppression_type}: {found.reason or 'no reason given'}"
        raise Refused(
            Refusal(FailureCode.SUPPRESSED, f"the recipient has been suppressed since {since} ({why})")
        )
    if not policy.quota.holds_bulk:
        unwrap(refuse_over_quota(checks.quota, policy.quota))
    template = unwrap(prepared.templates[request.template_name])
    unwrap(refuse_expired(expiry(job, request, template), now))
    topic = request.topic or template.topic
    left = opt_out(topic, job.to, checks.opt_outs)
    if topic and left:
        raise Refused(unsubscribed(topic, left))
    copies = map(address_key, (*request.cc, *request.bcc))
    left_out = {key for key in copies if key in checks.suppressed or opt_out(topic, key, checks.opt_outs)}
    hosted, variables = None, request.template_data
    # Copies carry the same headers: one click of theirs would unsubscribe the recipient.
    if topic and len(request.recipients) == 1 and (links := unwrap(prepared.links)):
        link = links.url(Subscription(topic, job.to))
        variables = dict.fromkeys(LINK_VARIABLES, link) | variables
        if not brings_unsubscribe(request):
            hosted = Unsubscribe(url=link)
            unwrap(refuse_full_headers(request, len(unsubscribe_headers(hosted))))
    rendered = template.render(variables)
    sender = unwrap(resolve_sender(request.sender_override, rendered, policy.sender))
    keys = {file.s3_key for file in request.attachments if file.s3_key}
    message = compose(
        request,
        rendered,
        sender,
        job.email_id,
        hosted=hosted,
        left_out=left_out,
        file_sizes={key: unwrap(prepared.attachment_sizes[key]) for key in keys},
    )
    unwrap(refuse_oversized(message))
    return message
