"""FeedbackProcessor: turns what SES reports into statuses, suppressions and retries."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.bus import EmailBus
from infra.constructs.feedback_topic import FeedbackTopic
from infra.constructs.fingerprints import Fingerprints
from infra.constructs.functions import EngineFunction
from infra.constructs.parameters import Parameters
from infra.constructs.queues import EmailQueues
from infra.constructs.tables import EmailTables

_CONFIGURATION = ("data_retention_days", "environment", "log_level")


class FeedbackProcessorFunction(EngineFunction):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        prefix: str,
        parameters: Parameters,
        fingerprints: Fingerprints,
        code: lambda_.Code,
        bus: EmailBus,
        queues: EmailQueues,
        tables: EmailTables,
        feedback: FeedbackTopic,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name=f"{prefix}-FeedbackProcessor",
            parameters=parameters,
            handler="engine.handlers.feedback_processor.handler",
            code=code,
            memory=parameters.number("feedback_memory"),
            timeout=parameters.number("feedback_timeout"),
            concurrency=parameters.reserved("feedback_concurrency"),
            fingerprint=fingerprints.of(
                "FeedbackProcessor", [*_CONFIGURATION, "feedback_memory", "feedback_timeout", "snap_start"]
            ),
            snap_start=True,
            environment={
                "TRACKING_TABLE": tables.tracking.table_name,
                "SUPPRESSION_TABLE": tables.suppression.table_name,
                "STATE_TABLE": tables.state.table_name,
                "RETRY_QUEUE_URL": queues.retry.queue_url,
                "EVENT_BUS_NAME": bus.bus.event_bus_name,
                "SES_FEEDBACK_TOPIC_ARN": feedback.topic.topic_arn,
                **{name.upper(): parameters.text(name) for name in _CONFIGURATION},
            },
            may=[
                *_tables(tables),
                iam.PolicyStatement(
                    sid="RetryAndGiveUp",
                    actions=["sqs:SendMessage"],
                    resources=[queues.retry.queue_arn, queues.feedback_dead.queue_arn],
                ),
                iam.PolicyStatement(sid="PublishStatus", actions=["events:PutEvents"], resources=[bus.arn]),
            ],
        )


def _tables(tables: EmailTables) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(
            sid="MoveStatuses",
            actions=["dynamodb:GetItem", "dynamodb:UpdateItem"],
            resources=[tables.tracking.table_arn],
        ),
        iam.PolicyStatement(
            sid="FindEmails",
            actions=["dynamodb:Query"],
            resources=[f"{tables.tracking.table_arn}/index/ses-message-id-index"],
        ),
        iam.PolicyStatement(
            sid="Suppress", actions=["dynamodb:PutItem"], resources=[tables.suppression.table_arn]
        ),
        iam.PolicyStatement(
            sid="CountBouncesAndReadKeptRequests",
            actions=["dynamodb:BatchGetItem", "dynamodb:UpdateItem"],
            resources=[tables.state.table_arn],
        ),
    ]
