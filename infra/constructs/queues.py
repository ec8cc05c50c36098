"""SQS queues: those an email can wait in, and the dead-letter queues it ends in when nothing helps."""

from typing import Any

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from engine.delivery.retry_delay import RECEIVES
from infra.acknowledged import acknowledge
from infra.constructs.parameters import Parameters

_LONGEST_RETENTION = Duration.days(14)


class EmailQueues(Construct):
    """`bulk` and `retry` feed the sender; each `*_dead` queue keeps what its source gave up on, 14 days.

    `parked` holds mail that an operator stopped, as long, and nothing receives from it until they let it go.
    """

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str, parameters: Parameters) -> None:
        super().__init__(scope, construct_id)
        visibility = Duration.seconds(parameters.visibility())

        self.event_bridge_dead = self._keeping("EventBridgeDLQ", prefix)
        self.retry_dead = self._keeping("EmailRetryDLQ", prefix)
        self.bulk_dead = self._keeping("BulkEmailDLQ", prefix)
        self.feedback_dead = self._keeping("FeedbackProcessorDLQ", prefix)
        self.webhook_dead = self._keeping("WebhookDLQ", prefix)
        for queue in (self.event_bridge_dead, self.feedback_dead, self.webhook_dead):
            acknowledge(
                queue,
                "AwsSolutions-SQS3",
                "it is a dead-letter queue itself, of a rule, a subscription or a function, where cdk-nag"
                " does not look",
            )
        self.parked = self._keeping("ParkedEmailQueue", prefix)
        acknowledge(self.parked, "AwsSolutions-SQS3", "nothing receives from it until an operator does")
        self.retry = self._work("EmailRetryQueue", prefix, visibility, self.retry_dead)
        self.bulk = self._work("BulkEmailQueue", prefix, visibility, self.bulk_dead)

    def _keeping(self, name: str, prefix: str, **more: Any) -> sqs.Queue:
        return sqs.Queue(
            self,
            name,
            queue_name=f"{prefix}-{name}",
            retention_period=_LONGEST_RETENTION,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
            **more,
        )

    def _work(self, name: str, prefix: str, visibility: Duration, dead: sqs.Queue) -> sqs.Queue:
        # Deferral works by a growing visibility time-out, and each return of a message counts as a receive.
        # With the ten or so that AWS's examples use, a paused account would move its mail to the DLQ within
        # hours; with these mail outlasts a week's pause (docs/decisions/0006-deferral.md).
        return self._keeping(
            name,
            prefix,
            receive_message_wait_time=Duration.seconds(20),
            visibility_timeout=visibility,
            dead_letter_queue=sqs.DeadLetterQueue(queue=dead, max_receive_count=RECEIVES),
        )
