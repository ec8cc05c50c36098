"""CloudWatch alarms. The first seven are the description's, with its names and thresholds.

Every alarm says what to look at and which command helps; docs/operations.md tells the rest.
"""

from dataclasses import dataclass
from typing import Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from engine.telemetry import DEFERRED_METRICS, METRICS
from infra.constructs.configuration_set import SEPARATE, ConfigurationSets
from infra.constructs.metrics import INDEXES, EngineMetrics, of_account, of_function, of_queue, of_table
from infra.constructs.parameters import Parameters
from infra.constructs.queues import EmailQueues
from infra.constructs.tables import EmailTables

LOG: Final = "aws logs tail /aws/lambda/{{stack}}-{function} --since 1h"
SENDER_LOG: Final = LOG.format(function="EmailSender")
STATUS: Final = "sesmailengine status --stack {stack}"
DOCTOR: Final = "sesmailengine doctor --stack {stack}"
DEAD_LETTERS: Final = "sesmailengine dlq --stack {stack}"
# Emails that are claimed and have no outcome yet.
UNSETTLED: Final = "sesmailengine find --status sending --since 2h --stack {stack}"


@dataclass(frozen=True, kw_only=True)
class AlarmText:
    """What an alarm tells: what to look at, which command helps, and the section of docs/operations.md.

    The command is the AWS CLI's or ours, with `{stack}` for the stack's name.
    """

    look: str
    page: str
    command: str = SENDER_LOG


# How many periods must breach, of how many in a row.
_ONCE: Final = (1, 1)
_TWICE: Final = (2, 2)
# One blip of a service is nobody's business, and what is deferred comes back ever more rarely: so a quarter
# of an hour, not of a row.
_REPEATEDLY: Final = (3, 12)

# A burst that Lambda throttles for a moment is none of this; ten minutes of errors are.
_ERRORS: Final = 50
# Few people unsubscribe in an hour, and one who can't clicks again: a blip stays below, a broken page doesn't
# for long.
_PAGE_ERRORS: Final = 3
# Mail scanners open the links of a campaign all at once. Whoever is turned away is told to come back later.
_PAGE_THROTTLES: Final = 10
# Fractions. SES reviews an account at 5 % and 0.1 %.
# https://docs.aws.amazon.com/ses/latest/dg/reputationdashboard-messages.html
_BOUNCE_RATE: Final = 0.03
_COMPLAINT_RATE: Final = 0.0005

_EVENT_AGE: Final = Duration.minutes(15)
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

# What the engine counts: more than how many in five minutes, how often, and what it means.
_SENDING: Final = {
    "SES-Paused": (
        METRICS["ses-paused"],
        0,
        _ONCE,
        AlarmText(
            look="SES does not let the account send: look into its console, which says why. Mail is deferred,"
            " and what is never received is deleted 14 days after it was published.",
            command=STATUS,
            page="paused-by-ses",
        ),
    ),
    "SES-Throttles": (
        METRICS["ses-throttled"],
        50,
        _TWICE,
        AlarmText(
            look="SES throttles sends: look for another system that uses the account's rate.",
            command=STATUS,
            page="ses",
        ),
    ),
    "SES-UnknownOutcomes": (
        METRICS["outcome-unknown"],
        10,
        _TWICE,
        AlarmText(
            look="Sends end without an answer: look at AWS Health for SES. SES's own reports settle each.",
            command=UNSETTLED,
            page="ses",
        ),
    ),
    "SES-Configuration": (
        METRICS["ses-configuration-wrong"],
        0,
        _ONCE,
        AlarmText(
            look="SES refuses sends for how the account is set up: look at identity, MAIL FROM domain and"
            " configuration set.",
            command=DOCTOR,
            page="ses",
        ),
    ),
    "SES-UnexpectedAnswers": (
        METRICS["ses-answer-unexpected"],
        0,
        _ONCE,
        AlarmText(
            look="SES answers with a code that the engine lacks: look for ses-answer-unexpected in"
            " EmailSender's log. Mail is deferred.",
            page="ses",
        ),
    ),
    "SES-BulkCallsRefused": (
        METRICS["bulk-calls-refused"],
        0,
        _ONCE,
        AlarmText(
            look="SendBulkEmail is denied, so bulk mail goes one by one, more slowly: look at EmailSender's"
            " role and at policies of the organization.",
            page="ses",
        ),
    ),
    "Bulk-Held": (
        METRICS["bulk-held"],
        0,
        _ONCE,
        AlarmText(
            look="The day's bounce rate went over BounceRateThreshold, so the bulk lane is stopped and its"
            " mail parked: look for what makes addresses bounce, then let it go by"
            " `sesmailengine go --bulk`.",
            command=STATUS,
            page="stopped-mail",
        ),
    ),
    "Services-Unavailable": (
        METRICS["service-unavailable"],
        0,
        _REPEATEDLY,
        AlarmText(
            look="A service that the engine needs does not answer: look for service-unavailable in"
            " EmailSender's log, which names it, then at the role, quotas and AWS Health. No invocation"
            " fails of this.",
            page="mail-that-waits",
        ),
    ),
    # Why emails are deferred, but for one reason: that time ran out is no trouble, all campaigns' batches do.
    "Deferred-Paused": (
        DEFERRED_METRICS["paused"],
        0,
        _REPEATEDLY,
        AlarmText(
            look="Emails are deferred because SES does not let the account send: look into its console, which"
            " says why.",
            command=STATUS,
            page="paused-by-ses",
        ),
    ),
    "Deferred-ServiceUnavailable": (
        DEFERRED_METRICS["service-unavailable"],
        0,
        _REPEATEDLY,
        AlarmText(
            look="Emails are deferred because a table, the bucket or a queue can't be used: look for"
            " service-unavailable in EmailSender's log, which names it.",
            page="mail-that-waits",
        ),
    ),
    "Deferred-OutcomeUnknown": (
        DEFERRED_METRICS["outcome-unknown"],
        10,
        _REPEATEDLY,
        AlarmText(
            look="Emails are deferred because nobody knows yet whether SES took them: look whether its"
            " reports arrive, in FeedbackProcessor's log and errors.",
            command=UNSETTLED,
            page="mail-that-waits",
        ),
    ),
    "Deferred-Throttled": (
        DEFERRED_METRICS["throttled"],
        100,
        _REPEATEDLY,
        AlarmText(
            look="Emails are deferred because SES throttles: look for another system that uses the rate.",
            command=STATUS,
            page="mail-that-waits",
        ),
    ),
    "Deferred-ClaimedElsewhere": (
        DEFERRED_METRICS["claimed-elsewhere"],
        100,
        _REPEATEDLY,
        AlarmText(
            look="Emails are deferred because they arrive again while they are worked on: look for a"
            " publisher that repeats itself.",
            page="mail-that-waits",
        ),
    ),
}


class Alarms(Construct):
    """Call one method for each part of the stack; every alarm goes to `topic`."""

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str, topic: sns.ITopic) -> None:
        super().__init__(scope, construct_id)
        self._prefix = prefix
        self._notify = actions.SnsAction(topic)

    def watch_dead_letters(self, queues: EmailQueues) -> None:
        dead = {
            "EventBridgeDLQ": ("EventBridgeDLQ", queues.event_bridge_dead),
            "RetryDLQ": ("EmailRetryDLQ", queues.retry_dead),
            "FeedbackDLQ": ("FeedbackProcessorDLQ", queues.feedback_dead),
            "BulkDLQ": ("BulkEmailDLQ", queues.bulk_dead),
        }
        for name, (called, queue) in dead.items():
            self._watch_dead(
                name,
                queue,
                f"sesmailengine dlq show {called} --stack {{stack}}",
                "Mail or a report was given up and lies whole in the queue: look for the cause, mend it, then"
                f" redrive by `sesmailengine dlq redrive {called}`.",
                "SQS will delete what lies here, some of it within days: look at it now, and redrive or drop"
                " it.",
            )
        self._watch_dead(
            "WebhookDLQ",
            queues.webhook_dead,
            "sesmailengine dlq show WebhookDLQ --stack {stack}",
            "A webhook did not take an event, which lies whole in the queue; EventBridge does not post it"
            " again: look at the webhook, mend it, and read what it missed.",
            "SQS will delete what webhooks missed after 14 days: look at it now, and drop it.",
        )

    def _watch_dead(self, name: str, queue: sqs.IQueue, command: str, filled: str, old: str) -> None:
        self._above(
            f"{name}-Depth",
            0,
            of_queue(queue, "ApproximateNumberOfMessagesVisible"),
            AlarmText(look=filled, command=command, page="dead-letter-queues"),
        )
        self._above(
            f"{name}-Age",
            _DEAD_AGE.to_seconds(),
            of_queue(queue, "ApproximateAgeOfOldestMessage"),
            AlarmText(look=old, command=command, page="dead-letter-queues"),
        )

    def watch_parked(self, queues: EmailQueues) -> None:
        self._above(
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

    def watch_queues(self, queues: EmailQueues) -> None:
        for name, queue, hours in (
            ("RetryQueue", queues.retry, _RETRY_HOURS),
            ("BulkQueue", queues.bulk, _BULK_HOURS),
        ):
            self._above(
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
            self._above(
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
            self._above(
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

    def watch_function(self, name: str, function: str) -> list[cloudwatch.Alarm]:
        """`name`: without the stack's, as in the alarm's name."""
        errors = self._above(
            f"{name}-Errors",
            _ERRORS,
            of_function(function, "Errors"),
            AlarmText(
                look="Invocations have failed for ten minutes: look into the function's log.",
                command=LOG.format(function=name),
                page="functions",
            ),
            times=_TWICE,
        )
        dropped = self._above(
            f"{name}-EventsDropped",
            0,
            of_function(function, "AsyncEventsDropped"),
            AlarmText(
                look="Lambda gave up events: look into the function's dead-letter queue, which has them.",
                command=DEAD_LETTERS,
                page="functions",
            ),
        )
        age = self._above(
            f"{name}-EventAge",
            _EVENT_AGE.to_milliseconds(),
            of_function(function, "AsyncEventAge", statistic="Maximum"),
            AlarmText(
                look="Events wait a quarter of an hour for the function: look whether it fails, is throttled,"
                " or reserves too little concurrency.",
                command=DOCTOR,
                page="functions",
            ),
        )
        return [errors, dropped, age]

    def watch_signed_webhooks(self, function: str, parameters: Parameters) -> None:
        parameters.make_only_if("signed_webhooks", *self.watch_function("Webhook", function))

    def watch_page(self, function: str, parameters: Parameters) -> None:
        """The hosted unsubscribe page: what people and mail programs get, not what Lambda calls an error.

        https://docs.aws.amazon.com/lambda/latest/dg/urls-monitoring.html
        """
        failed = of_function(function, "Url5xxCount").with_(period=Duration.hours(1))
        log = LOG.format(function="Unsubscribe")
        errors = self._above(
            "Unsubscribe-Errors",
            _PAGE_ERRORS,
            failed,
            AlarmText(
                look="People can't unsubscribe, and mark mail as spam instead: look into the page's log, and"
                " at its role, secret and table.",
                command=log,
                page="functions",
            ),
        )
        throttles = self._above(
            "Unsubscribe-Throttles",
            _PAGE_THROTTLES,
            of_function(function, "Throttles"),
            AlarmText(
                look="The unsubscribe page turns requests away: look how many come in its metrics, and raise"
                " UnsubscribeConcurrency.",
                command=log,
                page="functions",
            ),
            times=_TWICE,
        )
        parameters.make_only_if("hosted_unsubscribe", errors, throttles)

    def watch_reputation(self) -> None:
        self._watch_rates("SES", None, "The account's")

    def watch_streams(self, sets: ConfigurationSets, parameters: Parameters) -> None:
        """Where streams are separate, each set's own rates."""
        if not sets.bulk:
            return
        made = [
            *self._watch_rates("Transactional", sets.main.name, "Transactional mail's"),
            *self._watch_rates("Bulk", sets.bulk.name, "Bulk mail's"),
        ]
        parameters.make_only_if(SEPARATE, *made)

    def _watch_rates(self, prefix: str, configuration_set: str | None, whose: str) -> list[cloudwatch.Alarm]:
        return [
            self._above(
                f"{prefix}-{name}",
                threshold,
                of_account(f"Reputation.{name}", configuration_set=configuration_set),
                AlarmText(
                    look=f"{whose} share of {label} nears what SES puts it under review for: look for"
                    " the campaign or template that causes them, and stop it by `sesmailengine stop`.",
                    command=STATUS,
                    page="reputation",
                ),
                # SES computes the rate from time to time; between two readings the last one holds.
                missing=cloudwatch.TreatMissingData.IGNORE,
            )
            for name, threshold, label in (
                ("BounceRate", _BOUNCE_RATE, "bounces"),
                ("ComplaintRate", _COMPLAINT_RATE, "complaints"),
            )
        ]

    def watch_sending(self, sender: EngineMetrics) -> None:
        for name, (metric, threshold, times, text) in _SENDING.items():
            self._above(name, threshold, sender.count(metric), text, times=times)

    def watch_tables(self, tables: EmailTables) -> None:
        named: dict[str, dynamodb.ITable] = {
            "EmailTracking": tables.tracking,
            "Suppression": tables.suppression,
            "State": tables.state,
        }
        for name, table in named.items():
            metrics: dict[str, cloudwatch.IMetric] = {
                "reads": of_table(table, "ReadThrottleEvents"),
                "writes": of_table(table, "WriteThrottleEvents"),
            }
            for number, index in enumerate(INDEXES[name]):
                metrics[f"index{number}"] = of_table(table, "WriteThrottleEvents", index=index)
            throttles = cloudwatch.MathExpression(
                expression=" + ".join(f"FILL({metric}, 0)" for metric in metrics),
                using_metrics=metrics,
                label="throttled requests",
                period=Duration.minutes(5),
            )
            self._above(
                f"{name}-Throttles",
                0,
                throttles,
                AlarmText(
                    look="DynamoDB turns requests away, and an index in need throttles its table too: look at"
                    " the account's DynamoDB quotas, and for one address or day that takes all.",
                    page="tables",
                ),
                times=_TWICE,
            )

    def _above(
        self,
        name: str,
        threshold: float,
        metric: cloudwatch.IMetric,
        text: AlarmText,
        *,
        times: tuple[int, int] = _ONCE,
        missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
    ) -> cloudwatch.Alarm:
        breaching, periods = times
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_name=f"{self._prefix}-{name}",
            alarm_description=(
                f"{text.look} Run `{text.command.replace('{stack}', self._prefix)}`."
                f" More: docs/operations.md#{text.page}"
            ),
            metric=metric,
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=periods,
            datapoints_to_alarm=breaching if breaching != periods else None,
            treat_missing_data=missing,
        )
        alarm.add_alarm_action(self._notify)
        return alarm
