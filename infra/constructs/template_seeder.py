"""TemplateSeeder: copies the starter templates into the customer's bucket when the stack changes."""

from aws_cdk import CustomResource, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.acknowledged import acknowledge_objects
from infra.constructs.functions import EngineFunction
from infra.constructs.parameters import Parameters
from infra.constructs.templates_bucket import TemplatesBucket

_TIMEOUT = 120


class TemplateSeederFunction(EngineFunction):
    """Runs again whenever `templates_digest` changes; what the customer changed is never overwritten."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        prefix: str,
        parameters: Parameters,
        code: lambda_.Code,
        templates: TemplatesBucket,
        templates_digest: str,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name=f"{prefix}-TemplateSeeder",
            parameters=parameters,
            handler="engine.handlers.template_seeder.handler",
            code=code,
            memory=256,
            timeout=_TIMEOUT,
            environment={"TEMPLATE_BUCKET": templates.bucket.bucket_name},
            may=[
                iam.PolicyStatement(
                    sid="SeedTemplates",
                    actions=["s3:GetObject", "s3:PutObject"],
                    resources=[templates.bucket.arn_for_objects("templates/*")],
                ),
                # Without it S3 answers 403 instead of 404 for a template that is not there yet, as for the
                # email sender.
                iam.PolicyStatement(
                    sid="TellMissingFromForbidden",
                    actions=["s3:ListBucket"],
                    resources=[templates.bucket.bucket_arn],
                    conditions={"StringLikeIfExists": {"s3:prefix": ["templates/*"]}},
                ),
            ],
        )
        self._digest = templates_digest
        acknowledge_objects(
            self.role, templates.bucket, "templates/*", "a starter template is a folder of this bucket"
        )

    def seed_after(self, *others: Construct) -> None:
        """Last of all: a bucket that holds templates can't be taken back when the installation fails."""
        resource = CustomResource(
            self,
            "StarterTemplates",
            resource_type="Custom::StarterTemplates",
            service_token=self.alias.function_arn,
            # CloudFormation waits an hour by default for an answer that a crashed function never sends.
            service_timeout=Duration.seconds(2 * _TIMEOUT),
            properties={"TemplatesDigest": self._digest},
        )
        resource.node.add_dependency(*others)
