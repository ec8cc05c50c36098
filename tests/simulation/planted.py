"""Faults that somebody might put into the engine, each of which some seed of the CI set must catch.

They are planted from outside, by replacing what one module takes from another.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from typing import Any, Final
from unittest.mock import patch

from msgspec.structs import replace
from tests.simulation.planted_outside import CONSENT_AND_SCHEDULES
from tests.simulation.planting import Plant, Planted, method, name_in, nothing, says_done

from engine.aws import ledger as aws_ledger
from engine.aws import pre_send_checks
from engine.aws.clients import CONFIG
from engine.aws.dynamodb import get_items
from engine.aws.error_codes import ses_error
from engine.aws.event_bus import StatusBus
from engine.aws.ledger import TrackingLedger
from engine.aws.payloads import RequestPayloads
from engine.aws.pre_send_checks import DailyCounters, PreSendTables
from engine.aws.queues import EmailRetryQueue, ParkedEmailQueue
from engine.aws.soft_bounces import SoftBounceItems
from engine.aws.suppression import SuppressionList
from engine.bootstrap import email_sender, feedback_processor
from engine.delivery.lanes import Lanes
from engine.errors import OutcomeUnknown, SendFailure, SendThrottled, unwrap
from engine.feedback import pipeline as feedback
from engine.feedback.bounce_policy import BounceContext, Verdict, judge
from engine.feedback.pipeline import FeedbackPipeline
from engine.feedback.reports import Report
from engine.feedback.target import FeedbackTarget
from engine.operations.parked import ParkedMail
from engine.operations.queue_pass import QueuePass
from engine.operations.redrive import Redrive
from engine.rate import gate
from engine.rate.gate import SharedRateGate
from engine.requests.email_job import EmailJob
from engine.schemas.envelopes import BatchAnswer
from engine.sending import decide, prepare, record, send
from engine.sending import pipeline as sending
from engine.sending.braking import FRESH, BrakeWatch
from engine.sending.pipeline import SendingPipeline
from engine.sending.ports import Dependencies, capture_unavailable
from engine.sending.results import Completed, Outcome, new_row
from engine.tracking.claim import judge_existing_row
from engine.tracking.ledger import Advance, Move
from engine.tracking.lifecycle import Status


async def _claims_won(true: Callable[..., Any], self: TrackingLedger, rows: Sequence[Any]) -> list[None]:
    await true(self, rows)
    return [None for _ in rows]


async def _publishes_first(deps: Dependencies, others: Sequence[Completed]) -> Any:
    published = await record._publish(deps, others)
    if published is None and (moves := [outcome.move for outcome in others if outcome.move]):
        await deps.ledger.record(moves)
    return published


def _first_destination(report: Report, _row: object) -> FeedbackTarget:
    return FeedbackTarget("recipient", report.destinations[:1])


def _milliseconds(*arguments: Any, **named: Any) -> Any:
    row = new_row(*arguments, **named)
    return replace(row, ttl=1000 * (row.ttl or 0))


async def _swallows(true: Callable[..., Any], *arguments: Any) -> None:
    with suppress(Exception):
        await true(*arguments)


def _no_window(*arguments: Any, now: Any, reconcile_seconds: float) -> Any:
    del reconcile_seconds
    return judge_existing_row(*arguments, now=now, reconcile_seconds=0)


async def _at_once(*_: object) -> float:
    return 0.0


async def _nobody_suppressed(true: Callable[..., Any], *arguments: Any) -> Any:
    return replace(await true(*arguments), suppressed={})


def _keepsnothing() -> Plant:
    stack = ExitStack()
    stack.enter_context(patch.object(sending, "keep_beside", lambda _row, _request: None))
    stack.enter_context(patch.object(RequestPayloads, "save", nothing))
    return stack


async def _all_done(true: Callable[..., Any], *arguments: Any) -> BatchAnswer:
    await true(*arguments)
    return BatchAnswer()


async def _forgets_publishing(true: Callable[..., Any], *arguments: Any, **named: Any) -> Advance:
    advance: Advance = await true(*arguments, **named)
    return replace(advance, already_published=False)


def _first_attempt(report: Report, context: BounceContext) -> Verdict:
    return judge(report, replace(context, attempt=0))


async def _one(true: Callable[..., Any], *arguments: Any) -> int:
    await true(*arguments)
    return 1


def _clean_no(error: Exception) -> SendFailure:
    failure = ses_error(error)
    return SendThrottled(str(failure)) if isinstance(failure, OutcomeUnknown) else failure


async def _sends_only(true: Callable[..., Any], self: TrackingLedger, moves: Sequence[Move]) -> None:
    if sent := [move for move in moves if move.to is Status.SENT]:
        await true(self, sent)


async def _drops(true: Callable[..., Any], self: SendingPipeline, job: EmailJob) -> EmailJob | Outcome:
    """As if a retry that was begun had nothing to tell."""
    answer: EmailJob | Outcome = await true(self, job)
    return Completed() if isinstance(answer, EmailJob) and answer.superseded else answer


def _counted_twice() -> Plant:
    stack = ExitStack()
    stack.enter_context(patch.object(email_sender, "COUNTER_CONFIG", CONFIG))
    stack.enter_context(patch.object(feedback_processor, "COUNTER_CONFIG", CONFIG))
    return stack


async def _deletes_first(true: Callable[..., Any], self: QueuePass, message: Any, now: datetime) -> None:
    """As a script does it that receives, deletes and sends on."""
    await self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
    await true(self, message, now)


async def _deletes_parked_first(
    true: Callable[..., Any], self: ParkedMail, messages: Sequence[Any], url: str
) -> None:
    for message in messages:
        await self._sqs.delete_message(QueueUrl=self._urls.parked, ReceiptHandle=message["ReceiptHandle"])
    await true(self, messages, url)


async def _fresh_at_once(_true: object, self: BrakeWatch) -> Mapping[str, Any]:
    """As if a look were over once it has begun."""
    self.read_at, asked = self.deps.clock(), self.read_at
    if self.read_at - asked > FRESH:
        self.known = await capture_unavailable(self._read())
    return unwrap(self.known)


async def _whatever_is_near(client: Any, keys: Any, **_: bool) -> Any:
    return await get_items(client, keys, consistent=False)


def _never_expires() -> Plant:
    stack = ExitStack()
    for module in (decide, send):
        stack.enter_context(patch.object(module, "refuse_expired", lambda *_: None))
    return stack


async def _never_retries(true: Callable[..., Any], *arguments: Any) -> None:
    del true, arguments


PLANTED: Final[Mapping[str, Planted]] = {
    "the answer to a claim is not looked at": Planted(method(TrackingLedger, "claim", _claims_won), 0),
    "a refusal is told before it is recorded": Planted(
        name_in(record, "_record_others", _publishes_first), 98
    ),
    "the first of mail.destination is blamed": Planted(
        name_in(feedback, "feedback_target", _first_destination), 0
    ),
    "TTL in milliseconds": Planted(name_in(sending, "new_row", _milliseconds), 0),
    "feedback swallows what goes wrong": Planted(method(FeedbackPipeline, "process", _swallows), 1),
    "the SDK tries SES again": Planted(name_in(email_sender, "SES_CONFIG", CONFIG), 4),
    "an expired lease is taken over at once": Planted(name_in(prepare, "judge_existing_row", _no_window), 40),
    "a lost answer of SES passes for a no": Planted(
        lambda: patch("engine.aws.mailer.ses_error", _clean_no), 134
    ),
    "the rate gate is ignored": Planted(name_in(SharedRateGate, "reserve", _at_once), 15),
    "suppression is not looked at": Planted(method(PreSendTables, "read", _nobody_suppressed), 0),
    "the request is not kept for a retry": Planted(_keepsnothing, 1),
    "a duplicate is not told again": Planted(
        name_in(prepare, "republish_status", lambda _row: Completed()), 14
    ),
    "every message of a batch is acknowledged": Planted(method(Lanes, "queue", _all_done), 1),
    "feedback does not know what it has published": Planted(
        method(TrackingLedger, "advance", _forgets_publishing), 1
    ),
    "a late report turns a row back": Planted(
        name_in(aws_ledger, "_CAN_TRANSITION", "attribute_exists(emailId)"), 0
    ),
    "sends are not counted": Planted(name_in(DailyCounters, "count_sends", nothing), 0),
    "what the direct lane defers is dropped": Planted(name_in(EmailRetryQueue, "defer", nothing), 1),
    "a retry is retried": Planted(name_in(feedback, "judge", _first_attempt), 0),
    "soft bounces are not counted": Planted(method(SoftBounceItems, "add", _one), 1),
    "hard bounces are not suppressed": Planted(name_in(SuppressionList, "add", nothing), 0),
    "a status event that was not taken is forgotten": Planted(method(StatusBus, "publish", _swallows), 22),
    "refusals are not recorded": Planted(method(TrackingLedger, "record", _sends_only), 0),
    "a retry that was begun is dropped": Planted(method(SendingPipeline, "_drop_obsolete_retry", _drops), 62),
    "the SDK counts again": Planted(_counted_twice, 8),
    "the first after an idle second leaves late": Planted(name_in(gate, "LEAD", 0), 680),
    "a redrive deletes first": Planted(method(QueuePass, "_look_at", _deletes_first), 54),
    "a redrive deletes what it could not hand on": Planted(method(Redrive, "_hand_on", says_done), 94),
    "go deletes parked mail first": Planted(method(ParkedMail, "_move", _deletes_parked_first), 1),
    "brakes are checked once": Planted(name_in(BrakeWatch, "is_fresh", lambda *_: True), 83),
    "a look for brakes passes for done while it is under way": Planted(
        method(BrakeWatch, "look", _fresh_at_once), 256
    ),
    "stopped mail is dropped": Planted(name_in(ParkedEmailQueue, "park", nothing), 3),
    "brakes and suppression are read eventually consistent": Planted(
        name_in(pre_send_checks, "get_items", _whatever_is_near), 134
    ),
    "opt-outs are not looked at": Planted(name_in(decide, "opt_out", lambda *_: None), 11),
    "expired mail leaves": Planted(_never_expires, 6),
    "a soft bounce is not retried": Planted(method(EmailRetryQueue, "schedule_retry", _never_retries), 1),
    **CONSENT_AND_SCHEDULES,
}
