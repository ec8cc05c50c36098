"""Alarms with the description's names and thresholds, what it lacks beside them, and the dashboard."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.resource_policies import allowed_on_topic
from tests.support.synthesized import ACCOUNT, PINNED, REGION, Deployed, deployed, synthesis

from engine.operations import prices
from engine.sending.results import DeferralReason
from engine.telemetry import DEFERRED_METRICS, GAUGES, METRICS, SERVICE, STATUS_METRICS

TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:mail-Alarms"
VISIBLE = "ApproximateNumberOfMessagesVisible"
AGE = "ApproximateAgeOfOldestMessage"
HOUR, DAY = 3600, 24 * 3600


def alarm(name: str, stack: Deployed | None = None) -> dict[str, Any]:
    return (stack or deployed()).properties("AWS::CloudWatch::Alarm", AlarmName=f"mail-{name}")


def dimensions(properties: dict[str, Any]) -> dict[str, str]:
    return {one["Name"]: one["Value"] for one in properties.get("Dimensions", [])}


class TestAlarmsOfTheDescription:
    @pytest.mark.parametrize(
        ("name", "queue"),
        [
            ("EventBridgeDLQ-Depth", "EventBridgeDLQ"),
            ("RetryDLQ-Depth", "EmailRetryDLQ"),
            ("BulkDLQ-Depth", "BulkEmailDLQ"),
            ("FeedbackDLQ-Depth", "FeedbackProcessorDLQ"),
            ("WebhookDLQ-Depth", "WebhookDLQ"),
        ],
    )
    def test_one_message_in_a_dead_letter_queue_is_enough(self, name: str, queue: str) -> None:
        properties = alarm(name)
        assert (properties["Namespace"], properties["MetricName"]) == ("AWS/SQS", VISIBLE)
        assert dimensions(properties) == {"QueueName": f"mail-{queue}"}
        assert exceeds(properties, 0)

    @pytest.mark.parametrize("function", ["EmailSender", "FeedbackProcessor"])
    def test_fifty_errors_in_each_of_two_five_minute_periods_are_one_too_few(self, function: str) -> None:
        properties = alarm(f"{function}-Errors")
        assert (properties["Namespace"], properties["MetricName"]) == ("AWS/Lambda", "Errors")
        assert dimensions(properties) == {"FunctionName": f"mail-{function}"}
        assert (properties["Statistic"], properties["Period"]) == ("Sum", 300)
        assert exceeds(properties, 50, periods=2)

    @pytest.mark.parametrize(
        ("name", "metric", "threshold"),
        [
            ("SES-BounceRate", "Reputation.BounceRate", 0.03),
            ("SES-ComplaintRate", "Reputation.ComplaintRate", 0.0005),
        ],
    )
    def test_the_accounts_reputation_is_watched_well_before_ses_acts(
        self, name: str, metric: str, threshold: float
    ) -> None:
        properties = alarm(name)
        assert (properties["Namespace"], properties["MetricName"]) == ("AWS/SES", metric)
        assert dimensions(properties) == {}
        assert properties["TreatMissingData"] == "ignore"
        assert exceeds(properties, threshold)


class TestAlarmsBesideThem:
    @pytest.mark.parametrize(
        ("name", "queue", "age"),
        [
            ("RetryQueue-Age", "EmailRetryQueue", 4 * HOUR),
            ("BulkQueue-Age", "BulkEmailQueue", DAY),
            # Its age begins anew in a dead-letter queue; that SQS deletes it after 14 days does not.
            ("EventBridgeDLQ-Age", "EventBridgeDLQ", 3 * DAY),
            ("RetryDLQ-Age", "EmailRetryDLQ", 3 * DAY),
            ("FeedbackDLQ-Age", "FeedbackProcessorDLQ", 3 * DAY),
            ("BulkDLQ-Age", "BulkEmailDLQ", 3 * DAY),
            ("WebhookDLQ-Age", "WebhookDLQ", 3 * DAY),
            ("ParkedQueue-Age", "ParkedEmailQueue", 10 * DAY),
        ],
    )
    def test_mail_that_waits_too_long_is_seen_in_every_queue(self, name: str, queue: str, age: int) -> None:
        properties = alarm(name)
        assert properties["MetricName"] == AGE
        assert dimensions(properties) == {"QueueName": f"mail-{queue}"}
        assert exceeds(properties, age)

    @pytest.mark.parametrize(
        ("name", "queue", "metric", "threshold", "hours"),
        [
            ("RetryQueue-Hidden", "EmailRetryQueue", "ApproximateNumberOfMessagesNotVisible", 0, 4),
            ("BulkQueue-Hidden", "BulkEmailQueue", "ApproximateNumberOfMessagesNotVisible", 0, 24),
            ("RetryQueue-Delayed", "EmailRetryQueue", "ApproximateNumberOfMessagesDelayed", 1000, 4),
            ("BulkQueue-Delayed", "BulkEmailQueue", "ApproximateNumberOfMessagesDelayed", 1000, 4),
        ],
    )
    def test_mail_that_is_held_is_seen_though_its_age_is_not(
        self, name: str, queue: str, metric: str, threshold: int, hours: int
    ) -> None:
        """The age of the oldest message leaves out what was received three times or more."""
        properties = alarm(name)
        assert properties["MetricName"] == metric
        assert dimensions(properties) == {"QueueName": f"mail-{queue}"}
        assert (properties["Statistic"], properties["Period"]) == ("Minimum", HOUR)
        assert exceeds(properties, threshold, periods=hours)

    def test_every_reason_to_hold_mail_has_a_metric_of_its_own(self) -> None:
        assert DEFERRED_METRICS.keys() == set(DeferralReason)

    @pytest.mark.parametrize(
        ("name", "metric", "threshold"),
        [
            ("Services-Unavailable", METRICS["service-unavailable"], 0),
            ("Deferred-Paused", DEFERRED_METRICS["paused"], 0),
            ("Deferred-ServiceUnavailable", DEFERRED_METRICS["service-unavailable"], 0),
            ("Deferred-OutcomeUnknown", DEFERRED_METRICS["outcome-unknown"], 10),
            ("Deferred-Throttled", DEFERRED_METRICS["throttled"], 100),
            ("Deferred-ClaimedElsewhere", DEFERRED_METRICS["claimed-elsewhere"], 100),
        ],
    )
    def test_mail_that_is_held_for_a_quarter_of_an_hour_is_seen_by_its_reason(
        self, name: str, metric: str, threshold: int
    ) -> None:
        """With a table denied all mail is held, and no invocation fails."""
        properties = alarm(name)
        assert (properties["Namespace"], properties["MetricName"]) == (SERVICE, metric)
        assert dimensions(properties) == {"service": "mail-EmailSender", "environment": "prod"}
        assert (properties["DatapointsToAlarm"], properties["Period"]) == (3, 300)
        assert exceeds(properties, threshold, periods=12)

    @pytest.mark.parametrize("function", ["EmailSender", "FeedbackProcessor"])
    def test_events_that_lambda_drops_or_lets_wait_are_seen(self, function: str) -> None:
        dropped, age = alarm(f"{function}-EventsDropped"), alarm(f"{function}-EventAge")
        assert (dropped["MetricName"], age["MetricName"]) == ("AsyncEventsDropped", "AsyncEventAge")
        assert exceeds(dropped, 0)
        assert exceeds(age, 15 * 60 * 1000)
        assert dimensions(dropped) == dimensions(age) == {"FunctionName": f"mail-{function}"}

    @pytest.mark.parametrize(
        ("name", "event", "threshold", "periods"),
        [
            ("SES-Paused", "ses-paused", 0, 1),
            ("SES-Throttles", "ses-throttled", 50, 2),
            ("SES-UnknownOutcomes", "outcome-unknown", 10, 2),
            ("SES-Configuration", "ses-configuration-wrong", 0, 1),
            ("SES-UnexpectedAnswers", "ses-answer-unexpected", 0, 1),
            ("SES-BulkCallsRefused", "bulk-calls-refused", 0, 1),
            ("Bulk-Held", "bulk-held", 0, 1),
        ],
    )
    def test_trouble_with_ses_is_seen_in_what_this_stacks_sender_counts(
        self, name: str, event: str, threshold: int, periods: int
    ) -> None:
        properties = alarm(name)
        assert (properties["Namespace"], properties["MetricName"]) == (SERVICE, METRICS[event])
        assert dimensions(properties) == {"service": "mail-EmailSender", "environment": "prod"}
        assert exceeds(properties, threshold, periods=periods)

    @pytest.mark.parametrize("table", ["EmailTracking", "Suppression", "State"])
    def test_throttles_of_a_table_and_its_indexes_are_seen(self, table: str) -> None:
        properties = alarm(f"{table}-Throttles")
        watched = {
            (
                metric["MetricStat"]["Metric"]["MetricName"],
                dimensions(metric["MetricStat"]["Metric"]).get("GlobalSecondaryIndexName"),
            )
            for metric in properties["Metrics"]
            if "MetricStat" in metric
        }
        indexes = deployed().properties("AWS::DynamoDB::Table", TableName=f"mail-{table}")
        assert watched == {("ReadThrottleEvents", None), ("WriteThrottleEvents", None)} | {
            ("WriteThrottleEvents", index["IndexName"]) for index in indexes.get("GlobalSecondaryIndexes", [])
        }
        assert exceeds(properties, 0, periods=2)

    def test_every_alarm_goes_to_the_topic(self) -> None:
        for made in every_alarm():
            assert made["AlarmActions"] == [TOPIC]
            assert made["TreatMissingData"] in {"notBreaching", "ignore"}

    def test_every_alarm_says_what_to_look_at_which_command_helps_and_where_to_read_on(self) -> None:
        for made in every_alarm():
            name, description = made["AlarmName"].removeprefix("mail-"), made["AlarmDescription"]
            page = operations()
            said = re.fullmatch(
                r".*look.*"
                r" Run `(?:aws [a-z0-9]+|sesmailengine) [^`{}]+`\."
                r" More: docs/operations\.md#(?P<section>[a-z-]+)",
                description,
            )
            assert said is not None, description
            assert len(description) <= 1024  # what CloudWatch takes
            assert f"`{name}`" in page[said["section"]]
            for command in re.findall(r"`(sesmailengine \w+)", description):
                assert any(f"$ {command}" in section for section in page.values()), command

    @pytest.mark.parametrize("function", ["EmailSender", "FeedbackProcessor", "Unsubscribe", "Webhook"])
    def test_a_functions_errors_lead_to_its_own_log(self, function: str) -> None:
        assert f"/mail-{function} " in alarm(f"{function}-Errors", whole())["AlarmDescription"]

    def test_a_page_that_answers_with_errors_or_turns_requests_away_is_seen(self) -> None:
        """Also where the function takes a service's failure and answers 503, which Lambda calls no error."""
        errors, throttles = (alarm(f"Unsubscribe-{what}", whole()) for what in ("Errors", "Throttles"))
        assert (errors["MetricName"], errors["Period"]) == ("Url5xxCount", HOUR)
        assert exceeds(errors, 3)
        assert throttles["MetricName"] == "Throttles"
        assert exceeds(throttles, 10, periods=2)
        assert dimensions(errors) == dimensions(throttles) == {"FunctionName": "mail-Unsubscribe"}

    def test_what_is_not_there_is_not_watched(self) -> None:
        names = {made["AlarmName"] for made in alarms()}
        assert not [name for name in names if "Unsubscribe" in name or "mail-Webhook-" in name]

    def test_the_page_tells_of_no_alarm_that_is_not_there(self) -> None:
        rows = re.findall(r"^\| (`.*?`) \|", "\n".join(operations().values()), re.MULTILINE)
        told = {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}
        assert told == {made["AlarmName"].removeprefix("mail-") for made in every_alarm()}

    def test_the_page_about_costs_counts_them_and_prices_what_is_there_all_the_time(self) -> None:
        page = (DOCS / "parameters.md").read_text(encoding="utf-8")
        lone: list[dict[str, Any]] = [{"MetricStat": {}}]  # an alarm without an expression looks at one
        metrics = sum("MetricStat" in one for made in alarms() for one in made.get("Metrics", lone))
        watching = (metrics - 10) * prices.ALARM_METRIC_MONTH
        gigabytes = sum(
            made["Properties"]["MemorySize"] / 1024
            for made in deployed().all("AWS::Lambda::Function").values()
            if "SnapStart" in made["Properties"]
        )
        snapshots = gigabytes * prices.SNAPSTART_CACHE_GB_SECOND * prices.MONTH_SECONDS
        for told in (
            f"{len(alarms())} alarms on {metrics} metrics (10 are free, then 0.10 each) | {watching:.2f} |",
            f"SnapStart: the snapshots of both functions, as long as the stack is there | {snapshots:.2f} |",
            f"the key of the two topics | {prices.KMS_KEY_MONTH:.2f} |",
            f"Restoring a snapshot costs {prices.SNAPSTART_RESTORE_GB / 2:.5f} USD",
        ):
            assert told in page, told


DOCS = Path(__file__).parents[2] / "docs"


def operations() -> dict[str, str]:
    """The sections of docs/operations.md, by the names that links call them by."""
    page = (DOCS / "operations.md").read_text(encoding="utf-8")
    _, *sections = re.split(r"^## ", page, flags=re.MULTILINE)
    return {text.partition("\n")[0].lower().replace(" ", "-"): text for text in sections}


def alarms(stack: Deployed | None = None) -> list[dict[str, Any]]:
    return [made["Properties"] for made in (stack or deployed()).all("AWS::CloudWatch::Alarm").values()]


def every_alarm() -> list[dict[str, Any]]:
    return alarms(whole())


def whole() -> Deployed:
    """With all that parameters may add."""
    return deployed(SeparateStreams="true", HostedUnsubscribe="true", SignedWebhooks="true")


def exceeds(properties: dict[str, Any], threshold: float, *, periods: int = 1) -> bool:
    said = (properties["ComparisonOperator"], properties["Threshold"], properties["EvaluationPeriods"])
    return said == ("GreaterThanThreshold", threshold, periods)


class TestTopic:
    def test_only_alarms_of_this_stack_may_publish(self) -> None:
        allow = allowed_on_topic("mail-Alarms")
        assert allow["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        assert allow["Condition"] == {
            "StringEquals": {"AWS:SourceAccount": ACCOUNT},
            "ArnLike": {"AWS:SourceArn": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:mail-*"},
        }

    def test_the_administrator_is_subscribed(self) -> None:
        stack = deployed(AdminEmail="ops@example.com")
        assert stack.properties("AWS::SNS::Subscription", Protocol="email") == {
            "Endpoint": "ops@example.com",
            "Protocol": "email",
            "TopicArn": TOPIC,
        }

    def test_nobody_is_subscribed_where_there_is_no_administrator(self) -> None:
        protocols = [made["Properties"]["Protocol"] for made in subscriptions(deployed())]
        assert protocols == ["lambda"]

    def test_an_administrator_from_context_is_subscribed_for_good(self) -> None:
        stack = Deployed(synthesis(**PINNED).template)
        assert {made["Properties"]["Endpoint"] for made in subscriptions(stack)} >= {"ops@example.com"}


def subscriptions(stack: Deployed) -> list[dict[str, Any]]:
    return list(stack.all("AWS::SNS::Subscription").values())


class TestDashboard:
    def test_the_output_opens_it(self) -> None:
        name = deployed().properties("AWS::CloudWatch::Dashboard")["DashboardName"]
        assert deployed().outputs()["DashboardUrl"].endswith(f"#dashboards/dashboard/{name}")

    @pytest.mark.parametrize("status", ["Sent", "Delivered", "Bounced", "Complained", "Failed"])
    def test_a_number_says_how_many_emails_of_the_day_reached_a_status(self, status: str) -> None:
        day = widget("The last 24 hours")
        assert (day["view"], day["setPeriodToTimeRange"], day["start"]) == ("singleValue", True, "-PT24H")
        assert status in labels(day)

    def test_what_is_sent_a_second_stands_beside_what_ses_allows(self) -> None:
        pace = widget("Emails a second, and what SES allows")
        assert labels(pace) >= {"Sent a second", "Allowed a second", "Throttled"}
        assert GAUGES["send-rate-told"][0] in json.dumps(pace)

    @pytest.mark.parametrize(("kind", "limits"), [("bounces", {0.05, 0.1}), ("complaints", {0.001, 0.005})])
    def test_reputation_stands_beside_the_limits_of_ses(self, kind: str, limits: set[float]) -> None:
        lines = widget(f"The account's share of {kind}")["annotations"]["horizontal"]
        assert {line["value"] for line in lines} == limits

    def test_it_shows_how_old_the_oldest_message_is_and_how_long_a_send_takes(self) -> None:
        ages = labels(widget("Age of the oldest message in seconds"))
        assert ages == {"Retry queue", "Bulk queue", "Parked"}
        assert {"p50", "p95", "p99", "Waiting"} <= labels(
            widget("EmailSender: milliseconds an invocation, and waiting for one")
        )

    def test_it_shows_what_a_thousand_emails_cost(self) -> None:
        (cost,) = (one for one in widgets() if one["title"].startswith("Dollars for 1,000 emails"))
        assert labels(cost) >= {"Around SES", "With SES", "With SES Essentials"}

    @pytest.mark.parametrize("memory", [512, 2048])
    def test_costs_follow_the_memory_that_the_functions_have(self, memory: int) -> None:
        expressions = [
            metric[0]["expression"] for one in widgets(SenderMemory=memory) for metric in expressions_of(one)
        ]
        assert any(f"* {memory} / 1024 *" in expression for expression in expressions)

    def test_every_number_of_an_expression_is_one_that_metric_math_reads(self) -> None:
        for one in widgets():
            for metric in expressions_of(one):
                assert re.search(r"\de-?\d", metric[0]["expression"]) is None

    def test_it_shows_no_metric_of_the_engine_that_the_engine_does_not_write(self) -> None:
        gauges = (name for name, _ in GAUGES.values())
        written = {*METRICS.values(), *DEFERRED_METRICS.values(), *STATUS_METRICS.values(), *gauges}
        shown = {
            metric[1]
            for one in widgets()
            for metric in one["metrics"]
            if isinstance(metric[0], str) and metric[0] == SERVICE
        }
        assert shown
        assert shown <= written


def widgets(**given: Any) -> list[dict[str, Any]]:
    body = json.loads(deployed(**given).properties("AWS::CloudWatch::Dashboard")["DashboardBody"])
    return [one["properties"] for one in body["widgets"]]


def widget(title: str) -> dict[str, Any]:
    (found,) = (one for one in widgets() if one["title"] == title)
    return found


def labels(properties: dict[str, Any]) -> set[str]:
    return {
        metric[-1]["label"]
        for metric in properties["metrics"]
        if isinstance(metric[-1], dict) and "label" in metric[-1]
    }


def expressions_of(properties: dict[str, Any]) -> list[Any]:
    return [metric for metric in properties["metrics"] if isinstance(metric[0], dict)]
