"""TemplateSeeder: the starter templates into the customer's bucket, when the stack is created or updated."""

from aws_cdk import CustomResource, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.functions import EngineFunction
from infra.constructs.templates_bucket import TemplatesBucket
from infra.settings import StackSettings

_TIMEOUT = 120


class TemplateSeeder(EngineFunction):
    """Runs again whenever `templates_digest` changes; what the customer changed is never overwritten."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        prefix: str,
        settings: StackSettings,
        code: lambda_.Code,
        templates: TemplatesBucket,
        templates_digest: str,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name=f"{prefix}-TemplateSeeder",
            handler="engine.handlers.template_seeder.handler",
            code=code,
            memory=256,
            timeout=_TIMEOUT,
            environment={
                "TEMPLATE_BUCKET": templates.bucket.bucket_name,
                "LOG_LEVEL": settings.log_level,
            },
            may=[
                iam.PolicyStatement(
                    sid="SeedTemplates",
                    actions=["s3:GetObject", "s3:PutObject"],
                    resources=[templates.bucket.arn_for_objects("templates/*")],
                ),
                # Without it S3 answers 403 instead of 404 for a template that is not there yet.
                iam.PolicyStatement(
                    sid="TellMissingFromForbidden",
                    actions=["s3:ListBucket"],
                    resources=[templates.bucket.bucket_arn],
                    conditions={"StringLike": {"s3:prefix": ["templates/*"]}},
                ),
            ],
        )
        CustomResource(
            self,
            "StarterTemplates",
            resource_type="Custom::StarterTemplates",
            service_token=self.alias.function_arn,
            # CloudFormation waits an hour by default for an answer that a crashed function never sends.
            service_timeout=Duration.seconds(2 * _TIMEOUT),
            properties={"TemplatesDigest": templates_digest},
        )
