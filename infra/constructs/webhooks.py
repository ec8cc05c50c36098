"""What webhooks share: the role that EventBridge posts with, their dead-letter queue, and who signs."""

from aws_cdk import ArnFormat, Aws, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.acknowledged import acknowledge
from infra.constructs.fingerprints import Fingerprints
from infra.constructs.functions import EngineFunction
from infra.constructs.parameters import Parameters
from infra.settings import Target

# An endpoint has ten seconds.
_MEMORY, _TIMEOUT = 256, 15


class Webhooks(Construct):
    """The names are what `engine.operations.webhook_names.WebhookNames` makes of the queue's.

    `sesmailengine webhooks add` makes the rules and API destinations themselves. The role works for rules of
    webhooks alone, and calls nothing but their destinations:
    https://docs.aws.amazon.com/eventbridge/latest/userguide/cross-service-confused-deputy-prevention.html
    A role's name is the account's, in all regions, so it carries the region's.
    """

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str, undelivered: sqs.IQueue) -> None:
        super().__init__(scope, construct_id)
        stack = Stack.of(self)
        destinations = stack.format_arn(
            service="events", resource="api-destination", resource_name=f"{prefix}-webhook-*"
        )
        for_these_rules = {
            "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
            "ArnLike": {"aws:SourceArn": _rules(self, prefix)},
        }
        post = iam.PolicyStatement(actions=["events:InvokeApiDestination"], resources=[destinations])
        role = iam.Role(
            self,
            "Role",
            role_name=f"{prefix}-Webhook-{Aws.REGION}",
            description="EventBridge posts the engine's events to the webhooks of the stack",
            assumed_by=iam.ServicePrincipal("events.amazonaws.com", conditions=for_these_rules),
            inline_policies={"MayPostToWebhooks": iam.PolicyDocument(statements=[post])},
        )
        acknowledge(
            role,
            "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:events:<AWS::Region>:<AWS::AccountId>"
            ":api-destination/<AWS::StackName>-webhook-*]",
            "operators add webhooks after the deployment, and all of them are of this stack",
        )
        undelivered.add_to_resource_policy(
            iam.PolicyStatement(
                sid="WebhooksMayLeaveWhatNobodyTook",
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[undelivered.queue_arn],
                conditions=for_these_rules,
            )
        )


class SignedWebhooks(Construct):
    """The function that posts to signed webhooks, where it is wanted; the target of their rules."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        prefix: str,
        target: Target,
        parameters: Parameters,
        fingerprints: Fingerprints,
        code: lambda_.Code,
        undelivered: sqs.IQueue,
    ) -> None:
        super().__init__(scope, construct_id)
        secrets = Stack.of(self).format_arn(
            service="secretsmanager",
            resource="secret",
            resource_name=f"{prefix}-webhook-*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        local = {"WEBHOOK_ALLOW_PRIVATE": "true"} if target != "lambda" else {}
        self.function = EngineFunction(
            self,
            "Function",
            name=f"{prefix}-Webhook",
            parameters=parameters,
            handler="engine.handlers.webhook.handler",
            code=code,
            memory=_MEMORY,
            timeout=_TIMEOUT,
            concurrency=parameters.reserved("webhook_concurrency"),
            fingerprint=fingerprints.of("Webhook", ["snap_start"]),
            snap_start=True,
            environment={"WEBHOOK_SECRET_PREFIX": f"{prefix}-webhook-", **local},
            may=[
                iam.PolicyStatement(
                    sid="ReadWebhooks", actions=["secretsmanager:GetSecretValue"], resources=[secrets]
                ),
                iam.PolicyStatement(
                    sid="LeaveWhatNobodyTook", actions=["sqs:SendMessage"], resources=[undelivered.queue_arn]
                ),
            ],
        )
        acknowledge(
            self.function.role,
            "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:secretsmanager:<AWS::Region>:<AWS::AccountId>"
            ":secret:<AWS::StackName>-webhook-*]",
            "operators add webhooks after the deployment, and all of them are of this stack",
        )
        self.function.alias.add_permission(
            "Rules",
            principal=iam.ServicePrincipal("events.amazonaws.com"),
            source_arn=_rules(self, prefix),
            source_account=Aws.ACCOUNT_ID,
        )
        self.function.keep_failures_in(undelivered)
        parameters.make_only_if("signed_webhooks", self)


def _rules(scope: Construct, prefix: str) -> str:
    """The rules of all webhooks."""
    return Stack.of(scope).format_arn(
        service="events", resource="rule", resource_name=f"{prefix}-EmailBus/{prefix}-webhook-*"
    )
