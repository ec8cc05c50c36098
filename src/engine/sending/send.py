"""Step 3: keep requests ‖ fetch files ‖ each call waits for those and its slot, looks for brakes, sends."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec.structs import replace

from engine.concurrency import concurrently
from engine.errors import (
    OutcomeUnknown,
    Refusal,
    Refused,
    SendFailure,
    SendingPaused,
    SendRefused,
    SendThrottled,
    ServiceUnavailable,
    describe_bug,
    unwrap,
)
from engine.schemas.rows import BrakeRow
from engine.schemas.status import Reason
from engine.sending.braking import BrakeWatch
from engine.sending.compose import OutgoingMessage, with_files
from engine.sending.decide import under_brake
from engine.sending.grouping import group_into_calls
from engine.sending.ports import Dependencies, capture, capture_unavailable
from engine.sending.results import Completed, DeferralReason, Deferred, Failed, Outcome, Ready
from engine.tracking.bounce_quota import counts
from engine.tracking.brakes import applying
from engine.tracking.expiry import refuse_expired
from engine.tracking.ledger import Move
from engine.tracking.lifecycle import Status

# A send that starts with less than this many seconds left might be cut off with its outcome unknown.
TIME_FOR_A_SEND: Final = 5.0
_LONGEST_HOLD: Final = 60.0
# A send may be so much too early: the way to SES varies by more, and the loop's timer rounds a wait up to the
# next millisecond.
_UNSEEN: Final = 0.002
_LOOK_AHEAD: Final = timedelta(seconds=0.25)


@dataclass
class BatchSend:
    """Sends the emails of one batch. `seconds_left`: what remains of the invocation."""

    deps: Dependencies
    seconds_left: Callable[[], float]
    brakes: BrakeWatch
    # SES pauses an account or a configuration set, never one email: what a batch holds more waits unasked.
    _paused: bool = field(default=False, init=False)

    async def send(self, ready: Sequence[Ready], largest_call: int) -> dict[int, Outcome]:
        """An outcome for each, by its place in the batch."""
        calls = group_into_calls(ready, largest_call)
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(capture_unavailable(self._keep_requests(ready)))
            fetching = group.create_task(self._fetch_files(ready))
            slots = [self._reserve(call) for call in calls]  # all of them, before any of them claims
            sending = [
                group.create_task(self._outcomes(call, self._wait_and_send(call, slot, keeping, fetching)))
                for call, slot in zip(calls, slots, strict=True)
            ]
        return {
            item.email.place: outcome
            for call, task in zip(calls, sending, strict=True)
            for item, outcome in zip(call, task.result(), strict=True)
        }

    def _reserve(self, call: Sequence[Ready]) -> Coroutine[Any, Any, float]:
        recipients = sum(item.message.recipients for item in call)
        return self.deps.gate.reserve(recipients, call[0].lane, self.seconds_left() - TIME_FOR_A_SEND)

    async def _keep_requests(self, ready: Sequence[Ready]) -> None:
        """For a soft-bounce retry, those that did not fit beside their claims."""
        emails = [item.email for item in ready if item.email.row.kept_request is None]
        kept = {email.row.email_id: email.job.request for email in emails if email.job.request}
        if kept:
            await self.deps.payloads.save(emails[0].row.claim_id or "", kept)

    async def _fetch_files(self, ready: Sequence[Ready]) -> dict[str, bytes | Refusal | Exception]:
        """Each file of the batch once, by S3 key."""
        keys = sorted({file.s3_key for item in ready for file in item.message.attachments if file.s3_key})
        load = self.deps.templates.load_attachment
        return dict(zip(keys, await concurrently(capture(load(key)) for key in keys), strict=True))

    async def _outcomes(
        self, call: Sequence[Ready], sending: Coroutine[Any, Any, list[Outcome]]
    ) -> list[Outcome]:
        """What became of a call, whatever it raised."""
        try:
            return await sending
        except Refused as refused:  # a file that went after its size was asked for; such an email goes alone
            return [item.email.refused(refused.refusal, self.deps.clock()) for item in call]
        except ServiceUnavailable as error:
            return [self.deps.unavailable(error, emails=len(call))] * len(call)
        except Exception as error:  # noqa: BLE001 - a bug met by one call must not fail the batch's others
            problem = describe_bug(error)
            self.deps.telemetry.record("bug", problem=problem, email_id=call[0].email.row.email_id)
            return [Failed(problem)] * len(call)

    async def _wait_and_send(
        self,
        call: Sequence[Ready],
        slot: Coroutine[Any, Any, float],
        keeping: "asyncio.Task[ServiceUnavailable | None]",
        fetching: "asyncio.Task[dict[str, bytes | Refusal | Exception]]",
    ) -> list[Outcome]:
        deps, emails = self.deps, len(call)
        wait = await slot
        due = deps.clock() + timedelta(seconds=wait)
        unwrap(await keeping)
        messages = [with_files(item.message, await fetching) for item in call]
        wait = max(0.0, (due - deps.clock()).total_seconds())
        if wait > self.seconds_left() - TIME_FOR_A_SEND:
            at_least = min(wait, _LONGEST_HOLD)
            return [deps.defer(DeferralReason.OUT_OF_TIME, at_least, emails=emails)] * emails
        brakes = await self._wait_for_slot(due)
        if self._paused:
            return [deps.defer(DeferralReason.PAUSED, emails=emails)] * emails
        outcomes: dict[int, Outcome] = {}
        leaving = []
        for item, message in zip(call, messages, strict=True):
            if brake := applying(item.request, brakes):
                outcomes[item.email.place] = self._stopped(item, brake)
            elif refusal := refuse_expired(item.expires, deps.clock()):
                outcomes[item.email.place] = item.email.refused(refusal, deps.clock())
            else:
                leaving.append((item, message))
        if leaving:
            outcomes |= await self._send([item for item, _ in leaving], [message for _, message in leaving])
        return [outcomes[item.email.place] for item in call]

    async def _wait_for_slot(self, due: datetime) -> Mapping[str, BrakeRow]:
        """The brakes right before a call is due. Raises ServiceUnavailable where they can't be known.

        They are read a little ahead, so that reading takes no time of the slots.
        """
        # What it waited for besides may have come after its slot.
        if not self.brakes.is_fresh(max(due, self.deps.clock())):
            await self._sleep_until(due - _LOOK_AHEAD)
            await self.brakes.look()
        await self._sleep_until(due)
        return unwrap(self.brakes.known)

    async def _sleep_until(self, moment: datetime) -> None:
        wait = (moment - self.deps.clock()).total_seconds()
        if wait > _UNSEEN:
            await self.deps.sleep(wait)

    def _stopped(self, item: Ready, brake: BrakeRow) -> Outcome:
        outcome = under_brake(item.email, brake, self.deps.clock())
        return self.deps.defer(outcome.reason) if isinstance(outcome, Deferred) else outcome

    async def _send(self, call: Sequence[Ready], messages: Sequence[OutgoingMessage]) -> dict[int, Outcome]:
        deps = self.deps
        answers = await deps.mailer.send(messages)
        if any(isinstance(answer, SendingPaused) for answer in answers):
            self._paused = True
        if any(isinstance(answer, SendThrottled) for answer in answers):
            await capture_unavailable(deps.gate.throttled())
        return {
            item.email.place: self._outcome(item, answer) for item, answer in zip(call, answers, strict=True)
        }

    def _outcome(self, item: Ready, answer: str | SendFailure) -> Outcome:
        deps, email = self.deps, item.email
        match answer:
            case str():
                return self._sent(item, answer)
            case SendRefused():
                if answer.configuration:
                    deps.telemetry.record("ses-configuration-wrong", email_id=email.row.email_id)
                return email.refused(answer.refusal, deps.clock())
            case SendThrottled():
                name = "ses-answer-unexpected" if answer.unexpected else "ses-throttled"
                deps.telemetry.record(name, problem=str(answer))
                return deps.defer(DeferralReason.THROTTLED)
            case SendingPaused():
                deps.telemetry.record("ses-paused", problem=str(answer))
                return deps.defer(DeferralReason.PAUSED)
            case OutcomeUnknown():
                # The claim stays: SES's Send event settles it, or the reconcile window runs out.
                deps.telemetry.record("outcome-unknown", email_id=email.row.email_id, problem=str(answer))
                settled_by = (email.row.lease_until or 0) + deps.policy.reconcile_seconds
                return deps.defer(DeferralReason.OUTCOME_UNKNOWN, settled_by - deps.clock().timestamp())

    def _sent(self, item: Ready, ses_message_id: str) -> Completed:
        now = self.deps.clock()
        left_out = len(item.request.recipients) - item.message.recipients
        problem = f"{left_out} of cc and bcc left out: they are suppressed or unsubscribed"
        reason = Reason(code="recipients-suppressed", message=problem) if left_out else None
        row, template = item.email.row, item.template
        move = Move(
            email_id=row.email_id,
            to=Status.SENT,
            at=now,
            ses_message_id=ses_message_id,
            template_version=template.version,
            topic=item.request.topic or template.topic,
        )
        completed = item.email.completed(Status.SENT, now, reason=reason, move=move)
        return replace(completed, counted=sum(map(counts, item.message.addresses)))
