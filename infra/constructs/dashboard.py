"""CloudWatch dashboard: what was sent, how near the limits are, what waits, what it costs."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from engine.telemetry import GAUGES, METRICS, STATUS_METRICS
from infra.constructs.metrics import EngineMetrics, of_account, of_function, of_queue
from infra.constructs.queues import EmailQueues

_WIDTH = 24
_HEIGHT = 6
_DAY = "-PT24H"

# What SES does at which share: https://docs.aws.amazon.com/ses/latest/dg/reputationdashboard-messages.html
_REVIEW = {"bounces": 0.05, "complaints": 0.001}
_PAUSE = {"bounces": 0.10, "complaints": 0.005}


class SendingDashboard(Construct):
    """`address` opens it in the console. `functions` and `counted`: of "sender" and "processor"."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        prefix: str,
        functions: Mapping[str, str],
        counted: Mapping[str, EngineMetrics],
        queues: EmailQueues,
        costs: Sequence[cloudwatch.IMetric],
    ) -> None:
        super().__init__(scope, construct_id)
        self._functions = functions
        self._sender, self._processor = counted["sender"], counted["processor"]
        name = f"{prefix}-Emails"
        self.dashboard = cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=name,
            default_interval=Duration.hours(24),
            widgets=[
                [self._today()],
                [self._by_status(), self._pace()],
                [self._reputation("bounces"), self._reputation("complaints"), self._ages(queues)],
                [self._latency(), self._trouble(), self._given_up(queues)],
                [self._cost(costs)],
            ],
        )
        region = Stack.of(self).region
        self.address = (
            f"https://console.aws.amazon.com/cloudwatch/home?region={region}#dashboards/dashboard/{name}"
        )

    def _reached(self, status: str) -> cloudwatch.IMetric:
        """Counted by whoever heard of it: a send whose answer was lost is settled by SES's own report."""
        name = STATUS_METRICS[status]
        here, there = f"sender{name}", f"processor{name}"
        return cloudwatch.MathExpression(
            expression=f"FILL({here}, 0) + FILL({there}, 0)",
            using_metrics={here: self._sender.count(name), there: self._processor.count(name)},
            label=status.replace("_", " ").capitalize(),
            period=Duration.minutes(5),
        )

    def _today(self) -> cloudwatch.IWidget:
        return cloudwatch.SingleValueWidget(
            title="The last 24 hours",
            metrics=[self._reached(status) for status in STATUS_METRICS],
            set_period_to_time_range=True,
            full_precision=False,
            start=_DAY,
            end="PT0H",
            width=_WIDTH,
            height=4,
        )

    def _by_status(self) -> cloudwatch.IWidget:
        return _graph(
            "Emails by the status they reached", [self._reached(status) for status in STATUS_METRICS], parts=2
        )

    def _pace(self) -> cloudwatch.IWidget:
        """In one graph with the rate that SES allows, as the functions heard it."""
        sent = self._sender.count(STATUS_METRICS["sent"]).with_(period=Duration.minutes(1))
        metric, _ = GAUGES["send-rate-told"]
        return _graph(
            "Emails a second, and what SES allows",
            [
                cloudwatch.MathExpression(
                    expression="sent / PERIOD(sent)",
                    using_metrics={"sent": sent},
                    label="Sent a second",
                    period=Duration.minutes(1),
                ),
                cloudwatch.MathExpression(
                    expression="FILL(rate, REPEAT)",
                    using_metrics={"rate": self._sender.count(metric).with_(statistic="Maximum")},
                    label="Allowed a second",
                    period=Duration.minutes(1),
                ),
            ],
            parts=2,
            right=[self._sender.count(METRICS["ses-throttled"], label="Throttled")],
        )

    def _reputation(self, kind: str) -> cloudwatch.IWidget:
        metric = "Reputation.BounceRate" if kind == "bounces" else "Reputation.ComplaintRate"
        lines = [
            cloudwatch.HorizontalAnnotation(value=_REVIEW[kind], label="SES reviews the account"),
            cloudwatch.HorizontalAnnotation(value=_PAUSE[kind], label="SES may pause sending"),
        ]
        return _graph(f"The account's share of {kind}", [of_account(metric, label=kind)], lines=lines)

    def _ages(self, queues: EmailQueues) -> cloudwatch.IWidget:
        return _graph(
            "Age of the oldest message in seconds",
            [
                of_queue(queues.retry, "ApproximateAgeOfOldestMessage", label="Retry queue"),
                of_queue(queues.bulk, "ApproximateAgeOfOldestMessage", label="Bulk queue"),
                of_queue(queues.parked, "ApproximateAgeOfOldestMessage", label="Parked"),
            ],
        )

    def _latency(self) -> cloudwatch.IWidget:
        """Of one invocation: a bulk batch is one too, and waits for its slots in it."""
        return _graph(
            "EmailSender: milliseconds an invocation, and waiting for one",
            [
                of_function(self._functions["sender"], "Duration", statistic=percentile, label=percentile)
                for percentile in ("p50", "p95", "p99")
            ],
            right=[
                of_function(self._functions["sender"], "AsyncEventAge", statistic="Maximum", label="Waiting")
            ],
        )

    def _trouble(self) -> cloudwatch.IWidget:
        counted = [
            self._sender.count(METRICS[event])
            for event in (
                "email-deferred",
                "outcome-unknown",
                "ses-paused",
                "service-unavailable",
                "duplicate",
            )
        ]
        errors = [
            of_function(function, "Errors", label=f"{who}'s errors")
            for who, function in self._functions.items()
        ]
        return _graph("Deferred, unknown, repeated; errors", [*counted, *errors])

    def _given_up(self, queues: EmailQueues) -> cloudwatch.IWidget:
        dead = {
            "EventBridge": queues.event_bridge_dead,
            "Retry": queues.retry_dead,
            "Bulk": queues.bulk_dead,
            "Feedback": queues.feedback_dead,
            "Webhook": queues.webhook_dead,
        }
        return _graph(
            "Messages in the dead-letter queues",
            [
                of_queue(queue, "ApproximateNumberOfMessagesVisible", label=name)
                for name, queue in dead.items()
            ],
        )

    def _cost(self, costs: Sequence[cloudwatch.IMetric]) -> cloudwatch.IWidget:
        return cloudwatch.SingleValueWidget(
            title="Dollars for 1,000 emails, at the prices of us-east-1 in November 2026, without free tiers",
            metrics=list(costs),
            set_period_to_time_range=True,
            full_precision=True,
            start=_DAY,
            end="PT0H",
            width=_WIDTH,
            height=4,
        )


def _graph(
    title: str,
    left: Sequence[cloudwatch.IMetric],
    *,
    parts: int = 3,
    right: Sequence[cloudwatch.IMetric] = (),
    lines: Sequence[cloudwatch.HorizontalAnnotation] = (),
) -> cloudwatch.GraphWidget:
    """`parts`: how many stand side by side."""
    return cloudwatch.GraphWidget(
        title=title,
        left=list(left),
        right=list(right),
        left_annotations=list(lines),
        left_y_axis=cloudwatch.YAxisProps(min=0, show_units=False),
        right_y_axis=cloudwatch.YAxisProps(min=0, show_units=False),
        width=_WIDTH // parts,
        height=_HEIGHT,
    )
