"""What carries mail and reports: bus, rules, queues, configuration set, feedback topic."""

from typing import Any

import pytest
from tests.support.resource_policies import (
    BUS,
    allowed_on_topic,
    bus_policy,
    may_publish,
    statements_on_topic,
)
from tests.support.synthesized import ACCOUNT, PINNED, REGION, Deployed, deployed, synthesis

from engine.delivery.retry_delay import RECEIVES

FORTNIGHT = 14 * 24 * 3600
DEAD = ["EventBridgeDLQ", "EmailRetryDLQ", "FeedbackProcessorDLQ", "BulkEmailDLQ", "WebhookDLQ"]


def queue_arn(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:mail-{name}"


def queue(name: str, **given: Any) -> dict[str, Any]:
    return deployed(**given).properties("AWS::SQS::Queue", QueueName=f"mail-{name}")


def roles(*functions: str) -> list[str]:
    """Names of the functions' roles, as far as CloudFormation lets us choose them."""
    made = deployed().all("AWS::IAM::Role")
    return [f"mail-{name}" for function in functions for name in made if name.startswith(function)]


def live(function: str) -> str:
    """The alias, which points at a published version."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:mail-{function}:live"


class TestBus:
    def test_every_principal_of_the_account_may_publish_and_nobody_else(self) -> None:
        statements = bus_policy()
        assert {statement["Resource"] for statement in statements} == {BUS}
        (allow,) = (statement for statement in statements if statement["Effect"] == "Allow")
        assert allow["Action"] == "events:PutEvents"
        assert allow["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        assert may_publish("app", "shop", "Email Request")

    @pytest.mark.parametrize("source", ["sesmailengine", "shop"])
    def test_only_the_engines_functions_say_what_became_of_an_email(self, source: str) -> None:
        assert not may_publish("app", source, "Email Status Changed")
        for role in roles("EmailSender", "FeedbackProcessor"):
            assert may_publish(role, "sesmailengine", "Email Status Changed")

    def test_only_the_engines_functions_publish_in_its_name(self) -> None:
        assert not may_publish("app", "sesmailengine", "Email Request")
        (seeder,) = roles("TemplateSeeder")
        assert not may_publish(seeder, "sesmailengine", "Email Status Changed")

    @pytest.mark.parametrize("detail_type", ["Operator Action", "Subscription Changed"])
    def test_operators_tell_of_their_actions_with_their_own_credentials(self, detail_type: str) -> None:
        assert may_publish("operator", "sesmailengine", detail_type)

    def test_everything_but_bulk_goes_straight_to_the_sender(self) -> None:
        rule = deployed().properties("AWS::Events::Rule", Name="mail-EmailEventRule")
        assert rule["EventPattern"] == {
            "detail-type": ["Email Request"],
            "detail": {"priority": [{"exists": False}, {"anything-but": ["bulk"]}]},
        }
        (target,) = rule["Targets"]
        assert target["Arn"] == live("EmailSender")

    def test_bulk_goes_to_the_bulk_queue(self) -> None:
        rule = deployed().properties("AWS::Events::Rule", Name="mail-BulkEmailRule")
        assert rule["EventPattern"] == {"detail-type": ["Email Request"], "detail": {"priority": ["bulk"]}}
        assert rule["Targets"][0]["Arn"] == queue_arn("BulkEmailQueue")

    @pytest.mark.parametrize("rule", ["EmailEventRule", "BulkEmailRule"])
    def test_a_rule_tries_three_times_in_an_hour_and_then_keeps_the_event(self, rule: str) -> None:
        (target,) = deployed().properties("AWS::Events::Rule", Name=f"mail-{rule}")["Targets"]
        assert target["RetryPolicy"] == {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 3600}
        assert target["DeadLetterConfig"] == {"Arn": queue_arn("EventBridgeDLQ")}


class TestQueues:
    @pytest.mark.parametrize(
        ("name", "dead"), [("EmailRetryQueue", "EmailRetryDLQ"), ("BulkEmailQueue", "BulkEmailDLQ")]
    )
    def test_a_queue_keeps_mail_a_fortnight_polls_long_and_gives_up_only_after_many_receives(
        self, name: str, dead: str
    ) -> None:
        properties = queue(name)
        assert properties["MessageRetentionPeriod"] == FORTNIGHT
        assert properties["ReceiveMessageWaitTimeSeconds"] == 20
        assert properties["RedrivePolicy"] == {
            "deadLetterTargetArn": queue_arn(dead),
            "maxReceiveCount": RECEIVES,
        }

    @pytest.mark.parametrize("timeout", [15, 30, 45, 60, 90, 120, 180, 300, 600, 900])
    def test_a_message_stays_hidden_six_times_the_senders_time_out(self, timeout: int) -> None:
        for name in ("EmailRetryQueue", "BulkEmailQueue"):
            assert queue(name, SenderTimeout=timeout)["VisibilityTimeout"] == 6 * timeout

    @pytest.mark.parametrize("name", DEAD)
    def test_a_dead_letter_queue_keeps_what_it_gets_a_fortnight(self, name: str) -> None:
        assert queue(name)["MessageRetentionPeriod"] == FORTNIGHT

    def test_every_queue_is_encrypted_kept_and_refuses_plain_http(self) -> None:
        stack = deployed()
        queues = stack.all("AWS::SQS::Queue").values()
        names = {made["Properties"]["QueueName"] for made in queues}
        working = ("EmailRetryQueue", "BulkEmailQueue", "ParkedEmailQueue")
        assert names == {f"mail-{name}" for name in (*DEAD, *working)}
        assert all(made["Properties"]["SqsManagedSseEnabled"] for made in queues)
        # A queue of an installation that failed goes again; any other stays.
        assert {made["DeletionPolicy"] for made in queues} == {"RetainExceptOnCreate"}
        assert {made["UpdateReplacePolicy"] for made in queues} == {"Retain"}
        refusing = {
            statement["Resource"]
            for policy in stack.all("AWS::SQS::QueuePolicy").values()
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Deny"
            and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        }
        assert refusing == {f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}" for name in names}

    def test_nothing_receives_what_is_parked_and_it_stays_for_fourteen_days(self) -> None:
        made = queue("ParkedEmailQueue")
        assert made["MessageRetentionPeriod"] == 14 * 86_400
        assert "RedrivePolicy" not in made
        mappings = deployed().all("AWS::Lambda::EventSourceMapping").values()
        sources = {mapping["Properties"]["EventSourceArn"] for mapping in mappings}
        assert queue_arn("ParkedEmailQueue") not in sources

    @pytest.mark.parametrize(
        ("name", "batch", "window", "concurrency"),
        [("BulkEmailQueue", 50, 1, 8), ("EmailRetryQueue", 10, 0, 2)],
    )
    def test_the_sender_reads_batches_and_answers_item_by_item(
        self, name: str, batch: int, window: int, concurrency: int
    ) -> None:
        mapping = deployed().properties("AWS::Lambda::EventSourceMapping", EventSourceArn=queue_arn(name))
        assert mapping["FunctionName"] == "mail-EmailSender:live"
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["BatchSize"] == batch
        assert mapping["MaximumBatchingWindowInSeconds"] == window
        assert mapping["ScalingConfig"] == {"MaximumConcurrency": concurrency}

    def test_parameters_change_what_a_mapping_may_take(self) -> None:
        given: dict[str, Any] = {"BulkConcurrency": 20, "BulkBatchSize": 200}
        mapping = deployed(**given).properties(
            "AWS::Lambda::EventSourceMapping", EventSourceArn=queue_arn("BulkEmailQueue")
        )
        assert (mapping["BatchSize"], mapping["ScalingConfig"]) == (200, {"MaximumConcurrency": 20})


UNTRACKED = {
    "send",
    "reject",
    "bounce",
    "complaint",
    "delivery",
    "renderingFailure",
    "deliveryDelay",
    "subscription",
}


def event_destination(stack: Deployed) -> dict[str, Any]:
    made = stack.properties(
        "AWS::SES::ConfigurationSetEventDestination", ConfigurationSetName="mail-ConfigSet"
    )
    destination: dict[str, Any] = made["EventDestination"]
    return destination


class TestFeedback:
    def test_sends_need_tls_and_their_reputation_is_measured(self) -> None:
        made = deployed().properties("AWS::SES::ConfigurationSet", Name="mail-ConfigSet")
        assert made["DeliveryOptions"] == {"TlsPolicy": "REQUIRE"}
        assert made["ReputationOptions"] == {"ReputationMetricsEnabled": True}

    def test_every_event_of_a_send_comes_back_on_the_topic(self) -> None:
        destination = event_destination(deployed())
        assert destination["Enabled"]
        assert set(destination["MatchingEventTypes"]) == {*UNTRACKED, "open"}
        assert destination["SnsDestination"] == {
            "TopicARN": f"arn:aws:sns:{REGION}:{ACCOUNT}:mail-SESFeedback"
        }

    @pytest.mark.parametrize(
        ("given", "tracked"),
        [
            ({"TrackOpens": "false"}, set()),
            ({"TrackClicks": "true"}, {"open", "click"}),
            ({"TrackOpens": "false", "TrackClicks": "true"}, {"click"}),
        ],
    )
    def test_links_are_rewritten_and_opens_seen_only_where_that_is_wanted(
        self, given: dict[str, Any], tracked: set[str]
    ) -> None:
        assert set(event_destination(deployed(**given))["MatchingEventTypes"]) == UNTRACKED | tracked

    def test_context_writes_down_what_is_tracked(self) -> None:
        stack = Deployed(synthesis(**PINNED).template)
        assert set(event_destination(stack)["MatchingEventTypes"]) == {*UNTRACKED, "click"}
        assert "TrackClicks" not in stack.template["Parameters"]

    def test_a_tracking_domain_of_ones_own_is_used_by_https_alone(self) -> None:
        for stack in (deployed(TrackingDomain="click.shop.example"), Deployed(synthesis(**PINNED).template)):
            made = stack.properties("AWS::SES::ConfigurationSet", Name="mail-ConfigSet")
            assert made["TrackingOptions"] == {
                "CustomRedirectDomain": "click.shop.example",
                "HttpsPolicy": "REQUIRE",
            }

    def test_ses_is_told_nothing_of_its_own_tracking_domain_because_it_refuses_that(self) -> None:
        made = deployed().properties("AWS::SES::ConfigurationSet", Name="mail-ConfigSet")
        assert "TrackingOptions" not in made

    def test_only_ses_may_publish_and_only_for_this_account_and_configuration_set(self) -> None:
        allow = allowed_on_topic("mail-SESFeedback")
        assert allow["Principal"] == {"Service": "ses.amazonaws.com"}
        assert allow["Action"] == "sns:Publish"
        assert allow["Condition"] == {
            "StringEquals": {
                "AWS:SourceAccount": ACCOUNT,
                "AWS:SourceArn": [f"arn:aws:ses:{REGION}:{ACCOUNT}:configuration-set/mail-ConfigSet"],
            }
        }

    def test_feedback_that_sns_cannot_hand_over_ends_in_the_dead_letter_queue(self) -> None:
        subscription = deployed().properties("AWS::SNS::Subscription", Protocol="lambda")
        assert subscription["RedrivePolicy"] == {"deadLetterTargetArn": queue_arn("FeedbackProcessorDLQ")}
        assert subscription["Endpoint"] == live("FeedbackProcessor")


class TestTopics:
    @pytest.mark.parametrize("topic", ["mail-SESFeedback", "mail-Alarms"])
    def test_a_topic_is_encrypted_and_refuses_plain_http(self, topic: str) -> None:
        assert deployed().properties("AWS::SNS::Topic", TopicName=topic)["KmsMasterKeyId"]
        assert {statement["Effect"]: statement["Condition"] for statement in statements_on_topic(topic)}[
            "Deny"
        ] == {"Bool": {"aws:SecureTransport": "false"}}

    def test_the_key_is_for_those_who_publish_and_rotates(self) -> None:
        (key,) = (made["Properties"] for made in deployed().all("AWS::KMS::Key").values())
        assert key["EnableKeyRotation"]
        services = {
            statement["Principal"]["Service"]: statement["Action"]
            for statement in key["KeyPolicy"]["Statement"]
            if "Service" in statement["Principal"]
        }
        use = ["kms:Decrypt", "kms:GenerateDataKey*"]
        assert services == {"ses.amazonaws.com": use, "cloudwatch.amazonaws.com": use}
