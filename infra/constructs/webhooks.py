"""What webhooks share: the role that EventBridge posts with, and leave to fill their dead-letter queue."""

from aws_cdk import Aws, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.acknowledged import acknowledge


class Webhooks(Construct):
    """The names are what `engine.operations.webhooks.WebhookNames` makes of the queue's.

    `sesmailengine webhooks add` makes the rules and API destinations themselves. The role works for rules of
    webhooks alone, and calls nothing but their destinations:
    https://docs.aws.amazon.com/eventbridge/latest/userguide/cross-service-confused-deputy-prevention.html
    A role's name is the account's, in all regions, so it carries the region's.
    """

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str, undelivered: sqs.IQueue) -> None:
        super().__init__(scope, construct_id)
        stack = Stack.of(self)
        rules = stack.format_arn(
            service="events", resource="rule", resource_name=f"{prefix}-EmailBus/{prefix}-webhook-*"
        )
        destinations = stack.format_arn(
            service="events", resource="api-destination", resource_name=f"{prefix}-webhook-*"
        )
        for_these_rules = {
            "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
            "ArnLike": {"aws:SourceArn": rules},
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
