"""The sender function: from its environment's variables to a pipeline that is ready to work."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from engine.aws.clients import COUNTER_CONFIG, SES_CONFIG, Clients
from engine.aws.event_bus import StatusBus
from engine.aws.ledger import TrackingLedger
from engine.aws.mailer import SesMailer, get_send_rate
from engine.aws.payloads import RequestPayloads
from engine.aws.pre_send_checks import DailyCounters, PreSendTables
from engine.aws.queues import EmailRetryQueue, ParkedEmailQueue
from engine.aws.rate_item import RateItem
from engine.aws.template_store import S3TemplateStore
from engine.bootstrap.host import LAMBDA, Host
from engine.bootstrap.settings import SenderSettings, read_settings
from engine.bootstrap.signing_keys import HostedLinks
from engine.delivery.lanes import Lanes, SecondsLeft
from engine.errors import ServiceUnavailable
from engine.rate.gate import SharedRateGate
from engine.rate.shared_state import AccountRate, SharedRateState
from engine.sending.pipeline import SendingPipeline
from engine.sending.ports import Dependencies, SendingPolicy
from engine.telemetry import PowertoolsTelemetry


@dataclass(frozen=True)
class EmailSender:
    """The sender function at work."""

    lanes: Lanes
    telemetry: PowertoolsTelemetry

    async def process(self, event: Any, seconds_left: SecondsLeft) -> Any:
        """Answer as Lambda expects it: a queue's batch with what must stay, one event with what became of it.

        Raises only where a redelivery is wanted: UnreadableRecordError, InvocationFailedError.
        """
        is_batch = isinstance(event, dict) and "Records" in event
        lane = self.lanes.queue if is_batch else self.lanes.direct
        try:
            return msgspec.to_builtins(await lane(event, seconds_left))
        finally:
            self.telemetry.flush()


async def open_email_sender(
    variables: Mapping[str, str], clients: Clients, host: Host = LAMBDA
) -> EmailSender:
    """Raises SettingsError, which lists all that is wrong with the variables."""
    settings = read_settings(SenderSettings, variables)
    telemetry = host.telemetry("EmailSender", settings.environment, settings.log_level)
    dynamodb = await clients.open("dynamodb")
    counters = await clients.open("dynamodb", COUNTER_CONFIG)
    sqs = await clients.open("sqs")
    parked = ParkedEmailQueue(sqs, settings.parked_queue_url) if settings.parked_queue_url else None
    pre_send = PreSendTables(
        dynamodb, suppression_table=settings.suppression_table, state_table=settings.state_table
    )
    bus = StatusBus(await clients.open("events"), settings.event_bus_name)
    ses = await clients.open("sesv2", SES_CONFIG)
    rate_state = SharedRateState(RateItem(dynamodb, settings.state_table), telemetry, host.time)
    account_rate = AccountRate(
        rate_state,
        partial(get_send_rate, ses),
        telemetry,
        configured=settings.ses_max_send_rate,
        vary=host.uniform,
    )
    gate = SharedRateGate(rate_state, account_rate, bulk_share=settings.bulk_share, vary=host.uniform)
    dependencies = Dependencies(
        ledger=TrackingLedger(dynamodb, settings.tracking_table),
        pre_send=pre_send,
        brakes=pre_send,
        quota=DailyCounters(counters, settings.state_table, host.pick),
        templates=S3TemplateStore(
            await clients.open("s3"),
            settings.template_bucket,
            cache_seconds=settings.template_cache_seconds,
            clock=host.time,
        ),
        payloads=RequestPayloads(dynamodb, settings.state_table, host.clock),
        gate=gate,
        mailer=SesMailer(ses, settings.streams, telemetry),
        status_events=bus,
        operator_actions=bus,
        telemetry=telemetry,
        clock=host.clock,
        sleep=asyncio.sleep,
        new_claim_id=host.new_claim_id,
        links=await _links(settings, clients),
        policy=SendingPolicy(
            sender=settings.sender,
            quota=settings.quota,
            retention_days=settings.data_retention_days,
            reconcile_seconds=settings.reconcile_seconds,
            largest_call=settings.bulk_call_size,
        ),
    )
    lanes = Lanes(
        pipeline=SendingPipeline(dependencies),
        queues=EmailRetryQueue(sqs, settings.retry_queue_url),
        parked=parked,
        telemetry=telemetry,
        clock=host.clock,
    )
    return EmailSender(lanes, telemetry)


async def _links(settings: SenderSettings, clients: Clients) -> HostedLinks | None:
    """Links to the hosted unsubscribe page, where there is one.

    What signs them may not be readable yet: mail that needs it waits then, and no other.
    """
    if not settings.unsubscribe_url or not settings.unsubscribe_secret_arn:
        return None
    secrets = await clients.open("secretsmanager")
    links = HostedLinks(secrets, settings.unsubscribe_secret_arn, settings.unsubscribe_url)
    with suppress(ServiceUnavailable):
        await links.load()
    return links
