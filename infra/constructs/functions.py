"""A Lambda function the way all of ours are: own role, own log group, published version behind an alias."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.acknowledged import acknowledge
from infra.constructs.fingerprints import Fingerprint
from infra.constructs.parameters import Parameters

_ALIAS = "live"


class EngineFunction(Construct):
    """Callers use `alias`: it points at a published version, which SnapStart needs.

    The role may write this function's log and do what `may` says; nothing is granted behind the reader's
    back.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        parameters: Parameters,
        handler: str,
        code: lambda_.Code,
        memory: float,
        timeout: float,
        environment: Mapping[str, str],
        may: Sequence[iam.PolicyStatement],
        concurrency: float | None = None,
        fingerprint: Fingerprint | None = None,
        snap_start: bool = False,
    ) -> None:
        """`snap_start`: for a function whose cold start somebody waits for, where the parameter wants it.

        `fingerprint`: of the settings that the function's configuration is made of.

        CDK names a version by what it can see, and the value of a parameter it can't. A version's description
        can't be changed, so another fingerprint publishes another version. And where a setting moves from
        context to parameter or back, CDK asks for a new version though its value is the same: the shape in
        the function's own description makes it a new one for Lambda too.
        """
        super().__init__(scope, construct_id)
        self.name = name
        self.log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=f"/aws/lambda/{name}",
            # Logs are not the customer's data, and a kept group would block the next installation under this
            # name.
            removal_policy=RemovalPolicy.DESTROY,
        )
        log_group = self.log_group.node.default_child
        assert isinstance(log_group, logs.CfnLogGroup)  # noqa: S101 -- what the L2 construct always makes
        # The L2 construct takes no parameter.
        log_group.retention_in_days = parameters.number("log_retention_days")
        write_log = iam.PolicyStatement(
            sid="WriteLog",
            actions=["logs:CreateLogStream", "logs:PutLogEvents"],
            resources=[self.log_group.log_group_arn],
        )
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What {handler} may do",
            inline_policies={"Engine": iam.PolicyDocument(statements=[write_log, *may])},
        )
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            description=f"SESMailEngine, {handler} ({fingerprint.shape})" if fingerprint else None,
            handler=handler,
            code=code,
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            memory_size=memory,
            timeout=Duration.seconds(timeout),
            environment=dict(environment),
            role=self.role.without_policy_updates(),
            log_group=self.log_group,
            current_version_options=lambda_.VersionOptions(
                description=fingerprint.values if fingerprint else None
            ),
            reserved_concurrent_executions=concurrency,
        )
        resource = self.function.node.default_child
        assert isinstance(resource, lambda_.CfnFunction)  # noqa: S101 -- what the L2 construct always makes
        # CDK makes the function wait for the role in words too, though it refers to the role anyway.
        resource.add_deletion_override("DependsOn")
        if snap_start and parameters.wanted("snap_start"):
            chosen = parameters.choose("snap_start", {"ApplyOn": "PublishedVersions"})
            resource.add_property_override("SnapStart", chosen)
        acknowledge(
            self.function,
            "AwsSolutions-L1",
            "python3.13 is what the bundle is built for and tested on; a newer one comes with a new bundle",
        )
        self.alias = lambda_.Alias(self, "Live", alias_name=_ALIAS, version=self.function.current_version)

    def keep_failures_in(self, queue: sqs.IQueue) -> None:
        """EventBridge and SNS retry only the hand-over: what the function fails at, twice more, ends here."""
        on_failure = lambda_.EventInvokeConfig(
            self,
            "OnFailure",
            function=self.function,
            qualifier=_ALIAS,
            on_failure=destinations.SqsDestination(queue),
            retry_attempts=2,
        )
        on_failure.node.add_dependency(self.alias)

    def read_from(
        self, mapping_id: str, queue: sqs.IQueue, *, batch_size: float, concurrency: float, window: int = 0
    ) -> None:
        """Answered item by item: what the function names as failed stays in the queue, the rest goes."""
        lambda_.EventSourceMapping(
            self,
            mapping_id,
            target=self.alias,
            event_source_arn=queue.queue_arn,
            batch_size=batch_size,
            max_batching_window=Duration.seconds(window),
            max_concurrency=concurrency,
            report_batch_item_failures=True,
        )
