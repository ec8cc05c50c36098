"""`find`, `explain` and `status` against AWS's APIs."""

import io
import re
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3  # type: ignore[import-untyped]  # a test looks at answers as plain JSON
import pytest
from tests.support.cloud import Cloud, variables
from tests.support.operators import Operator, facts
from typer.testing import Result

from engine.local.ses.account import Account
from engine.local.ses.threaded import ThreadedSimulator
from engine.operations.queues import DEAD_LETTER_QUEUES, PARKED
from engine.requests.email_job import email_id, retry_id
from engine.schemas.times import iso

Run = Callable[..., Result]
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
TODAY = NOW.date().isoformat()


@pytest.fixture
def run(cloud: Cloud, ses: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command against the test's stack at noon, and read what it prints for programs."""
    monkeypatch.setattr("engine.cli.operate.command.now", lambda: NOW)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", ses.url)
    for queue in (PARKED, *DEAD_LETTER_QUEUES):
        cloud.sqs.create_queue(QueueName=cloud.name(queue))
    return Operator(cloud).run


def ask(cloud: Cloud, own_id: str, *, minutes_ago: float = 1, **more: Any) -> str:
    """A row of the ledger; the time at which it was asked for."""
    at = iso(NOW - timedelta(minutes=minutes_ago))
    cloud.put_email(own_id, at, **more)
    return at


def found(result: Result) -> list[str]:
    return [email["emailId"] for email in facts(result)["emails"]]


def deploy_sender(cloud: Cloud) -> None:
    """The function, as far as its configuration is looked at."""
    iam: Any = boto3.client("iam", endpoint_url=cloud.endpoint)
    role = iam.create_role(RoleName=cloud.stack, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("function.py", "")
    functions: Any = boto3.client("lambda", endpoint_url=cloud.endpoint)
    functions.create_function(
        FunctionName=cloud.name("EmailSender"),
        Runtime="python3.13",
        Handler="function.handler",
        Role=role,
        Code={"ZipFile": zipped.getvalue()},
        Environment={"Variables": {**variables(cloud, "http://ses.example"), "DATA_RETENTION_DAYS": "30"}},
        Publish=True,
    )


class TestFind:
    def test_by_address_shows_the_newest_first_whatever_its_spelling(self, cloud: Cloud, run: Run) -> None:
        ask(cloud, "older", minutes_ago=9)
        ask(cloud, "newer")
        ask(cloud, "other", toEmail="bob@example.com")
        assert found(run("find", " Ada@Example.COM", "--json")) == ["newer", "older"]

    def test_by_key_computes_the_id_and_finds_the_retry_too(self, cloud: Cloud, run: Run) -> None:
        own_id = email_id("shop", "order-7")
        ask(cloud, own_id, minutes_ago=20)
        ask(cloud, retry_id(own_id, 1), retryAttempt=1)
        assert found(run("find", "--key", "shop", "order-7", "--json")) == [retry_id(own_id, 1), own_id]

    def test_by_ses_id(self, cloud: Cloud, run: Run) -> None:
        ask(cloud, "one", sesMessageId="m1")
        assert found(run("find", "--ses-id", "m1", "--json")) == ["one"]

    def test_filters_hold_together_over_the_days_since(self, cloud: Cloud, run: Run) -> None:
        ask(cloud, "wanted", minutes_ago=60 * 30, status="failed", failureCode="expired", campaign="spring")
        ask(cloud, "other-status", minutes_ago=60 * 30, campaign="spring")
        ask(cloud, "other-template", status="failed", campaign="spring", templateName="invoice")
        ask(cloud, "other-campaign", status="failed", campaign="autumn")
        ask(cloud, "too-old", minutes_ago=60 * 80, status="failed", campaign="spring")
        filters = ("--status", "failed", "--template", "welcome", "--campaign", "spring", "--json")
        assert found(run("find", "--since", "3d", *filters)) == ["wanted"]
        assert found(run("find", "--since", iso(NOW - timedelta(hours=80, minutes=5)), *filters)) == [
            "wanted",
            "too-old",
        ]
        assert run("find", *filters).exit_code == 1  # a day back, where --since says nothing

    def test_an_addresss_filters_hold_too(self, cloud: Cloud, run: Run) -> None:
        ask(cloud, "new", status="failed")
        ask(cloud, "old", status="failed", minutes_ago=200)
        assert found(run("find", "ada@example.com", "--since", "2h", "--status", "failed", "--json")) == [
            "new"
        ]

    def test_the_limit_is_kept_and_said(self, cloud: Cloud, run: Run) -> None:
        for number in range(3):
            ask(cloud, f"email-{number}", minutes_ago=number + 1)
        result = run("find", "ada@example.com", "--limit", "2")
        assert "2 emails, newest first; older ones were not looked at" in result.output
        assert "email-2" not in result.output

    def test_people_see_where_each_is_and_what_to_run_next(self, cloud: Cloud, run: Run) -> None:
        at = ask(cloud, "one", status="failed", failureCode="suppressed", retryAttempt=1)
        result = run("find", "ada@example.com")
        assert result.exit_code == 0
        for text in (at[:19].replace("T", " "), "welcome", "failed (2)", "suppressed", "One email"):
            assert text in result.output
        assert f"sesmailengine explain one --stack {cloud.stack}" in result.output

    def test_eighty_columns_show_who_what_and_the_whole_id(self, cloud: Cloud, run: Run) -> None:
        own_id = email_id("shop", "order-7")
        ask(cloud, own_id, status="failed", failureCode="suppressed", campaign="spring")
        shown = run("find", "--template", "welcome", columns=80).output
        for text in ("ada@example.com", "welcome · spring", own_id, "failed", "suppressed"):
            assert text in shown

    def test_an_email_that_is_worked_on_shows_its_claims_age(self, cloud: Cloud, run: Run) -> None:
        at = NOW.timestamp()
        ask(cloud, "live", status="sending", leaseUntil=at + 3000)
        ask(cloud, "dead", status="sending", leaseUntil=at - 3000, minutes_ago=2)
        ask(cloud, "free", status="sending", minutes_ago=3)
        now = [email["now"] for email in facts(run("find", "ada@example.com", "--json"))["emails"]]
        assert re.match(r"being sent: its claim holds for 50 min more", now[0])
        assert re.match(r"deferred or unknown: its claim ran out 50 min ago", now[1])
        assert now[2] == "deferred or parked"

    def test_nothing_found_says_where_to_look(self, cloud: Cloud, run: Run) -> None:
        result = run("find", "--key", "shop", "order-8")
        assert result.exit_code == 1
        for text in (f"the bus {cloud.bus}", "'Email Request'", "'shop'", "dry run", "DATA_RETENTION_DAYS"):
            assert text in result.output

    def test_where_emails_were_looked_at_and_none_fits_nothing_is_said_to_be_lost(
        self, cloud: Cloud, run: Run
    ) -> None:
        ask(cloud, "sent")
        ask(cloud, "older", minutes_ago=60 * 30)
        for words, said in (
            (("--status", "failed"), "None matches of 1 in the ledger, asked for in the last day"),
            (("--status", "failed", "--since", "2d"), "None matches of 2 in the ledger, asked for since"),
            (("ada@example.com", "--template", "invoice"), "None matches of 2 in the ledger."),
        ):
            result = run("find", *words)
            assert result.exit_code == 1
            assert said in result.output
            assert "never came" not in result.output
        assert "asked for since" in run("find", "--since", "30s").output  # and none was

    def test_nothing_found_names_the_queue_that_gave_mail_up(self, cloud: Cloud, run: Run) -> None:
        url = cloud.sqs.get_queue_url(QueueName=cloud.name("BulkEmailDLQ"))["QueueUrl"]
        cloud.sqs.send_message(QueueUrl=url, MessageBody="{}")
        result = run("find", "nobody@example.com")
        assert "1 in BulkEmailDLQ" in result.output
        assert "sesmailengine dlq show BulkEmailDLQ" in result.output

    def test_nothing_found_names_a_bus_that_is_not_there(self, cloud: Cloud, run: Run) -> None:
        cloud.events.remove_targets(Rule="status", EventBusName=cloud.bus, Ids=["queue"])
        cloud.events.delete_rule(Name="status", EventBusName=cloud.bus)
        cloud.events.delete_event_bus(Name=cloud.bus)
        assert f"The bus {cloud.bus} does not exist" in run("find", "nobody@example.com").output

    @pytest.mark.parametrize("words", [("--since", "yesterday"), ("a@b.example", "--ses-id", "m1")])
    def test_a_wrong_option_exits_with_2(self, run: Run, words: tuple[str, ...]) -> None:
        assert run("find", *words).exit_code == 2


class TestExplain:
    def test_an_address_means_the_newest_email_to_it(self, cloud: Cloud, run: Run) -> None:
        ask(cloud, "older", minutes_ago=9)
        at = ask(cloud, "newer", deliveredAt=iso(NOW))
        told = facts(run("explain", "ada@example.com", "--json"))
        assert (told["email"]["emailId"], told["email"]["at"]) == ("newer", at)
        assert [moment["title"] for moment in told["timeline"]] == ["Asked", "Delivered", "Told"]

    def test_a_retry_is_told_with_its_original(self, cloud: Cloud, run: Run) -> None:
        ask(cloud, "first", minutes_ago=20, status="soft_bounced", softBouncedAt=iso(NOW))
        again = retry_id("first", 1)
        ask(cloud, again, originalEmailId="first", retryAttempt=1, deliveredAt=iso(NOW))
        for own_id in ("first", again):
            told = facts(run("explain", own_id, "--json"))
            assert [attempt["emailId"] for attempt in told["attempts"]] == ["first", again]
            assert told["verdict"]["sentence"].startswith("The receiving server took it")

    def test_suppression_and_brakes_in_its_way_are_told(self, cloud: Cloud, run: Run) -> None:
        ask(cloud, "one", status="sending", toEmail="ada@xn--mnchen-3ya.example", campaign="spring")
        cloud.put("Suppression", email="ada@münchen.example", suppressionType="manual", addedBy="ops")
        cloud.put("State", pk="stop#campaign#spring", because="wrong price", by="ops", since=iso(NOW))
        cloud.put("State", pk="stop#campaign#autumn", because="not ours")
        result = run("explain", "one")
        assert result.exit_code == 1
        assert "ada@münchen.example: manual" in result.output
        assert "stop#campaign#spring, set by ops" in result.output
        assert "not ours" not in result.output
        assert f"sesmailengine go --campaign spring --stack {cloud.stack}" in result.output

    def test_an_opt_out_of_its_topic_is_told(self, cloud: Cloud, run: Run) -> None:
        ask(cloud, "one", status="failed", failureCode="unsubscribed", topic="news")
        for key in ("news#ada@example.com", "offers#ada@example.com"):
            cloud.put("Suppression", email=key, suppressionType="unsubscribe", reason="by the link")
        result = run("explain", "one")
        assert "from news" in result.output
        assert "Operator" not in result.output  # whose suppression it is not
        assert "offers" not in result.output
        assert "has unsubscribed from this topic" in result.output

    def test_an_unknown_email_says_why_it_may_be(self, run: Run) -> None:
        result = run("explain", "nobody@example.com")
        assert result.exit_code == 1
        assert "No such email is in the ledger." in result.output
        assert "verdict" in facts(run("explain", email_id("shop", "order-1"), "--json"))

    def test_what_is_neither_id_nor_address_is_not_looked_for_elsewhere(self, run: Run) -> None:
        result = run("explain", "order-1")
        assert result.exit_code == 1
        assert "neither an email id nor an address" in " ".join(result.output.split())


class TestStatus:
    def test_a_quiet_stack_is_well(self, run: Run) -> None:
        result = run("status")
        assert result.exit_code == 0, result.output
        for text in ("sends", "BulkEmailQueue", "ParkedEmailQueue", "EventBridgeDLQ", "no email"):
            assert text in result.output
        assert "Nothing is wrong." in result.output

    def test_the_account_is_told(self, ses: ThreadedSimulator, run: Run) -> None:
        ses.simulator.usage.account = Account(max_send_rate=14, daily_quota=0)
        result = run("status")
        assert "14/s" in result.output
        assert "0 of 0 left" in result.output
        assert "SES's daily quota is used up" in result.output
        assert result.exit_code == 1

    def test_todays_emails_are_counted_by_their_rows_where_no_metric_is(self, cloud: Cloud, run: Run) -> None:
        for number in range(3):
            status = "opened" if number else "failed"
            ask(cloud, f"e{number}", minutes_ago=0, status=status)
        assert facts(run("status", "--json"))["today"] == {
            "source": "rows",
            "byStatus": {"opened": 2, "failed": 1},
            "whole": True,
        }
        assert "(all rows, as each is now)" in run("status").output

    def test_todays_emails_are_counted_by_their_metrics_where_there_are_some(
        self, cloud: Cloud, run: Run
    ) -> None:
        deploy_sender(cloud)
        cloudwatch: Any = boto3.client("cloudwatch", endpoint_url=cloud.endpoint)
        for function, metric, value in (
            ("EmailSender", "EmailsSent", 40),
            ("EmailSender", "EmailsFailed", 2),
            ("FeedbackProcessor", "EmailsDelivered", 39),
            ("FeedbackProcessor", "EmailsFailed", 1),
        ):
            dimensions = {"service": cloud.name(function), "environment": "test"}
            cloudwatch.put_metric_data(
                Namespace="sesmailengine",
                MetricData=[
                    {
                        "MetricName": metric,
                        "Dimensions": [{"Name": name, "Value": text} for name, text in dimensions.items()],
                        "Timestamp": NOW - timedelta(hours=1),
                        "Value": value,
                    }
                ],
            )
        today = facts(run("status", "--json"))["today"]
        assert today == {
            "source": "cloudwatch",
            "byStatus": {"sent": 40, "failed": 3, "delivered": 39},
            "whole": True,
        }

    def test_bounces_and_complaints_name_the_template_and_campaign_that_cause_most(
        self, cloud: Cloud, run: Run
    ) -> None:
        cloud.put("State", pk=f"quota#{TODAY}#0", sends=1500, bounces=40)
        cloud.put("State", pk=f"quota#{TODAY}#3", sends=500, bounces=20)
        for number in range(4):
            campaign = "spring" if number < 3 else "autumn"
            ask(cloud, f"b{number}", status="bounced", campaign=campaign, templateName="news")
            cloud.put(
                "Suppression",
                email=f"b{number}@example.com",
                suppressionType="bounce",
                reason="hard-bounce",
                addedToSuppressionDate=iso(NOW),
                emailId=f"b{number}",
            )
        for number in range(3):
            ask(cloud, f"c{number}", status="complained", templateName="offer")
            cloud.put(
                "Suppression",
                email=f"c{number}@example.com",
                suppressionType="complaint",
                reason="complaint",
                addedToSuppressionDate=iso(NOW),
                emailId=f"c{number}",
            )
        cloud.put(
            "Suppression",
            email="old@example.com",
            suppressionType="bounce",
            reason="hard-bounce",
            addedToSuppressionDate=iso(NOW - timedelta(days=2)),
        )
        result = run("status")
        assert "60 of 2,000 recipients (3.00 %); most by template news (4)" in result.output
        assert "most by campaign spring (3)" in result.output
        assert "3 (0.150 %); most by template offer (3)" in result.output
        assert "0.15 % of today's recipients complained" in result.output
        assert result.exit_code == 1

    def test_brakes_and_queues_are_told_with_the_way_out(self, cloud: Cloud, run: Run) -> None:
        cloud.put("State", pk="stop#bulk", because="wrong price", by="ops", since=iso(NOW))
        cloud.sqs.send_message(QueueUrl=cloud.bulk_queue, MessageBody="{}")
        url = cloud.sqs.get_queue_url(QueueName=cloud.name("EmailRetryDLQ"))["QueueUrl"]
        cloud.sqs.send_message(QueueUrl=url, MessageBody="{}")
        result = run("status")
        assert "stop#bulk, set by ops" in result.output
        assert "`go`: the lane is stopped" in result.output
        assert "Given up, and to be looked at: 1 message in EmailRetryDLQ." in result.output
        assert f"sesmailengine go --bulk --stack {cloud.stack}" in result.output

    def test_an_alarm_that_rings_is_told(self, cloud: Cloud, run: Run) -> None:
        cloudwatch: Any = boto3.client("cloudwatch", endpoint_url=cloud.endpoint)
        for name, state in ((cloud.name("SES-Paused"), "ALARM"), (cloud.name("Quiet"), "OK")):
            cloudwatch.put_metric_alarm(
                AlarmName=name,
                AlarmDescription="SES does not let the account send.",
                MetricName="SesPaused",
                Namespace="sesmailengine",
                ComparisonOperator="GreaterThanThreshold",
                EvaluationPeriods=1,
                Period=300,
                Statistic="Sum",
                Threshold=0,
            )
            cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="as the test says")
        result = run("status")
        assert f"The alarm {cloud.name('SES-Paused')} rings since" in result.output
        assert cloud.name("Quiet") not in result.output

    def test_a_stack_that_is_not_there_is_no_healthy_one(self, run: Run) -> None:
        result = run("status", "--stack", "elsewhere")
        assert result.exit_code == 1
