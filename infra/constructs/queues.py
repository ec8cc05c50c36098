"""The queues an email can wait in, and the ones it ends in when nothing else helps."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.settings import StackSettings

_LONGEST_RETENTION = Duration.days(14)

# Deferral works by a growing visibility time-out, and each return of a message counts as a receive. With the
# ten or so that AWS's examples use, a paused account would move its mail to the DLQ within hours.
_RECEIVES_BEFORE_DLQ = 50


class EmailQueues(Construct):
    """`bulk` and `retry` feed the sender; each `*_dead` queue keeps what its source gave up on, 14 days."""

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str, settings: StackSettings) -> None:
        super().__init__(scope, construct_id)
        # AWS's rule for a queue that triggers a function: six times the function's time-out, so that Lambda's
        # own retries of a throttled batch fit in.
        # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
        visibility = Duration.seconds(6 * settings.sender_timeout)

        self.event_bridge_dead = self._dead("EventBridgeDLQ", prefix)
        self.retry_dead = self._dead("EmailRetryDLQ", prefix)
        self.bulk_dead = self._dead("BulkEmailDLQ", prefix)
        self.feedback_dead = self._dead("FeedbackProcessorDLQ", prefix)
        self.retry = self._work("EmailRetryQueue", prefix, visibility, self.retry_dead)
        self.bulk = self._work("BulkEmailQueue", prefix, visibility, self.bulk_dead)

    def _dead(self, name: str, prefix: str) -> sqs.Queue:
        return sqs.Queue(
            self,
            name,
            queue_name=f"{prefix}-{name}",
            retention_period=_LONGEST_RETENTION,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            removal_policy=RemovalPolicy.RETAIN,
        )

    def _work(self, name: str, prefix: str, visibility: Duration, dead: sqs.Queue) -> sqs.Queue:
        return sqs.Queue(
            self,
            name,
            queue_name=f"{prefix}-{name}",
            retention_period=_LONGEST_RETENTION,
            receive_message_wait_time=Duration.seconds(20),
            visibility_timeout=visibility,
            dead_letter_queue=sqs.DeadLetterQueue(queue=dead, max_receive_count=_RECEIVES_BEFORE_DLQ),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            removal_policy=RemovalPolicy.RETAIN,
        )
