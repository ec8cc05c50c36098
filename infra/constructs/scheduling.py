"""EventBridge Scheduler: the group that holds scheduled email, and the role that hands it over when due."""

from aws_cdk import Aws, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sqs as sqs
from constructs import Construct


class Scheduling(Construct):
    """The names are what `engine.client.schedule.Scheduling` makes of the bus's.

    The role may put messages into EmailRetryQueue and no more; it works for this group's schedules alone:
    https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
    A role's name is the account's, in all regions, so it carries the region's.
    """

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str, retry: sqs.IQueue) -> None:
        super().__init__(scope, construct_id)
        group = f"{prefix}-Scheduled"
        scheduler.CfnScheduleGroup(self, "Group", name=group)
        arn = Stack.of(self).format_arn(service="scheduler", resource="schedule-group", resource_name=group)
        hand_over = iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[retry.queue_arn])
        iam.Role(
            self,
            "Role",
            role_name=f"{prefix}-Schedule-{Aws.REGION}",
            description="EventBridge Scheduler hands scheduled email to the engine's retry queue",
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com",
                conditions={
                    "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                    "ArnEquals": {"aws:SourceArn": arn},
                },
            ),
            inline_policies={"MayFillTheRetryQueue": iam.PolicyDocument(statements=[hand_over])},
        )
