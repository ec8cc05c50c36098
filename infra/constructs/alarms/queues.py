"""Alarms on queues: what was given up, parked mail, and mail that waits."""

from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_sqs as sqs

from infra.constructs.alarms.alarm import STATUS, Alarms, AlarmText
from infra.constructs.metrics import of_queue
from infra.constructs.queues import EmailQueues

# A soft-bounce retry waits 15 minutes and a paused account's mail half an hour at a time.
_RETRY_HOURS: Final = 4
# A campaign may take most of a day at 14 emails a second.
_BULK_HOURS: Final = 24
# Mail gets here after a week at the latest. Its age begins anew then, but SQS deletes it 14 days after it was
# first sent: an alarm near the fourteenth day would never ring.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
_DEAD_AGE: Final = Duration.days(3)
# SQS deletes what is parked after fourteen days. Its age is the true one as long as fewer than three `go`s of
# other scopes have received it and left it.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
_PARKED_AGE: Final = Duration.days(10)
# Some soft bounces wait for their retry, delayed, at any time of a busy day; a thousand are a flood.
_DELAYED: Final = 1000


def watch_dead_letters(alarms: Alarms, queues: EmailQueues) -> None:
    dead = {
        "EventBridgeDLQ": ("EventBridgeDLQ", queues.event_bridge_dead),
        "RetryDLQ": ("EmailRetryDLQ", queues.retry_dead),
        "FeedbackDLQ": ("FeedbackProcessorDLQ", queues.feedback_dead),
        "BulkDLQ": ("BulkEmailDLQ", queues.bulk_dead),
    }
    for name, (called, queue) in dead.items():
        _watch_dead(
            alarms,
            name,
            queue,
            command=f"sesmailengine dlq show {called} --stack {{stack}}",
            filled="Mail or a report was given up and lies whole in the queue: look for the cause, mend it,"
            f" then redrive by `sesmailengine dlq redrive {called}`.",
            old="SQS will delete what lies here, some of it within days: look at it now, and redrive or"
            " drop it.",
        )
    _watch_dead(
        alarms,
        "WebhookDLQ",
        queues.webhook_dead,
        command="sesmailengine dlq show WebhookDLQ --stack {stack}",
        filled="A webhook did not take an event, which lies whole in the queue; EventBridge does not post it"
        " again: look at the webhook, mend it, and read what it missed.",
        old="SQS will delete what webhooks missed after 14 days: look at it now, and drop it.",
    )


def _watch_dead(alarms: Alarms, name: str, queue: sqs.IQueue, *, command: str, filled: str, old: str) -> None:
    alarms.above(
        f"{name}-Depth",
        0,
        of_queue(queue, "ApproximateNumberOfMessagesVisible"),
        AlarmText(look=filled, command=command, page="dead-letter-queues"),
    )
    alarms.above(
        f"{name}-Age",
        _DEAD_AGE.to_seconds(),
        of_queue(queue, "ApproximateAgeOfOldestMessage"),
        AlarmText(look=old, command=command, page="dead-letter-queues"),
    )


def watch_parked(alarms: Alarms, queues: EmailQueues) -> None:
    alarms.above(
        "ParkedQueue-Age",
        _PARKED_AGE.to_seconds(),
        of_queue(queues.parked, "ApproximateAgeOfOldestMessage"),
        AlarmText(
            look="Stopped mail has been parked for ten days, and SQS deletes it after fourteen: look why"
            " it was stopped, then let it go by `sesmailengine go`, or cancel its campaign.",
            command=STATUS,
            page="stopped-mail",
        ),
    )


def watch_queues(alarms: Alarms, queues: EmailQueues) -> None:
    for name, queue, hours in (
        ("RetryQueue", queues.retry, _RETRY_HOURS),
        ("BulkQueue", queues.bulk, _BULK_HOURS),
    ):
        alarms.above(
            f"{name}-Age",
            Duration.hours(hours).to_seconds(),
            of_queue(queue, "ApproximateAgeOfOldestMessage"),
            AlarmText(
                look=f"Mail waits longer than {hours} hours: look for a pause, throttles, errors, or a"
                " campaign larger than the rate. SQS deletes it 14 days after it was published.",
                command=STATUS,
                page="mail-that-waits",
            ),
        )
        hidden, delayed = (
            of_queue(queue, f"ApproximateNumberOfMessages{state}").with_(
                statistic="Minimum", period=Duration.hours(1)
            )
            for state in ("NotVisible", "Delayed")
        )
        # The age leaves out what was received three times or more, and so all that is deferred.
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
        alarms.above(
            f"{name}-Hidden",
            0,
            hidden,
            AlarmText(
                look=f"For {hours} hours some mail has been deferred at any moment: look at the alarms"
                " named Deferred-.",
                command=STATUS,
                page="mail-that-waits",
            ),
            times=(hours, hours),
        )
        alarms.above(
            f"{name}-Delayed",
            _DELAYED,
            delayed,
            AlarmText(
                look=f"For {_RETRY_HOURS} hours more than {_DELAYED} messages have been delayed: look for"
                " a flood of soft bounces, or of mail that could not be sent directly.",
                command=STATUS,
                page="mail-that-waits",
            ),
            times=(_RETRY_HOURS, _RETRY_HOURS),
        )
