"""Where CloudFormation finds the functions' code: among CDK's assets, or where parameters say."""

from collections.abc import Callable
from dataclasses import dataclass

from aws_cdk import CfnParameter, Stack
from aws_cdk import aws_lambda as lambda_

from infra.bundling import Bundles


@dataclass(frozen=True, kw_only=True)
class FunctionCode:
    sender: lambda_.Code
    feedback: lambda_.Code
    seeder: lambda_.Code


CodeSource = Callable[[Stack, Bundles], FunctionCode]


def from_assets(_stack: Stack, bundles: Bundles) -> FunctionCode:
    """For `cdk deploy`, which uploads the bundles to the bucket of `cdk bootstrap`."""
    engine = lambda_.Code.from_asset(str(bundles.engine))
    return FunctionCode(sender=engine, feedback=engine, seeder=lambda_.Code.from_asset(str(bundles.seeder)))


def from_parameters(stack: Stack, _bundles: Bundles) -> FunctionCode:
    """For the distribution package, whose installer uploads the zips and knows nothing of CDK."""
    bucket = CfnParameter(
        stack,
        "CodeBucket",
        description="S3 bucket with the functions' code, in the region of the stack",
        allowed_pattern=r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
    )

    def code(function: str, file: str) -> lambda_.Code:
        key = CfnParameter(
            stack,
            f"{function}CodeKey",
            default=f"lambda/{file}.zip",
            description=f"Key of {function}'s code in CodeBucket",
            min_length=1,
        )
        return lambda_.Code.from_cfn_parameters(bucket_name_param=bucket, object_key_param=key)

    return FunctionCode(
        sender=code("EmailSender", "email-sender"),
        feedback=code("FeedbackProcessor", "feedback-processor"),
        seeder=code("TemplateSeeder", "template-seeder"),
    )
