"""What the stack makes for webhooks: a role that posts, and a queue for what nobody took."""

from typing import Any

import pytest
from tests.support.aws_calls import Ask
from tests.support.iam import allows
from tests.support.resource_policies import may_publish
from tests.support.synthesized import ACCOUNT, REGION, Deployed, deployed

from engine.operations.webhook_names import WebhookNames
from infra.regions import REGIONS

QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:mail-WebhookDLQ"
NAMES = WebhookNames.of_queue(QUEUE)
RULES = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/mail-EmailBus/mail-webhook-*"


def role() -> dict[str, Any]:
    name = NAMES.role_arn.rpartition("/")[2]
    made: dict[str, Any] = deployed().find("AWS::IAM::Role", RoleName=name)["Properties"]
    return made


def test_the_commands_make_the_same_names_as_the_stack_has() -> None:
    assert deployed().properties("AWS::Events::EventBus")["Name"] == NAMES.bus
    topics = deployed().all("AWS::SNS::Topic").values()
    assert NAMES.alarms_arn.rpartition(":")[2] in {made["Properties"]["TopicName"] for made in topics}
    assert role()["RoleName"] == f"mail-Webhook-{REGION}"


def test_the_role_posts_to_webhooks_of_this_stack_and_does_no_more() -> None:
    (policy,) = role()["Policies"]
    (may,) = policy["PolicyDocument"]["Statement"]
    destinations = f"arn:aws:events:{REGION}:{ACCOUNT}:api-destination/{NAMES.prefix}*"
    assert (may["Effect"], may["Action"], may["Resource"]) == (
        "Allow",
        "events:InvokeApiDestination",
        destinations,
    )


def test_only_rules_of_webhooks_may_use_the_role() -> None:
    (trust,) = role()["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "events.amazonaws.com"}
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": RULES},
    }


@pytest.mark.parametrize(("rule", "may"), [("mail-webhook-crm", True), ("payroll-webhook-crm", False)])
def test_only_rules_of_webhooks_leave_events_in_the_queue(rule: str, *, may: bool) -> None:
    policies = deployed().all("AWS::SQS::QueuePolicy").values()
    (statements,) = (
        made["Properties"]["PolicyDocument"]["Statement"]
        for made in policies
        if made["Properties"]["PolicyDocument"]["Statement"][0]["Resource"] == QUEUE
    )
    arn = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/mail-EmailBus/{rule}"
    context = (("aws:SecureTransport", "true"), ("aws:SourceAccount", ACCOUNT), ("aws:SourceArn", arn))
    allowing = [one for one in statements if one["Effect"] == "Allow"]
    assert allows(allowing, Ask("sqs:SendMessage", QUEUE, context)) is may


def test_operators_publish_tests_and_no_news_of_emails() -> None:
    assert may_publish("ops", "sesmailengine", "Webhook Test")
    assert not may_publish("ops", "sesmailengine", "Email Status Changed")


def test_the_roles_name_fits_for_the_longest_stack_and_region() -> None:
    assert len(f"{'s' * 40}-Webhook-{max(REGIONS, key=len)}") <= 64


# -- signed ones ---------------------------------------------------------------------------------------------

HANDLER = "engine.handlers.webhook.handler"
SECRETS = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:mail-webhook-*"


def signing() -> Deployed:
    return deployed(SignedWebhooks="true")


def test_nothing_signs_unless_it_is_wanted() -> None:
    functions = deployed().all("AWS::Lambda::Function").values()
    assert not [one for one in functions if one["Properties"]["Handler"] == HANDLER]


def test_the_function_reads_secrets_of_webhooks_fills_their_queue_and_does_no_more() -> None:
    function = signing().properties("AWS::Lambda::Function", FunctionName="mail-Webhook")
    assert function["Environment"]["Variables"] == {"WEBHOOK_SECRET_PREFIX": NAMES.prefix}
    may = {one["Sid"]: (one["Action"], one["Resource"]) for one in signing().statements(HANDLER)}
    del may["WriteLog"]
    assert may == {
        "ReadWebhooks": ("secretsmanager:GetSecretValue", SECRETS),
        "LeaveWhatNobodyTook": ("sqs:SendMessage", QUEUE),
    }


def test_a_slow_endpoint_uses_up_no_more_of_the_account_than_is_reserved() -> None:
    function = signing().properties("AWS::Lambda::Function", FunctionName="mail-Webhook")
    assert function["ReservedConcurrentExecutions"] == 10
    some = deployed(SignedWebhooks="true", WebhookConcurrency="0")
    function = some.properties("AWS::Lambda::Function", FunctionName="mail-Webhook")
    assert "ReservedConcurrentExecutions" not in function


def test_what_it_fails_at_ends_in_the_queue() -> None:
    configured = signing().all("AWS::Lambda::EventInvokeConfig").values()
    destinations = [made["Properties"]["DestinationConfig"]["OnFailure"] for made in configured]
    assert {"Destination": QUEUE} in destinations


def test_only_rules_of_webhooks_call_it() -> None:
    (allowed,) = (
        made["Properties"]
        for made in signing().all("AWS::Lambda::Permission").values()
        if made["Properties"].get("SourceArn") == RULES
    )
    assert allowed["Principal"] == "events.amazonaws.com"
    assert allowed["FunctionName"].endswith(":function:mail-Webhook:live")
