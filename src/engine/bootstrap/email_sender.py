"""The sender function: from its environment's variables to a pipeline that is ready to work."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

from engine.aws.batched_ledger import BatchedLedger
from engine.aws.batches import SharedReads
from engine.aws.bounce_quota import DailyCounters
from engine.aws.mailer import SesMailer
from engine.aws.payloads import RequestPayloads
from engine.aws.queues import EmailRetryQueue
from engine.aws.rate_item import StateRateTable
from engine.aws.send_rate import SendRate
from engine.aws.status_events import StatusBus
from engine.aws.suppression import SuppressionList
from engine.aws.template_store import S3TemplateStore
from engine.bootstrap.runtime import CONFIG, SES_CONFIG, Clients, now
from engine.bootstrap.settings import SenderSettings, sender_settings
from engine.delivery.lanes import Lanes
from engine.rate.gate import SharedRateGate
from engine.rate.line import SharedLine
from engine.sending.pipeline import SendingPipeline
from engine.sending.results import Dependencies, SendingPolicy
from engine.telemetry import PowertoolsTelemetry
from engine.tracking.bounce_quota import QuotaPolicy


def new_claim_id() -> str:
    return uuid4().hex


@dataclass(frozen=True)
class EmailSender:
    """The sender function at work."""

    lanes: Lanes
    telemetry: PowertoolsTelemetry
    clients: Clients

    async def close(self) -> None:
        await self.clients.close()


async def open_email_sender(variables: Mapping[str, str]) -> EmailSender:
    """Raises SettingsError, which lists all that is wrong with the variables."""
    settings = sender_settings(variables)
    telemetry = PowertoolsTelemetry("EmailSender", settings.environment, settings.log_level)
    clients = Clients()
    dynamodb = await clients.open("dynamodb", CONFIG)
    queue = EmailRetryQueue(await clients.open("sqs", CONFIG), settings.retry_queue_url)
    ses = await clients.open("sesv2", SES_CONFIG)
    gate = SharedRateGate(
        SharedLine(StateRateTable(dynamodb, settings.state_table), time.time),
        SendRate(ses, settings.ses_max_send_rate, time.time),
        telemetry,
        bulk_share=settings.bulk_share,
    )
    reads = SharedReads(dynamodb)
    dependencies = Dependencies(
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
        mailer=SesMailer(ses, settings.ses_configuration_set, telemetry),
        status_events=StatusBus(await clients.open("events", CONFIG), settings.event_bus_name),
        telemetry=telemetry,
        clock=now,
        sleep=asyncio.sleep,
        new_claim_id=new_claim_id,
        policy=_policy(settings),
    )
    lanes = Lanes(
        pipeline=SendingPipeline(dependencies),
        queues=queue,
        telemetry=telemetry,
        clock=now,
    )
    return EmailSender(lanes, telemetry, clients)


def _policy(settings: SenderSettings) -> SendingPolicy:
    return SendingPolicy(
        sender=settings.sender,
        quota=QuotaPolicy(settings.bounce_rate_threshold, settings.bounce_rate_min_sends),
        retention_days=settings.data_retention_days,
        reconcile_seconds=settings.reconcile_seconds,
        largest_call=settings.bulk_call_size,
    )
