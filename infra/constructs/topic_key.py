"""KMS key of both topics: AWS's own for SNS lets neither SES nor CloudWatch publish."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

# Without conditions, as AWS documents it for both: the topics' own policies say for whom they may publish.
# https://docs.aws.amazon.com/ses/latest/dg/configure-sns-notifications.html and
# https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
_PUBLISHERS = ("ses.amazonaws.com", "cloudwatch.amazonaws.com")


class TopicKey(Construct):
    """`key` costs a dollar a month, and the reports that go through the topics name recipients."""

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str) -> None:
        super().__init__(scope, construct_id)
        self.key = kms.Key(
            self,
            "Key",
            alias=f"alias/{prefix}-topics",
            description=f"Encrypts the topics of {prefix}",
            enable_key_rotation=True,
            # Nothing lies in a topic, so nothing is lost with the key; KMS waits 30 days before it goes.
            removal_policy=RemovalPolicy.DESTROY,
        )
        for service in _PUBLISHERS:
            self.key.add_to_resource_policy(
                iam.PolicyStatement(
                    sid=f"PublishersEncrypt{service.partition('.')[0].title()}",
                    principals=[iam.ServicePrincipal(service)],
                    actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                    resources=["*"],  # in a key's policy: this key
                )
            )
