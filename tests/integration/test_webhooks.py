"""`sesmailengine webhooks`: what is made in AWS, what is shown, and that nothing is left."""

import json
from typing import Any

import boto3  # type: ignore[import-untyped]  # a test looks at answers as plain JSON
import pytest
from tests.support.cloud import Cloud
from tests.support.operators import Listener, Operator
from typer.testing import CliRunner, Result

from engine.cli.main import app
from engine.operations.stack import StackAddress, connect
from engine.operations.webhook import Webhook
from engine.operations.webhooks import open_webhooks

URL = "https://hooks.shop.example/mail"


class Stack:
    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.own = f"{cloud.stack}-webhook-crm"
        cloud.sqs.create_queue(QueueName=cloud.name("WebhookDLQ"))
        self.alarms: Any = boto3.client("cloudwatch", endpoint_url=cloud.endpoint)
        self.secrets: Any = boto3.client("secretsmanager", endpoint_url=cloud.endpoint)

    def run(self, *words: str) -> Result:
        return Operator(self.cloud).run("webhooks", *words)

    def facts(self, *words: str) -> Any:
        return Operator(self.cloud).facts("webhooks", *words)

    def add(self, *more: str) -> Any:
        return self.facts("add", URL, "--events", "bounced,complained", "--name", "crm", "--yes", *more)

    def left(self) -> list[str]:
        """Everything of AWS's that is called after the webhook."""
        events = self.cloud.events
        listed = (
            *events.list_rules(EventBusName=self.cloud.bus, NamePrefix=self.own)["Rules"],
            *events.list_api_destinations(NamePrefix=self.own)["ApiDestinations"],
            *events.list_connections(NamePrefix=self.own)["Connections"],
        )
        alarms = self.alarms.describe_alarms(AlarmNamePrefix=self.own)["MetricAlarms"]
        names = [*(one["Name"] for one in listed), *(one["AlarmName"] for one in alarms)]
        return [name for name in names if name.startswith(self.own)]


@pytest.fixture
def stack(cloud: Cloud) -> Stack:
    return Stack(cloud)


def test_adding_makes_a_rule_that_tries_for_a_day_and_leaves_the_rest_in_the_queue(stack: Stack) -> None:
    stack.add("--source", "shop", "--rate", "5")
    cloud = stack.cloud
    rule = cloud.events.describe_rule(Name=stack.own, EventBusName=cloud.bus)
    status, _ = json.loads(rule["EventPattern"])["$or"]
    assert status["detail"] == {"status": ["bounced", "complained"], "originalSource": ["shop"]}
    (target,) = cloud.events.list_targets_by_rule(Rule=stack.own, EventBusName=cloud.bus)["Targets"]
    destination = cloud.events.describe_api_destination(Name=stack.own)
    assert target["Arn"] == destination["ApiDestinationArn"]
    assert target["RoleArn"] == f"arn:aws:iam::123456789012:role/{cloud.stack}-Webhook-eu-west-1"
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86_400}
    assert target["DeadLetterConfig"] == {"Arn": cloud.arn("WebhookDLQ")}
    assert (destination["InvocationEndpoint"], destination["HttpMethod"]) == (URL, "POST")
    assert destination["InvocationRateLimitPerSecond"] == 5


def test_adding_makes_an_alarm_on_what_has_to_be_tried_again(stack: Stack) -> None:
    stack.add()
    (alarm,) = stack.alarms.describe_alarms(AlarmNames=[f"{stack.own}-Failing"])["MetricAlarms"]
    assert alarm["MetricName"] == "RetryInvocationAttempts"
    assert {one["Name"]: one["Value"] for one in alarm["Dimensions"]} == {
        "EventBusName": stack.cloud.bus,
        "RuleName": stack.own,
    }
    assert alarm["AlarmActions"] == [f"arn:aws:sns:eu-west-1:123456789012:{stack.cloud.stack}-Alarms"]


def header_of(stack: Stack) -> dict[str, str]:
    connection = stack.cloud.events.describe_connection(Name=stack.own)
    secret = stack.secrets.get_secret_value(SecretId=connection["SecretArn"])["SecretString"]
    kept = json.loads(secret)
    return {kept["api_key_name"]: kept["api_key_value"]}


def test_a_token_is_made_and_told_once(stack: Stack) -> None:
    added = stack.add()
    token = added["token"]
    assert len(token) >= 32
    assert header_of(stack) == {"Authorization": f"Bearer {token}"}
    assert token not in stack.run("list").output
    assert token not in stack.run("list", "--json").output


def test_a_header_that_is_given_is_used_and_never_printed(stack: Stack) -> None:
    added = stack.add("--header", "X-Api-Key=s3cret")
    assert header_of(stack) == {"X-Api-Key": "s3cret"}
    assert added["token"] is None
    assert "s3cret" not in json.dumps(added)


def test_the_list_shows_what_each_gets_and_that_it_is_switched_on(stack: Stack) -> None:
    assert "There is no webhook." in stack.run("list").output
    stack.add("--source", "shop")
    (webhook,) = stack.facts("list")["webhooks"]
    assert webhook == {
        "name": "crm",
        "url": URL,
        "events": ["bounced", "complained"],
        "source": "shop",
        "rate": 50,
        "signed": False,
        "state": "active",
    }


def test_a_source_is_shown_as_it_is_and_never_taken_for_a_style(stack: Stack) -> None:
    stack.add("--source", "[red]shop")
    assert "[red]shop" in stack.run("list").output


def test_a_webhook_that_somebody_switched_off_is_told(stack: Stack) -> None:
    stack.add()
    stack.cloud.events.disable_rule(Name=stack.own, EventBusName=stack.cloud.bus)
    answer = stack.run("list")
    assert answer.exit_code == 1
    assert "crm: rule is DISABLED" in answer.output
    assert "will not arrive: rule is DISABLED" in stack.run("test", "crm").output


def test_a_name_that_is_taken_changes_nothing(stack: Stack) -> None:
    token = stack.add()["token"]
    again = stack.run("add", "https://other.example/", "--events", "sent", "--name", "crm", "--yes")
    assert again.exit_code == 1
    assert "There is a webhook crm already" in again.output
    assert stack.cloud.events.describe_api_destination(Name=stack.own)["InvocationEndpoint"] == URL
    assert header_of(stack) == {"Authorization": f"Bearer {token}"}


async def test_what_fails_half_way_leaves_nothing(stack: Stack) -> None:
    address = StackAddress(stack=stack.cloud.stack, region="eu-west-1", endpoint_url=stack.cloud.endpoint)
    async with connect(address) as connected:
        events = await connected.client("events")
        events.meta.events.register("before-call.events.PutTargets", _refuse)
        webhook = Webhook(name="crm", url=URL, events=("sent",), source=None, rate=5)
        with pytest.raises(ConnectionRefusedError):
            await (await open_webhooks(connected)).add(webhook, ("X-Key", "s3cret"))
    assert stack.left() == []


def _refuse(**_: Any) -> None:
    raise ConnectionRefusedError


def test_removing_leaves_nothing_and_another_time_says_so(stack: Stack) -> None:
    stack.add()
    assert len(stack.left()) == 4
    assert stack.run("remove", "crm", "--yes").exit_code == 0
    assert stack.left() == []
    again = stack.run("remove", "crm", "--yes")
    assert again.exit_code == 1
    assert "There is no webhook 'crm'; there are: none." in again.output


def test_a_test_is_published_for_the_webhook_of_that_name(stack: Stack) -> None:
    stack.add()
    heard = Listener(stack.cloud, "Webhook Test")
    assert stack.run("test", "crm").exit_code == 0
    (event,) = heard.events()
    assert (event["source"], event["detail"]["webhook"]) == ("sesmailengine", "crm")
    answer = stack.run("test", "shop")
    assert answer.exit_code == 1
    assert "There is no webhook 'shop'; there are: crm." in answer.output


def test_the_bus_hears_of_both_acts_and_of_no_url(stack: Stack) -> None:
    heard = Listener(stack.cloud, "Operator Action")
    stack.add()
    stack.run("remove", "crm", "--yes")
    assert heard() == [("webhook-add", "crm hooks.shop.example", ""), ("webhook-remove", "crm", "")]


def test_nothing_is_made_where_nobody_can_be_asked(stack: Stack) -> None:
    answer = stack.run("add", URL, "--events", "bounced", "--name", "crm")
    assert answer.exit_code == 1
    assert "--yes" in answer.output
    assert stack.left() == []


@pytest.mark.parametrize(
    "options",
    [
        ("ftp://hooks.shop.example", "--events", "bounced"),
        (URL, "--events", "bouncy"),
        (URL, "--events", "bounced", "--name", "Much Too Long"),
        (URL, "--events", "bounced", "--header", "nothing"),
        (URL, "--events", "bounced", "--rate", "301"),
    ],
)
def test_wrong_options_are_told_before_anything_is_made(stack: Stack, options: tuple[str, ...]) -> None:
    assert stack.run("add", *options, "--yes").exit_code == 2
    assert stack.left() == []


def test_outside_of_a_local_aws_a_private_address_is_refused(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No AWS is asked: without an endpoint of its own the address is looked at first."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for url in ("https://127.0.0.1/", "https://169.254.169.254/", "https://localhost/"):
        answer = CliRunner().invoke(app, ["webhooks", "add", url, "--events", "sent", "--yes"])
        assert answer.exit_code == 2
        assert "resolves to" in answer.output
    assert stack.left() == []
