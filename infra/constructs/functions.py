"""A Lambda function the way all of ours are: own role, own log group, published version behind an alias."""

from collections.abc import Mapping, Sequence

from aws_cdk import Annotations, Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

_ALIAS = "live"


class EngineFunction(Construct):
    """Callers use `alias`: it points at a published version, whose start-up SnapStart has done beforehand.

    The role may write this function's log and do what `may` says; nothing is granted behind the reader's
    back.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        handler: str,
        code: lambda_.Code,
        memory: int,
        timeout: int,
        environment: Mapping[str, str],
        may: Sequence[iam.PolicyStatement],
        concurrency: int | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=f"/aws/lambda/{name}",
            retention=logs.RetentionDays.ONE_MONTH,
            # Logs are not the customer's data, and a kept group would block the next installation under this
            # name.
            removal_policy=RemovalPolicy.DESTROY,
        )
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What {handler} may do",
            inline_policies={
                "Engine": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            sid="WriteLog",
                            actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                            resources=[log_group.log_group_arn],
                        ),
                        *may,
                    ]
                )
            },
        )
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            handler=handler,
            code=code,
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64,
            memory_size=memory,
            timeout=Duration.seconds(timeout),
            environment=dict(environment),
            role=role.without_policy_updates(),
            log_group=log_group,
            reserved_concurrent_executions=concurrency,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS,
        )
        Annotations.of(self.function).acknowledge_warning(
            "@aws-cdk/aws-lambda:snapStartRequirePublish",
            "every caller goes through the alias, to a published version",
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
        self, mapping_id: str, queue: sqs.IQueue, *, batch_size: int, concurrency: int, window: int = 0
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
