"""The stack's template, synthesized once: what CONTRACT and the description promise, resource by resource."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App
from aws_cdk.assertions import Template

from infra.bundling import Bundles
from infra.settings import SettingsError, StackSettings
from infra.stack import EmailEngineStack

NAME = {"Ref": "AWS::StackName"}


def named(suffix: str) -> dict[str, Any]:
    return {"Fn::Join": ["", [NAME, suffix]]}


@dataclass(frozen=True)
class SynthesizedTemplate:
    resources: dict[str, dict[str, Any]]

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        return {name: found for name, found in self.resources.items() if found["Type"] == kind}

    def find(self, kind: str, **properties: Any) -> tuple[str, dict[str, Any]]:
        """The identifier and the whole of the one resource of `kind` that has `properties`."""
        (found,) = (
            (name, resource)
            for name, resource in self.of(kind).items()
            if properties.items() <= resource.get("Properties", {}).items()
        )
        return found

    def properties(self, kind: str, **properties: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.find(kind, **properties)[1]["Properties"]
        return found

    def arn(self, kind: str, **properties: Any) -> dict[str, Any]:
        return {"Fn::GetAtt": [self.find(kind, **properties)[0], "Arn"]}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> SynthesizedTemplate:
    folder = tmp_path_factory.mktemp("bundles")
    for name in ("engine.zip", "seeder.zip"):
        (folder / name).write_bytes(name.encode())
    app = App(context=json.loads((Path(__file__).parents[1] / "cdk.json").read_text())["context"])
    stack = EmailEngineStack(
        app,
        "SESMailEngine",
        settings=StackSettings(default_sender_email="no-reply@example.com", default_sender_name="Example"),
        bundles=Bundles(
            engine=folder / "engine.zip", seeder=folder / "seeder.zip", templates_digest="templates-1"
        ),
    )
    # One crossing into JavaScript; everything after it is plain Python.
    return SynthesizedTemplate(Template.from_stack(stack).to_json()["Resources"])


def statements(template: SynthesizedTemplate, handler: str) -> Iterator[dict[str, Any]]:
    role = template.properties("AWS::IAM::Role", Description=f"What {handler} may do")
    for policy in role["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]


def allowed(template: SynthesizedTemplate, handler: str) -> set[str]:
    actions: set[str] = set()
    for statement in statements(template, handler):
        action = statement["Action"]
        actions.update([action] if isinstance(action, str) else action)
    return actions


class TestFunctions:
    def test_the_sender_has_the_memory_time_and_concurrency_of_the_description(
        self, template: SynthesizedTemplate
    ) -> None:
        assert template.find(
            "AWS::Lambda::Function",
            FunctionName=named("-EmailSender"),
            Handler="engine.handlers.email_sender.handler",
            MemorySize=512,
            Timeout=30,
            ReservedConcurrentExecutions=14,
            Runtime="python3.13",
            Architectures=["arm64"],
            SnapStart={"ApplyOn": "PublishedVersions"},
        )

    def test_the_feedback_processor_has_the_memory_time_and_concurrency_of_the_description(
        self, template: SynthesizedTemplate
    ) -> None:
        assert template.find(
            "AWS::Lambda::Function",
            FunctionName=named("-FeedbackProcessor"),
            Handler="engine.handlers.feedback_processor.handler",
            MemorySize=256,
            Timeout=15,
            ReservedConcurrentExecutions=100,
        )

    def test_each_function_is_called_through_an_alias_of_a_published_version(
        self, template: SynthesizedTemplate
    ) -> None:
        assert len(template.of("AWS::Lambda::Version")) == 3
        aliases = template.of("AWS::Lambda::Alias").values()
        assert [alias["Properties"]["Name"] for alias in aliases] == ["live"] * 3

    def test_the_sender_gets_every_variable_of_the_contract(self, template: SynthesizedTemplate) -> None:
        sender = template.properties("AWS::Lambda::Function", FunctionName=named("-EmailSender"))
        variables = sender["Environment"]["Variables"]
        assert set(variables) == {
            "TRACKING_TABLE",
            "SUPPRESSION_TABLE",
            "STATE_TABLE",
            "TEMPLATE_BUCKET",
            "RETRY_QUEUE_URL",
            "EVENT_BUS_NAME",
            "SES_CONFIGURATION_SET",
            "DEFAULT_SENDER_EMAIL",
            "DEFAULT_SENDER_NAME",
            "ALLOWED_SENDERS",
            "BOUNCE_RATE_THRESHOLD",
            "BOUNCE_RATE_MIN_SENDS",
            "DATA_RETENTION_DAYS",
            "SES_MAX_SEND_RATE",
            "TEMPLATE_CACHE_SECONDS",
            "ENVIRONMENT",
            "LOG_LEVEL",
        }
        assert variables["DEFAULT_SENDER_EMAIL"] == "no-reply@example.com"
        assert variables["BOUNCE_RATE_THRESHOLD"] == "5"
        assert variables["SES_CONFIGURATION_SET"] == named("-ConfigSet")

    def test_the_feedback_processor_gets_every_variable_of_the_contract(
        self, template: SynthesizedTemplate
    ) -> None:
        processor = template.properties("AWS::Lambda::Function", FunctionName=named("-FeedbackProcessor"))
        assert set(processor["Environment"]["Variables"]) == {
            "TRACKING_TABLE",
            "SUPPRESSION_TABLE",
            "STATE_TABLE",
            "RETRY_QUEUE_URL",
            "EVENT_BUS_NAME",
            "SES_FEEDBACK_TOPIC_ARN",
            "DATA_RETENTION_DAYS",
            "ENVIRONMENT",
            "LOG_LEVEL",
        }

    @pytest.mark.parametrize(
        ("function", "queue"),
        [("-EmailSender", "-EventBridgeDLQ"), ("-FeedbackProcessor", "-FeedbackProcessorDLQ")],
    )
    def test_an_event_that_a_function_fails_at_three_times_ends_in_its_dead_letter_queue(
        self, template: SynthesizedTemplate, function: str, queue: str
    ) -> None:
        name, _ = template.find("AWS::Lambda::Function", FunctionName=named(function))
        assert template.find(
            "AWS::Lambda::EventInvokeConfig",
            FunctionName={"Ref": name},
            Qualifier="live",
            MaximumRetryAttempts=2,
            DestinationConfig={
                "OnFailure": {"Destination": template.arn("AWS::SQS::Queue", QueueName=named(queue))}
            },
        )

    def test_the_starter_templates_are_seeded_again_when_they_change(
        self, template: SynthesizedTemplate
    ) -> None:
        assert template.find("Custom::StarterTemplates", TemplatesDigest="templates-1")


class TestBus:
    def test_every_principal_of_the_account_may_publish_and_nobody_else(
        self, template: SynthesizedTemplate
    ) -> None:
        bus = template.properties("AWS::Events::EventBus", Name=named("-EmailBus"))
        (statement,) = bus["Policy"]["Statement"]
        assert statement["Action"] == "events:PutEvents"
        assert statement["Principal"] == {
            "AWS": {
                "Fn::Join": [
                    "",
                    ["arn:", {"Ref": "AWS::Partition"}, ":iam::", {"Ref": "AWS::AccountId"}, ":root"],
                ]
            }
        }

    def test_everything_but_bulk_goes_straight_to_the_sender_with_three_attempts_in_an_hour(
        self, template: SynthesizedTemplate
    ) -> None:
        rule = template.properties("AWS::Events::Rule", Name=named("-EmailEventRule"))
        assert rule["EventPattern"] == {
            "detail-type": ["Email Request"],
            "detail": {"priority": [{"exists": False}, {"anything-but": ["bulk"]}]},
        }
        (target,) = rule["Targets"]
        assert target["RetryPolicy"] == {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 3600}
        dead = template.arn("AWS::SQS::Queue", QueueName=named("-EventBridgeDLQ"))
        assert target["DeadLetterConfig"] == {"Arn": dead}
        alias = template.resources[target["Arn"]["Ref"]]
        assert alias["Type"] == "AWS::Lambda::Alias"

    def test_bulk_goes_to_the_bulk_queue(self, template: SynthesizedTemplate) -> None:
        rule = template.properties("AWS::Events::Rule", Name=named("-BulkEmailRule"))
        assert rule["EventPattern"] == {"detail-type": ["Email Request"], "detail": {"priority": ["bulk"]}}
        queue = template.arn("AWS::SQS::Queue", QueueName=named("-BulkEmailQueue"))
        assert rule["Targets"][0]["Arn"] == queue


class TestQueues:
    @pytest.mark.parametrize(
        ("queue", "dead"), [("-EmailRetryQueue", "-EmailRetryDLQ"), ("-BulkEmailQueue", "-BulkEmailDLQ")]
    )
    def test_a_queue_waits_six_times_the_senders_time_out_and_gives_up_only_after_many_receives(
        self, template: SynthesizedTemplate, queue: str, dead: str
    ) -> None:
        properties = template.properties("AWS::SQS::Queue", QueueName=named(queue))
        assert properties["VisibilityTimeout"] == 6 * 30
        assert properties["MessageRetentionPeriod"] == 14 * 24 * 3600
        assert properties["ReceiveMessageWaitTimeSeconds"] == 20
        assert properties["RedrivePolicy"]["maxReceiveCount"] == 50
        dead_arn = template.arn("AWS::SQS::Queue", QueueName=named(dead))
        assert properties["RedrivePolicy"]["deadLetterTargetArn"] == dead_arn

    def test_every_queue_is_encrypted_kept_and_refuses_plain_http(
        self, template: SynthesizedTemplate
    ) -> None:
        queues = template.of("AWS::SQS::Queue")
        assert len(queues) == 6
        assert all(queue["Properties"]["SqsManagedSseEnabled"] for queue in queues.values())
        assert {queue["DeletionPolicy"] for queue in queues.values()} == {"Retain"}
        refusing = {
            policy["Properties"]["Queues"][0]["Ref"]
            for policy in template.of("AWS::SQS::QueuePolicy").values()
            if any(
                statement["Effect"] == "Deny"
                and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
                for statement in policy["Properties"]["PolicyDocument"]["Statement"]
            )
        }
        assert refusing == set(queues)

    @pytest.mark.parametrize(
        ("queue", "batch", "window", "concurrency"),
        [("-BulkEmailQueue", 50, 1, 8), ("-EmailRetryQueue", 10, 0, 2)],
    )
    def test_the_sender_reads_batches_and_answers_item_by_item(
        self, template: SynthesizedTemplate, queue: str, batch: int, window: int, concurrency: int
    ) -> None:
        source = template.arn("AWS::SQS::Queue", QueueName=named(queue))
        mapping = template.properties("AWS::Lambda::EventSourceMapping", EventSourceArn=source)
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["BatchSize"] == batch
        assert mapping["MaximumBatchingWindowInSeconds"] == window
        assert mapping["ScalingConfig"] == {"MaximumConcurrency": concurrency}
        # The alias's name is cut out of its ARN, so it is asked for by what the expression refers to.
        (alias,) = (name for name in template.of("AWS::Lambda::Alias") if name in json.dumps(mapping))
        assert alias.startswith("EmailSender")


class TestTables:
    @pytest.mark.parametrize(
        ("table", "key", "indexes"),
        [
            (
                "-EmailTracking",
                "emailId",
                {
                    "to-email-timestamp-index": ["toEmail", "timestamp"],
                    "ses-message-id-index": ["sesMessageId"],
                    "date-partition-index": ["datePartition", "timestamp"],
                },
            ),
            (
                "-Suppression",
                "email",
                {"suppression-type-date-index": ["suppressionType", "addedToSuppressionDate"]},
            ),
            ("-State", "pk", {}),
        ],
    )
    def test_a_table_has_the_keys_and_indexes_of_the_contract(
        self, template: SynthesizedTemplate, table: str, key: str, indexes: dict[str, list[str]]
    ) -> None:
        _, resource = template.find("AWS::DynamoDB::Table", TableName=named(table))
        properties = resource["Properties"]
        assert properties["KeySchema"] == [{"AttributeName": key, "KeyType": "HASH"}]
        assert {
            index["IndexName"]: [part["AttributeName"] for part in index["KeySchema"]]
            for index in properties.get("GlobalSecondaryIndexes", [])
        } == indexes
        assert properties["BillingMode"] == "PAY_PER_REQUEST"
        assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"

    def test_no_index_of_the_ledger_holds_the_status_so_that_a_change_rewrites_none(
        self, template: SynthesizedTemplate
    ) -> None:
        table = template.properties("AWS::DynamoDB::Table", TableName=named("-EmailTracking"))
        for index in table["GlobalSecondaryIndexes"]:
            projection = index["Projection"]
            assert projection["ProjectionType"] in {"KEYS_ONLY", "INCLUDE"}
            assert set(projection.get("NonKeyAttributes", [])) <= {"toEmail", "templateName"}

    def test_suppression_never_expires_and_the_other_tables_expire_by_ttl(
        self, template: SynthesizedTemplate
    ) -> None:
        expiring = {
            json.dumps(table["Properties"]["TableName"]): table["Properties"].get("TimeToLiveSpecification")
            for table in template.of("AWS::DynamoDB::Table").values()
        }
        ttl = {"AttributeName": "ttl", "Enabled": True}
        assert expiring == {
            json.dumps(named("-EmailTracking")): ttl,
            json.dumps(named("-State")): ttl,
            json.dumps(named("-Suppression")): None,
        }


class TestTemplatesBucket:
    def test_the_bucket_is_versioned_encrypted_private_and_kept(self, template: SynthesizedTemplate) -> None:
        (bucket,) = template.of("AWS::S3::Bucket").values()
        properties = bucket["Properties"]
        assert properties["BucketName"] == {
            "Fn::Join": ["", [NAME, "-templates-", {"Ref": "AWS::AccountId"}]]
        }
        assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
        (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        assert all(properties["PublicAccessBlockConfiguration"].values())
        assert bucket["DeletionPolicy"] == "Retain"

    def test_the_bucket_refuses_plain_http(self, template: SynthesizedTemplate) -> None:
        (policy,) = template.of("AWS::S3::BucketPolicy").values()
        denied = [
            statement["Condition"]
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Deny"
        ]
        assert denied == [{"Bool": {"aws:SecureTransport": "false"}}]


class TestFeedback:
    def test_the_configuration_set_insists_on_tls_and_keeps_reputation_metrics(
        self, template: SynthesizedTemplate
    ) -> None:
        assert template.find(
            "AWS::SES::ConfigurationSet",
            Name=named("-ConfigSet"),
            DeliveryOptions={"TlsPolicy": "REQUIRE"},
            ReputationOptions={"ReputationMetricsEnabled": True},
        )

    def test_all_ten_event_types_go_to_the_topic_once_its_policy_allows_it(
        self, template: SynthesizedTemplate
    ) -> None:
        (destination,) = template.of("AWS::SES::ConfigurationSetEventDestination").values()
        event_destination = destination["Properties"]["EventDestination"]
        assert set(event_destination["MatchingEventTypes"]) == {
            "send",
            "reject",
            "bounce",
            "complaint",
            "delivery",
            "open",
            "click",
            "renderingFailure",
            "deliveryDelay",
            "subscription",
        }
        assert event_destination["Enabled"] is True
        assert set(destination["DependsOn"]) >= set(template.of("AWS::SNS::TopicPolicy"))

    def test_only_ses_for_this_account_and_configuration_set_may_publish(
        self, template: SynthesizedTemplate
    ) -> None:
        (policy,) = template.of("AWS::SNS::TopicPolicy").values()
        (allow,) = (
            statement
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Allow"
        )
        assert allow["Principal"] == {"Service": "ses.amazonaws.com"}
        assert allow["Action"] == "sns:Publish"
        conditions = allow["Condition"]["StringEquals"]
        assert conditions["AWS:SourceAccount"] == {"Ref": "AWS::AccountId"}
        assert conditions["AWS:SourceArn"]["Fn::Join"][1][-3:] == [":configuration-set/", NAME, "-ConfigSet"]

    def test_feedback_that_sns_cannot_hand_over_ends_in_the_dead_letter_queue(
        self, template: SynthesizedTemplate
    ) -> None:
        (subscription,) = template.of("AWS::SNS::Subscription").values()
        dead = template.arn("AWS::SQS::Queue", QueueName=named("-FeedbackProcessorDLQ"))
        assert subscription["Properties"]["RedrivePolicy"] == {"deadLetterTargetArn": dead}
        alias = template.resources[subscription["Properties"]["Endpoint"]["Ref"]]
        assert alias["Type"] == "AWS::Lambda::Alias"


class TestPermissions:
    def test_the_sender_may_do_what_its_pipeline_does(self, template: SynthesizedTemplate) -> None:
        assert allowed(template, "engine.handlers.email_sender.handler") == {
            "dynamodb:BatchGetItem",
            "dynamodb:BatchWriteItem",
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PartiQLInsert",
            "dynamodb:PartiQLSelect",
            "dynamodb:PartiQLUpdate",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:UpdateItem",
            "events:PutEvents",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
            "s3:GetObject",
            "s3:ListBucket",
            "ses:GetAccount",
            "ses:SendBulkEmail",
            "ses:SendBulkTemplatedEmail",
            "ses:SendEmail",
            "ses:SendRawEmail",
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
            "sqs:SendMessage",
        }

    def test_the_feedback_processor_may_do_what_its_pipeline_does_and_never_send(
        self, template: SynthesizedTemplate
    ) -> None:
        assert allowed(template, "engine.handlers.feedback_processor.handler") == {
            "dynamodb:BatchGetItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:UpdateItem",
            "events:PutEvents",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
            "sqs:SendMessage",
        }

    def test_the_sender_only_reads_suppression(self, template: SynthesizedTemplate) -> None:
        suppression = template.arn("AWS::DynamoDB::Table", TableName=named("-Suppression"))
        actions = [
            statement["Action"]
            for statement in statements(template, "engine.handlers.email_sender.handler")
            if json.dumps(suppression) in json.dumps(statement["Resource"])
        ]
        assert actions == [["dynamodb:BatchGetItem", "dynamodb:GetItem"]]

    def test_only_asking_for_the_send_quota_is_allowed_on_every_resource(
        self, template: SynthesizedTemplate
    ) -> None:
        unbounded = [
            statement["Action"]
            for role in template.of("AWS::IAM::Role").values()
            for policy in role["Properties"]["Policies"]
            for statement in policy["PolicyDocument"]["Statement"]
            if statement["Resource"] == "*"
        ]
        assert unbounded == ["ses:GetAccount"]

    def test_no_role_has_a_policy_from_elsewhere(self, template: SynthesizedTemplate) -> None:
        assert template.of("AWS::IAM::Policy") == {}
        assert len(template.of("AWS::IAM::Role")) == 3
        for role in template.of("AWS::IAM::Role").values():
            assert "ManagedPolicyArns" not in role["Properties"]


class TestSettings:
    def test_everything_has_a_default_but_the_sender(self) -> None:
        settings = StackSettings.from_context({"defaultSenderEmail": "no-reply@example.com"})
        assert settings == StackSettings(default_sender_email="no-reply@example.com")

    def test_context_from_the_command_line_comes_as_text_and_is_read(self) -> None:
        settings = StackSettings.from_context(
            {
                "defaultSenderEmail": "no-reply@example.com",
                "senderConcurrency": "50",
                "bounceRateThreshold": "2.5",
                "environment": "staging",
            }
        )
        assert (settings.sender_concurrency, settings.bounce_rate_threshold) == (50, 2.5)
        assert settings.environment == "staging"

    def test_without_a_sender_the_error_says_how_to_give_one(self) -> None:
        with pytest.raises(SettingsError, match=r"-c defaultSenderEmail=you@example\.com"):
            StackSettings.from_context({})

    def test_one_error_lists_every_value_that_cannot_be_read(self) -> None:
        with pytest.raises(SettingsError) as caught:
            StackSettings.from_context(
                {"defaultSenderEmail": 5, "senderMemory": "much", "environment": "production"}
            )
        assert [problem.partition(":")[0] for problem in caught.value.problems] == [
            "defaultSenderEmail",
            "environment",
            "senderMemory",
        ]

    @pytest.mark.parametrize(
        ("key", "value", "expected"),
        [
            ("stackName", "SESMailEngine", "lower-case"),
            ("defaultSenderEmail", "nobody", "@-sign"),
            ("bounceRateThreshold", "0", "a percentage above 0"),
            ("bounceRateThreshold", "101", "up to 100"),
            ("bounceRateMinSends", "0", "1 or more"),
            ("dataRetentionDays", "0", "1 day or more"),
            ("sesMaxSendRate", "-1", "0 \\(ask SES\\) or more"),
            ("templateCacheSeconds", "-1", "0 or more"),
            ("senderMemory", "64", "128 to 10240 MB"),
            ("feedbackTimeout", "901", "3 to 900 seconds"),
            ("feedbackConcurrency", "0", "1 or more"),
            ("retryConcurrency", "1", "2 to 1000"),
            ("senderConcurrency", "10", "more than bulkConcurrency \\+ retryConcurrency \\(10\\)"),
            ("bulkBatchSize", "0", "1 to 10000"),
            ("bounceRateThreshold", "a few", "expected a number"),
            ("bulkBatchSize", "1.5", "expected a whole number"),
            ("target", "mars", "expected one of lambda, local"),
        ],
    )
    def test_a_value_out_of_range_is_refused_with_what_was_expected(
        self, key: str, value: str, expected: str
    ) -> None:
        context = {"defaultSenderEmail": "no-reply@example.com", key: value}
        with pytest.raises(SettingsError, match=f"{key}: .*{expected}"):
            StackSettings.from_context(context)
