"""What a person is woken for. The first seven are the description's, with its names and thresholds."""

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from engine.telemetry import METRICS
from infra.constructs.metrics import INDEXES, EngineMetrics, of_account, of_function, of_queue, of_table
from infra.constructs.queues import EmailQueues
from infra.constructs.tables import EmailTables

_MISSING_IS_GOOD = cloudwatch.TreatMissingData.NOT_BREACHING

# A burst that Lambda throttles for a moment is none of this; ten minutes of errors are.
_ERRORS = 50
# Fractions. SES reviews an account at 5 % and 0.1 %.
# https://docs.aws.amazon.com/ses/latest/dg/reputationdashboard-messages.html
_BOUNCE_RATE = 0.03
_COMPLAINT_RATE = 0.0005

_EVENT_AGE = Duration.minutes(15)
# A soft-bounce retry waits 15 minutes and a paused account's mail half an hour at a time.
_RETRY_AGE = Duration.hours(4)
# A campaign may take most of a day at 14 emails a second.
_BULK_AGE = Duration.hours(24)
# Two days before SQS deletes what nobody looked at.
_DEAD_AGE = Duration.days(12)

# By name: what the engine counts, more than how many in five minutes, how often in a row, and what it means.
_SENDING = {
    "Paused": ("ses-paused", 0, 1, "SES does not let the account send. Mail is held, not lost."),
    "Throttles": ("ses-throttled", 50, 2, "SES throttles sends: does another system use the account's rate?"),
    "UnknownOutcomes": ("outcome-unknown", 10, 2, "Sends end without an answer: is SES in trouble?"),
    "Configuration": ("ses-configuration-wrong", 0, 1, "SES refuses sends for how the account is set up."),
    "UnexpectedAnswers": ("ses-answer-unexpected", 0, 1, "SES answers with a code that the engine lacks."),
}


class Alarms(Construct):
    """Call one method for each part of the stack; every alarm goes to `topic`."""

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str, topic: sns.ITopic) -> None:
        super().__init__(scope, construct_id)
        self._prefix = prefix
        self._notify = actions.SnsAction(topic)

    def watch_dead_letters(self, queues: EmailQueues) -> None:
        dead = {
            "EventBridgeDLQ": queues.event_bridge_dead,
            "RetryDLQ": queues.retry_dead,
            "FeedbackDLQ": queues.feedback_dead,
            "BulkDLQ": queues.bulk_dead,
        }
        for name, queue in dead.items():
            self._above(
                f"{name}-Depth",
                0,
                of_queue(queue, "ApproximateNumberOfMessagesVisible"),
                "Mail or a report was given up and lies whole in the queue: mend the cause, then redrive.",
            )
            self._older(
                f"{name}-Age", _DEAD_AGE, queue, "In two days SQS deletes what lies here the longest."
            )

    def watch_queues(self, queues: EmailQueues) -> None:
        waiting = "Mail waits longer than any retry explains: look for throttles, a pause, or errors."
        self._older("RetryQueue-Age", _RETRY_AGE, queues.retry, waiting)
        self._older("BulkQueue-Age", _BULK_AGE, queues.bulk, waiting)

    def watch_function(self, name: str, function: str) -> None:
        """`name`: without the stack's, as in the alarm's name."""
        self._above(
            f"{name}-Errors",
            _ERRORS,
            of_function(function, "Errors"),
            "Invocations have failed for ten minutes; the function's log says why.",
            periods=2,
        )
        self._above(
            f"{name}-EventsDropped",
            0,
            of_function(function, "AsyncEventsDropped"),
            "Lambda gave up events; the function's dead-letter queue has them.",
        )
        self._above(
            f"{name}-EventAge",
            _EVENT_AGE.to_milliseconds(),
            of_function(function, "AsyncEventAge", statistic="Maximum"),
            "Events wait a quarter of an hour for the function: it is throttled or fails.",
        )

    def watch_reputation(self) -> None:
        for name, metric, threshold, label in (
            ("SES-BounceRate", "Reputation.BounceRate", _BOUNCE_RATE, "bounces"),
            ("SES-ComplaintRate", "Reputation.ComplaintRate", _COMPLAINT_RATE, "complaints"),
        ):
            self._above(
                name,
                threshold,
                of_account(metric),
                f"The account's share of {label} nears what SES puts an account under review for.",
                # SES computes the rate from time to time; between two readings the last one holds.
                missing=cloudwatch.TreatMissingData.IGNORE,
            )

    def watch_sending(self, sender: EngineMetrics) -> None:
        for name, (event, threshold, periods, meaning) in _SENDING.items():
            self._above(f"SES-{name}", threshold, sender.count(METRICS[event]), meaning, periods=periods)

    def watch_tables(self, tables: EmailTables) -> None:
        for name, table in {
            "EmailTracking": tables.tracking,
            "Suppression": tables.suppression,
            "State": tables.state,
        }.items():
            self._above(
                f"{name}-Throttles",
                0,
                _throttles(table, INDEXES[name]),
                "DynamoDB turned requests away; an index in need throttles its table too.",
                periods=2,
            )

    def _older(self, name: str, age: Duration, queue: sqs.IQueue, meaning: str) -> None:
        self._above(name, age.to_seconds(), of_queue(queue, "ApproximateAgeOfOldestMessage"), meaning)

    def _above(
        self,
        name: str,
        threshold: float,
        metric: cloudwatch.IMetric,
        meaning: str,
        *,
        periods: int = 1,
        missing: cloudwatch.TreatMissingData = _MISSING_IS_GOOD,
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_name=f"{self._prefix}-{name}",
            alarm_description=meaning,
            metric=metric,
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=periods,
            treat_missing_data=missing,
        )
        alarm.add_alarm_action(self._notify)


def _throttles(table: dynamodb.ITable, indexes: Sequence[str]) -> cloudwatch.MathExpression:
    metrics: dict[str, cloudwatch.IMetric] = {
        "reads": of_table(table, "ReadThrottleEvents"),
        "writes": of_table(table, "WriteThrottleEvents"),
    }
    for number, index in enumerate(indexes):
        metrics[f"index{number}"] = of_table(table, "WriteThrottleEvents", index=index)
    return cloudwatch.MathExpression(
        expression=" + ".join(f"FILL({name}, 0)" for name in metrics),
        using_metrics=metrics,
        label="throttled requests",
        period=Duration.minutes(5),
    )
