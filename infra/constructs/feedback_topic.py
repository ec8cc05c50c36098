"""SNS topic for feedback: SES publishes here, the feedback processor is subscribed."""

from collections.abc import Sequence

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.acknowledged import acknowledge


class FeedbackTopic(Construct):
    """Only SES may publish, only for this account, only on behalf of `configuration_sets` (ARNs)."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        prefix: str,
        configuration_sets: Sequence[str],
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, construct_id)
        self.topic = sns.Topic(
            self, "Topic", topic_name=f"{prefix}-SESFeedback", enforce_ssl=True, master_key=key
        )
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="SESMayPublishFeedback",
                principals=[iam.ServicePrincipal("ses.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={
                    "StringEquals": {
                        "AWS:SourceAccount": Aws.ACCOUNT_ID,
                        "AWS:SourceArn": list(configuration_sets),
                    }
                },
            )
        )

    def deliver_to(self, processor: lambda_.IFunction, *, undelivered: sqs.IQueue) -> None:
        subscription = self.topic.add_subscription(
            subscriptions.LambdaSubscription(processor, dead_letter_queue=undelivered)
        )
        acknowledge(
            subscription,
            "CloudFormation-Validate::W3694",
            "SNS invokes an alias as it does a function; the rule knows functions only",
        )
