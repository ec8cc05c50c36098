"""From ready emails to SES: share calls where they may, wait for slots, send, and judge the answers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import Final

from engine.errors import (
    OutcomeUnknown,
    SendFailure,
    SendingPaused,
    SendRefused,
    SendThrottled,
    ServiceUnavailable,
)
from engine.requests.email_job import EmailJob
from engine.schemas.request import Lane
from engine.sending.grouping import group_into_calls
from engine.sending.one_email import OneEmail, Ready
from engine.sending.results import (
    Completed,
    DeferralReason,
    Deferred,
    Dependencies,
    Failed,
    Outcome,
    UnderWay,
    attempt,
    known,
    where,
)

# A send that starts with less than this many seconds left might be cut off with its outcome unknown.
TIME_FOR_A_SEND: Final = 5.0
_LONGEST_HOLD: Final = 60.0
# A send may be so much too early: the way to SES varies by more, and the loop's timer rounds a wait up to the
# next millisecond.
_UNSEEN: Final = 0.002


@dataclass
class Dispatch:
    """Sends one batch.

    `seconds_left`: what remains of the invocation. `saving`: the requests on their way into the State table,
    without which a soft bounce could not be tried again; no email leaves before they are there. `pacing`: how
    many recipients one call may have, which a new environment has to ask for.
    """

    deps: Dependencies
    under_way: UnderWay
    seconds_left: Callable[[], float]
    saving: Awaitable[ServiceUnavailable | None]
    pacing: Awaitable[int]
    _early: "asyncio.Task[datetime | ServiceUnavailable] | None" = field(default=None, init=False)
    # SES pauses an account or a configuration set, never one email: what a batch holds more waits unasked.
    _paused: bool = field(default=False, init=False)

    def line_up(self, job: EmailJob) -> None:
        """Ask for the slot of a batch's only email while it is still decided upon, if somebody waits for it.

        One that is refused then wastes its slot. With bulk mail that could be many, and nobody waits for it;
        with attachments the slot would be gone before they are here.
        """
        request = job.request
        if not request or request.dry_run or request.attachments:
            return
        if Lane(request.priority) is Lane.TRANSACTIONAL:
            reserving = self._reserve(len(request.recipients), Lane.TRANSACTIONAL)
            self._early = self.under_way.begin(attempt(reserving))

    async def _reserve(self, recipients: int, lane: Lane) -> datetime:
        """When the slots come."""
        wait = await self.deps.gate.reserve(recipients, lane, self.seconds_left() - TIME_FOR_A_SEND)
        return self.deps.clock() + timedelta(seconds=wait)

    async def send(self, ready: Sequence[Ready]) -> list[Outcome]:
        """One outcome for each, in order."""
        largest = min(self.deps.policy.largest_call, await self.pacing)
        calls = group_into_calls(ready, largest)
        answers = await asyncio.gather(*map(self._send_call, calls))
        outcomes = dict(zip(map(id, chain(*calls)), chain(*answers), strict=True))
        return [outcomes[id(item)] for item in ready]

    async def _send_call(self, call: Sequence[Ready]) -> list[Outcome]:
        try:
            return await self._wait_and_send(call)
        except ServiceUnavailable as error:
            return await self._hold(call, self.deps.unavailable(error, emails=len(call)))
        except Exception as error:  # noqa: BLE001 - a bug met by one call must not fail the batch's others
            self.deps.telemetry.record("bug", problem=where(error), email_id=call[0].email.job.email_id)
            return [Failed(where(error)) for _ in call]

    async def _wait_and_send(self, call: Sequence[Ready]) -> list[Outcome]:
        if self._early:
            moment = known(await self._early)
        else:
            recipients = sum(item.message.recipients for item in call)
            moment = await self._reserve(recipients, call[0].lane)
        known(await self.saving)  # first, as it may take long: then it is seen whether there is time to send
        wait = max(0.0, (moment - self.deps.clock()).total_seconds())
        if wait > self.seconds_left() - TIME_FOR_A_SEND:
            longest = min(wait, _LONGEST_HOLD)
            held = self.deps.hold(DeferralReason.OUT_OF_TIME, longest, emails=len(call))
            return await self._hold(call, held)
        if wait > _UNSEEN:
            await self.deps.sleep(wait)
        if self._paused:
            return await self._hold(call, self.deps.hold(DeferralReason.PAUSED, emails=len(call)))
        answers = await self.deps.mailer.send([item.message for item in call])
        if any(isinstance(answer, SendingPaused) for answer in answers):
            self._paused = True
        if any(isinstance(answer, SendThrottled) for answer in answers):
            await attempt(self.deps.gate.throttled())
        return await self._judge(call, answers)

    async def _hold(self, call: Sequence[Ready], held: Deferred) -> list[Outcome]:
        return list(await asyncio.gather(*(item.email.give_back(held) for item in call)))

    async def _judge(self, call: Sequence[Ready], answers: Sequence[str | SendFailure]) -> list[Outcome]:
        pairs = list(zip(call, answers, strict=True))
        failed = [(item, answer) for item, answer in pairs if not isinstance(answer, str)]
        judged = iter(await asyncio.gather(*(self._judge_failure(*pair) for pair in failed)))
        return [
            item.email.sent(item.request, item.message, answer) if isinstance(answer, str) else next(judged)
            for item, answer in pairs
        ]

    async def _judge_failure(self, item: Ready, answer: SendFailure) -> Completed | Deferred:
        match answer:
            case SendRefused():
                return self._refused(item.email, answer)
            case SendThrottled():
                name = "ses-answer-unexpected" if answer.unexpected else "ses-throttled"
                self.deps.telemetry.record(name, problem=str(answer))
                return await item.email.give_back(self.deps.hold(DeferralReason.THROTTLED))
            case SendingPaused():
                self.deps.telemetry.record("ses-paused", problem=str(answer))
                return await item.email.give_back(self.deps.hold(DeferralReason.PAUSED))
            case OutcomeUnknown():
                return self._wait_for_ses(item.email, answer)

    def _refused(self, email: OneEmail, no: SendRefused) -> Completed:
        if no.configuration:
            self.deps.telemetry.record("ses-configuration-wrong", email_id=email.job.email_id)
        return email.refuse(no.refusal)

    def _wait_for_ses(self, email: OneEmail, unknown: OutcomeUnknown) -> Deferred:
        """Keep the claim: SES's Send event settles it, or the reconcile window runs out."""
        self.deps.telemetry.record("outcome-unknown", email_id=email.job.email_id, problem=str(unknown))
        settled_by = email.own.lease_until + self.deps.policy.reconcile_seconds
        return self.deps.hold(DeferralReason.OUTCOME_UNKNOWN, settled_by - self.deps.clock().timestamp())
