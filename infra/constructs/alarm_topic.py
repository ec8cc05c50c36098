"""SNS topic that alarms go to, and the subscription of whoever looks after the stack."""

from aws_cdk import ArnFormat, Aws, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.constructs.parameters import Parameters


class AlarmTopic(Construct):
    """`topic`: only CloudWatch may publish, only for this account's alarms of this stack."""

    def __init__(
        self, scope: Construct, construct_id: str, *, prefix: str, parameters: Parameters, key: kms.IKey
    ) -> None:
        super().__init__(scope, construct_id)
        self.topic = sns.Topic(self, "Topic", topic_name=f"{prefix}-Alarms", enforce_ssl=True, master_key=key)
        alarms = Stack.of(self).format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name=f"{prefix}-*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="CloudWatchMayPublishAlarms",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={
                    "StringEquals": {"AWS:SourceAccount": Aws.ACCOUNT_ID},
                    "ArnLike": {"AWS:SourceArn": alarms},
                },
            )
        )
        if parameters.wanted("admin_email"):
            subscription = sns.CfnSubscription(
                self,
                "AdminEmail",
                topic_arn=self.topic.topic_arn,
                protocol="email",
                endpoint=parameters.text("admin_email"),
            )
            parameters.make_only_if("admin_email", subscription)
