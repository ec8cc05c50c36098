"""Managed policies for the people who operate the stack: to look, to act, to answer for personal data.

They are attached to nobody here: whoever administers the account attaches them to its roles and users.
`tests/integration/test_operator_policies.py` compares them with what the commands call, both ways.
"""

from collections.abc import Sequence
from typing import Any, Final

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.acknowledged import acknowledge

# The items of State that commands read, and those that they write. Requests kept for a retry hold the data of
# emails: they are for whoever answers for personal data.
_READ_KEYS: Final = ("stop#*", "cancel#*", "quota#*", "rate#*")
_WRITTEN_KEYS: Final = ("stop#*", "cancel#*")
_PERSONAL_KEYS: Final = ("payload#*", "soft-bounces#*")
_PSEUDO: Final = {
    "Partition": Aws.PARTITION,
    "Region": Aws.REGION,
    "AccountId": Aws.ACCOUNT_ID,
    "StackName": Aws.STACK_NAME,
}

# A policy's description can't be changed: CloudFormation would make another one, whose name is taken.
_SUPPORT: Final = "Look at the mail of the stack {}, and change nothing."
_OPERATOR: Final = "Act on the mail of the stack {0}. Attach {0}-Support as well."
_PRIVACY: Final = (
    "Export and forget what the stack {0} holds of a person. Attach {0}-Support and {0}-Operator as well."
)


class OperatorPolicies(Construct):
    """`{Stack}-Support`, `{Stack}-Operator` and `{Stack}-Privacy`, each within IAM's 6,144 characters."""

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str) -> None:
        super().__init__(scope, construct_id)
        self._prefix = prefix
        self._policy("Support", _SUPPORT, self._looking())
        self._policy("Operator", _OPERATOR, self._acting())
        self._policy("Privacy", _PRIVACY, self._answering_for_persons())

    def _policy(self, name: str, description: str, statements: Sequence[iam.PolicyStatement]) -> None:
        policy = iam.ManagedPolicy(
            self,
            name,
            managed_policy_name=f"{self._prefix}-{name}",
            description=description.format(self._prefix),
            statements=statements,
        )
        for pattern in {arn for statement in statements for arn in statement.resources if "*" in arn}:
            reason = "these calls know no resource" if pattern == "*" else "all of them are of this stack"
            acknowledge(policy, f"AwsSolutions-IAM5[Resource::{_as_reported(pattern)}]", reason)

    def _looking(self) -> list[iam.PolicyStatement]:
        return [
            _allow(
                "Tables",
                "dynamodb:BatchGetItem dynamodb:GetItem dynamodb:Query",
                *(self._table(name) for name in ("EmailTracking", "Suppression")),
                *(self._table(f"{name}/index/*") for name in ("EmailTracking", "Suppression")),
            ),
            _allow(
                "State", "dynamodb:BatchGetItem dynamodb:GetItem", self._table("State"), **_keys(_READ_KEYS)
            ),
            _allow("Queues", "sqs:GetQueueAttributes sqs:GetQueueUrl", self._arn("sqs", "*")),
            _allow(
                "Functions",
                "lambda:GetFunctionConcurrency lambda:GetFunctionConfiguration",
                self._arn("lambda", "*", "function:"),
            ),
            _allow("Alarms", "sns:ListSubscriptionsByTopic", self._arn("sns", "Alarms")),
            _allow("Bus", "events:DescribeEventBus", self._arn("events", "EmailBus", "event-bus/")),
            _allow(
                "Webhooks",
                "events:DescribeApiDestination events:DescribeConnection",
                self._arn("events", "webhook-*", "api-destination/"),
                self._arn("events", "webhook-*", "connection/"),
            ),
            _allow(
                "Scheduled",
                "scheduler:GetSchedule scheduler:ListSchedules",
                self._arn("scheduler", "Scheduled/*", "schedule/"),
            ),
            _allow(
                "Stack",
                "cloudformation:DescribeStacks",
                f"arn:{Aws.PARTITION}:cloudformation:{Aws.REGION}:{Aws.ACCOUNT_ID}:stack/{self._prefix}/*",
            ),
            _allow(
                "ConfigurationSets",
                "ses:GetConfigurationSet ses:GetConfigurationSetEventDestinations",
                self._arn("ses", "*", "configuration-set/"),
            ),
            _allow("Logs", "logs:StartQuery", self._arn("logs", "*:*", "log-group:/aws/lambda/")),
            _allow("TemplateNames", "s3:ListBucket", self._bucket()),
            _allow("Templates", "s3:GetObject", self._bucket("/templates/*")),
            _allow(
                "Account",
                "ce:GetCostAndUsage cloudwatch:DescribeAlarms cloudwatch:GetMetricData events:ListRules"
                " lambda:GetAccountSettings logs:GetQueryResults ses:GetAccount ses:GetEmailIdentity"
                " ses:GetSuppressedDestination ses:ListSuppressedDestinations",
                "*",
            ),
        ]

    def _acting(self) -> list[iam.PolicyStatement]:
        return [
            _allow(
                "Brakes",
                "dynamodb:DeleteItem dynamodb:PutItem dynamodb:UpdateItem",
                self._table("State"),
                **_keys(_WRITTEN_KEYS),
            ),
            _allow(
                "Suppression",
                "dynamodb:DeleteItem dynamodb:PutItem dynamodb:UpdateItem",
                self._table("Suppression"),
            ),
            _allow("SuppressionOfSes", "ses:DeleteSuppressedDestination ses:PutSuppressedDestination", "*"),
            _allow(
                "Queues",
                "sqs:ChangeMessageVisibility sqs:DeleteMessage sqs:ReceiveMessage sqs:SendMessage",
                self._arn("sqs", "*"),
            ),
            _allow(
                "Reports", "lambda:InvokeFunction", self._arn("lambda", "FeedbackProcessor*", "function:")
            ),
            _allow(
                "Scheduled", "scheduler:DeleteSchedule", self._arn("scheduler", "Scheduled/*", "schedule/")
            ),
            _allow("Bus", "events:PutEvents", self._arn("events", "EmailBus", "event-bus/")),
            *self._managing_webhooks(),
        ]

    def _managing_webhooks(self) -> list[iam.PolicyStatement]:
        """EventBridge keeps a connection's header as a secret, and makes it in the caller's name.

        https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonEventBridgeFullAccess.html
        """
        posting = "apidestinations.events.amazonaws.com"
        return [
            _allow(
                "WebhookDestinations",
                "events:CreateApiDestination events:CreateConnection events:DeleteApiDestination"
                " events:DeleteConnection",
                self._arn("events", "webhook-*", "api-destination/"),
                self._arn("events", "webhook-*", "connection/"),
            ),
            _allow(
                "WebhookRules",
                "events:DeleteRule events:PutRule events:PutTargets events:RemoveTargets",
                self._arn("events", "webhook-*", f"rule/{self._prefix}-EmailBus/"),
            ),
            _allow(
                "WebhookAlarms",
                "cloudwatch:DeleteAlarms cloudwatch:PutMetricAlarm",
                self._arn("cloudwatch", "webhook-*", "alarm:"),
            ),
            _allow(
                "WebhookSecrets",
                "secretsmanager:CreateSecret secretsmanager:DeleteSecret secretsmanager:GetSecretValue"
                " secretsmanager:PutSecretValue",
                self._arn("secretsmanager", "webhook-*", "secret:events!connection/"),
            ),
            _allow(
                "SignedWebhooks",
                "secretsmanager:CreateSecret secretsmanager:DeleteSecret",
                self._arn("secretsmanager", "webhook-*", "secret:"),
            ),
            _allow(
                "WebhookRole",
                "iam:PassRole",
                f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role/{self._prefix}-Webhook-{Aws.REGION}",
                conditions={"StringEquals": {"iam:PassedToService": "events.amazonaws.com"}},
            ),
            _allow(
                "WebhooksFirst",
                "iam:CreateServiceLinkedRole",
                f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role/aws-service-role/{posting}"
                "/AWSServiceRoleForAmazonEventBridgeApiDestinations",
                conditions={"StringEquals": {"iam:AWSServiceName": posting}},
            ),
        ]

    def _answering_for_persons(self) -> list[iam.PolicyStatement]:
        return [
            _allow("Rows", "dynamodb:UpdateItem", self._table("EmailTracking")),
            _allow(
                "KeptRequestsAndSoftBounces",
                "dynamodb:BatchGetItem dynamodb:BatchWriteItem dynamodb:DeleteItem dynamodb:PutItem",
                self._table("State"),
                **_keys(_PERSONAL_KEYS),
            ),
        ]

    def _table(self, name: str) -> str:
        return self._arn("dynamodb", name, "table/")

    def _arn(self, service: str, name: str, before: str = "") -> str:
        """Of what is called after the stack. `before`: what the ARN has in front of the name."""
        place = f"{Aws.REGION}:{Aws.ACCOUNT_ID}"
        return f"arn:{Aws.PARTITION}:{service}:{place}:{before}{self._prefix}-{name}"

    def _bucket(self, objects: str = "") -> str:
        return f"arn:{Aws.PARTITION}:s3:::{self._prefix}-templates-{Aws.ACCOUNT_ID}{objects}"


def _allow(sid: str, actions: str, *resources: str, **more: Any) -> iam.PolicyStatement:
    return iam.PolicyStatement(sid=sid, actions=actions.split(), resources=list(resources), **more)


def _as_reported(arn: str) -> str:
    """As cdk-nag spells it, which puts a token's name in place of its value."""
    for name, token in _PSEUDO.items():
        arn = arn.replace(token, f"<AWS::{name}>")
    return arn


def _keys(patterns: Sequence[str]) -> dict[str, Any]:
    """Hold a statement to items by their keys. ForAllValues alone is true where a call names no key at all.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    """
    key = "dynamodb:LeadingKeys"
    return {"conditions": {"ForAllValues:StringLike": {key: list(patterns)}, "Null": {key: "false"}}}
