"""The feedback function: from its environment's variables to a pipeline that is ready to work."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.aws.clients import COUNTER_CONFIG, Clients
from engine.aws.event_bus import StatusBus
from engine.aws.ledger import TrackingLedger
from engine.aws.payloads import RequestPayloads
from engine.aws.pre_send_checks import DailyCounters
from engine.aws.queues import EmailRetryQueue
from engine.aws.soft_bounces import SoftBounceItems
from engine.aws.suppression import SuppressionList
from engine.bootstrap.host import LAMBDA, Host
from engine.bootstrap.settings import FeedbackSettings, read_settings
from engine.feedback.notifications import notifications
from engine.feedback.pipeline import FeedbackPipeline, FeedbackPolicy
from engine.telemetry import PowertoolsTelemetry


@dataclass(frozen=True)
class FeedbackProcessor:
    """The feedback function at work. `topic`: the ARN of the stack's feedback topic, empty where unknown."""

    pipeline: FeedbackPipeline
    telemetry: PowertoolsTelemetry
    topic: str

    async def process(self, event: dict[str, Any]) -> None:
        """Handle what SNS delivered. Another topic's reports count as well, but somebody should know."""
        delivered = list(notifications(event))
        for notification in delivered:
            if self.topic and notification.topic_arn not in {"", self.topic}:
                self.telemetry.record("foreign-topic", topic=notification.topic_arn)
        try:
            await self.pipeline.process([notification.message for notification in delivered])
        finally:
            self.telemetry.flush()


async def open_feedback_processor(
    variables: Mapping[str, str], clients: Clients, host: Host = LAMBDA
) -> FeedbackProcessor:
    """Raises SettingsError, which lists all that is wrong with the variables."""
    settings = read_settings(FeedbackSettings, variables)
    telemetry = host.telemetry("FeedbackProcessor", settings.environment, settings.log_level)
    dynamodb = await clients.open("dynamodb")
    counters = await clients.open("dynamodb", COUNTER_CONFIG)
    pipeline = FeedbackPipeline(
        ledger=TrackingLedger(dynamodb, settings.tracking_table),
        suppression=SuppressionList(dynamodb, settings.suppression_table),
        quota=DailyCounters(counters, settings.state_table, host.pick),
        soft_bounces=SoftBounceItems(dynamodb, settings.state_table),
        payloads=RequestPayloads(dynamodb, settings.state_table, host.clock),
        retry_queue=EmailRetryQueue(await clients.open("sqs"), settings.retry_queue_url),
        status_events=StatusBus(await clients.open("events"), settings.event_bus_name),
        telemetry=telemetry,
        clock=host.clock,
        policy=FeedbackPolicy(soft_bounce_retry_seconds=settings.soft_bounce_retry_seconds),
    )
    return FeedbackProcessor(pipeline, telemetry, settings.ses_feedback_topic_arn)
