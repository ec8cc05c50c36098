"""The composition root: from the environment's variables to the two functions, ready to work."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from engine.aws.batched_ledger import BatchedLedger
from engine.aws.batches import SharedReads
from engine.aws.bounce_quota import DailyCounters
from engine.aws.ledger import TrackingLedger
from engine.aws.mailer import SesMailer
from engine.aws.payloads import RequestPayloads
from engine.aws.queues import EmailRetryQueue
from engine.aws.rate_gate import SharedRateGate
from engine.aws.rate_line import SharedLine
from engine.aws.rate_table import StateRateTable
from engine.aws.send_rate import SendRate
from engine.aws.status_events import StatusBus
from engine.aws.suppression import SuppressionList
from engine.aws.template_store import S3TemplateStore
from engine.domain.quota import QuotaPolicy
from engine.feedback import FeedbackPipeline, FeedbackPolicy
from engine.lanes import Lanes
from engine.observability import PowertoolsJournal
from engine.runtime import CONFIG, SES_CONFIG, Clients
from engine.schemas.envelopes import SnsRecord
from engine.sending.outcomes import Collaborators, SendingPolicy
from engine.sending.pipeline import SendingPipeline
from engine.settings import SenderSettings, feedback_settings, sender_settings


def now() -> datetime:
    return datetime.now(UTC)


def new_claim_id() -> str:
    return uuid4().hex


@dataclass(frozen=True)
class EmailSender:
    """The sender function at work."""

    lanes: Lanes
    journal: PowertoolsJournal
    clients: Clients

    async def close(self) -> None:
        await self.clients.close()


@dataclass(frozen=True)
class FeedbackProcessor:
    """The feedback function at work. `topic`: the ARN of the stack's feedback topic, empty where unknown."""

    pipeline: FeedbackPipeline
    journal: PowertoolsJournal
    clients: Clients
    topic: str

    async def process(self, records: Sequence[SnsRecord]) -> None:
        """Handle what SNS delivered. Another topic's reports count as well, but somebody should know."""
        for record in records:
            if self.topic and record.sns.topic_arn not in {"", self.topic}:
                self.journal.event("foreign-topic", topic=record.sns.topic_arn)
        try:
            await self.pipeline.process([record.sns.message for record in records])
        finally:
            self.journal.flush()

    async def close(self) -> None:
        await self.clients.close()


async def open_email_sender(variables: Mapping[str, str]) -> EmailSender:
    """Raises SettingsError, which lists all that is wrong with the variables."""
    settings = sender_settings(variables)
    journal = PowertoolsJournal("EmailSender", settings.environment, settings.log_level)
    clients = Clients()
    dynamodb = await clients.open("dynamodb", CONFIG)
    queue = EmailRetryQueue(await clients.open("sqs", CONFIG), settings.retry_queue_url)
    ses = await clients.open("sesv2", SES_CONFIG)
    gate = SharedRateGate(
        SharedLine(StateRateTable(dynamodb, settings.state_table), time.time),
        SendRate(ses, settings.ses_max_send_rate, time.time),
        journal,
        bulk_share=settings.bulk_share,
    )
    reads = SharedReads(dynamodb)
    collaborators = Collaborators(
        ledger=BatchedLedger(dynamodb, settings.tracking_table),
        suppression=SuppressionList(dynamodb, settings.suppression_table, reads=reads),
        quota=DailyCounters(dynamodb, settings.state_table, reads=reads),
        templates=S3TemplateStore(
            await clients.open("s3", CONFIG),
            settings.template_bucket,
            cache_seconds=settings.template_cache_seconds,
            clock=time.monotonic,
        ),
        payloads=RequestPayloads(dynamodb, settings.state_table, now),
        gate=gate,
        mailer=SesMailer(ses, settings.ses_configuration_set),
        status_events=StatusBus(await clients.open("events", CONFIG), settings.event_bus_name),
        journal=journal,
        clock=now,
        sleep=asyncio.sleep,
        new_claim_id=new_claim_id,
        policy=_policy(settings),
    )
    lanes = Lanes(
        pipeline=SendingPipeline(collaborators),
        retry_queue=queue,
        held_mail=queue,
        journal=journal,
        clock=now,
    )
    return EmailSender(lanes, journal, clients)


def _policy(settings: SenderSettings) -> SendingPolicy:
    return SendingPolicy(
        sender=settings.sender,
        quota=QuotaPolicy(settings.bounce_rate_threshold, settings.bounce_rate_min_sends),
        retention_days=settings.data_retention_days,
        reconcile_seconds=settings.reconcile_seconds,
        largest_call=settings.bulk_call_size,
    )


async def open_feedback_processor(variables: Mapping[str, str]) -> FeedbackProcessor:
    """Raises SettingsError, which lists all that is wrong with the variables."""
    settings = feedback_settings(variables)
    journal = PowertoolsJournal("FeedbackProcessor", settings.environment, settings.log_level)
    clients = Clients()
    dynamodb = await clients.open("dynamodb", CONFIG)
    pipeline = FeedbackPipeline(
        ledger=TrackingLedger(dynamodb, settings.tracking_table),
        suppression=SuppressionList(dynamodb, settings.suppression_table),
        quota=DailyCounters(dynamodb, settings.state_table),
        payloads=RequestPayloads(dynamodb, settings.state_table, now),
        retry_queue=EmailRetryQueue(await clients.open("sqs", CONFIG), settings.retry_queue_url),
        status_events=StatusBus(await clients.open("events", CONFIG), settings.event_bus_name),
        journal=journal,
        clock=now,
        policy=FeedbackPolicy(soft_bounce_retry_seconds=settings.soft_bounce_retry_seconds),
    )
    return FeedbackProcessor(pipeline, journal, clients, settings.feedback_topic_arn)
