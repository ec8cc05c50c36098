"""S3 bucket for templates, and for the large attachments that an event names by key."""

from string import ascii_uppercase

from aws_cdk import Aws, CfnCondition, Fn, RemovalPolicy, Token
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.acknowledged import acknowledge
from infra.settings import Target


class TemplatesBucket(Construct):
    def __init__(self, scope: Construct, construct_id: str, *, prefix: str, target: Target) -> None:
        super().__init__(scope, construct_id)
        name = f"{prefix}-templates-{Aws.ACCOUNT_ID}"
        if target == "lambda":  # the emulator splits no text in a condition
            name = self._unless_capitals(prefix, name)
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            bucket_name=name,
            versioned=True,
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )
        acknowledge(
            self.bucket,
            "AwsSolutions-S1",
            "an access log would need a bucket of its own for reads that a function makes every five minutes;"
            " CloudTrail's data events serve whoever must know",
        )

    def _unless_capitals(self, prefix: str, name: str) -> str:
        """`name`, or one that CloudFormation makes up where the stack's own has a capital, as no bucket may.

        CDK and the installer refuse such a stack, but the bare template can be deployed under any name. It
        can't lower a text, only see whether a letter splits it.
        """
        has_letter = [
            Fn.condition_not(Fn.condition_equals(Fn.select(0, Fn.split(letter, prefix)), prefix))
            for letter in ascii_uppercase
        ]
        # An Fn::Or takes ten.
        some = [Fn.condition_or(*has_letter[start : start + 9]) for start in range(0, len(has_letter), 9)]
        capitals = CfnCondition(self, "StackNameHasCapitals", expression=Fn.condition_or(*some))
        capitals.override_logical_id("StackNameHasCapitals")
        return Token.as_string(Fn.condition_if(capitals.logical_id, Aws.NO_VALUE, name))
