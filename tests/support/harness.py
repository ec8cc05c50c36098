"""The sender and the feedback processor on fakes: one world, and the ways mail comes into it."""

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime
from itertools import count
from typing import Any

from msgspec.structs import replace
from tests.support.cloud import queue_event, request_event
from tests.support.fakes import FakeAws

from engine.delivery.lanes import DeferralAnswer, Lanes
from engine.feedback.pipeline import FeedbackPipeline, FeedbackPolicy
from engine.local.ses import events
from engine.local.ses.mail_object import MailObject
from engine.schemas.envelopes import BatchAnswer
from engine.schemas.rows import TrackingRow
from engine.schemas.status import EmailStatusChanged
from engine.sending.pipeline import SendingPipeline
from engine.sending.ports import Dependencies, SendingPolicy
from engine.sending.sender import SenderPolicy
from engine.tracking.bounce_quota import QuotaPolicy

RECONCILE = 300.0
INVOCATION = 30.0


def plenty() -> float:
    """All of an invocation's time is left."""
    return INVOCATION


def feedback_pipeline(fake_aws: FakeAws) -> FeedbackPipeline:
    return FeedbackPipeline(
        ledger=fake_aws.ledger,
        suppression=fake_aws.suppression,
        quota=fake_aws.quota,
        soft_bounces=fake_aws.soft_bounces,
        payloads=fake_aws.payloads,
        retry_queue=fake_aws.retry_queue,
        status_events=fake_aws.status_events,
        telemetry=fake_aws.telemetry,
        clock=fake_aws.clock,
        policy=FeedbackPolicy(),
    )


class Harness:
    """Both functions over one `FakeAws`. Time passes only when a test says so."""

    def __init__(self, *, holds_bulk: bool = False, hosts_page: bool = False, **policy: Any) -> None:
        policy = {"quota": QuotaPolicy(threshold=5, min_sends=100, holds_bulk=holds_bulk)} | policy
        self.fake_aws = FakeAws()
        fake_aws = self.fake_aws
        self.lanes = Lanes(
            pipeline=SendingPipeline(
                Dependencies(
                    ledger=fake_aws.ledger,
                    pre_send=fake_aws.pre_send,
                    brakes=fake_aws.pre_send,
                    operator_actions=fake_aws.status_events,
                    quota=fake_aws.quota,
                    templates=fake_aws.templates,
                    payloads=fake_aws.payloads,
                    gate=fake_aws.gate,
                    mailer=fake_aws.mailer,
                    status_events=fake_aws.status_events,
                    telemetry=fake_aws.telemetry,
                    clock=fake_aws.clock,
                    sleep=fake_aws.sleep,
                    new_claim_id=map("claim-{}".format, count(1)).__next__,
                    policy=replace(POLICY, **policy),
                    links=fake_aws.links if hosts_page else None,
                )
            ),
            queues=fake_aws.retry_queue,
            parked=fake_aws.retry_queue,
            telemetry=fake_aws.telemetry,
            clock=fake_aws.clock,
        )
        self.feedback = feedback_pipeline(fake_aws)
        self.ses_lateness = 0.0
        self._taken: dict[str, datetime] = {}
        self._reported: set[str] = set()

    async def ask(
        self, seconds_left: Callable[[], float] = plenty, **detail: Any
    ) -> EmailStatusChanged | DeferralAnswer | None:
        """Publish an Email Request on the direct lane."""
        return await self.lanes.direct(request_event(**detail), seconds_left)

    async def deliver(self, *bodies: object, receives: int = 1) -> BatchAnswer:
        """Hand over a batch from a queue."""
        return await self.lanes.queue(queue_event(*bodies, receives=receives), plenty)

    def park_nothing(self) -> None:
        """As where PARKED_QUEUE_URL is empty."""
        self.lanes = dataclasses.replace(self.lanes, parked=None)

    async def wait(self, seconds: float) -> None:
        """Time passes, and SES's reports that were due come in."""
        await self.ses_reports_sends()
        self.fake_aws.clock.advance(seconds)
        await self.ses_reports_sends()

    async def ses_reports_sends(self) -> None:
        """SES publishes the Send event of every message it took `ses_lateness` seconds ago or earlier."""
        now = self.fake_aws.clock()
        for ses_id, message in self.fake_aws.mailer.sent.items():
            taken = self._taken.setdefault(ses_id, now)
            if ses_id in self._reported or (now - taken).total_seconds() < self.ses_lateness:
                continue
            mail = MailObject(
                message_id=ses_id,
                sent_at=taken,
                source=message.sender,
                to=(message.to,),
                tags=dict(message.tags),
            )
            await self.feedback.process([json.dumps(events.send(mail))])
            self._reported.add(ses_id)

    @property
    def row(self) -> TrackingRow:
        """The only tracking row."""
        (row,) = self.fake_aws.ledger.rows.values()
        return row

    @property
    def subjects_sent(self) -> list[str]:
        return [message.subject for message in self.fake_aws.mailer.sent.values()]


POLICY = SendingPolicy(
    sender=SenderPolicy.of("no-reply@shop.example", "The Shop"),
    quota=QuotaPolicy(threshold=5, min_sends=100),
    retention_days=90,
    reconcile_seconds=RECONCILE,
)
