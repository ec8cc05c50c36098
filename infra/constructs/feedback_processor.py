"""FeedbackProcessor: turns what SES reports into statuses, suppressions and retries."""

from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.bus import EmailBus
from infra.constructs.feedback_topic import FeedbackTopic
from infra.constructs.functions import EngineFunction
from infra.constructs.queues import EmailQueues
from infra.constructs.tables import EmailTables
from infra.settings import StackSettings


class FeedbackProcessor(EngineFunction):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        prefix: str,
        settings: StackSettings,
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
            handler="engine.handlers.feedback_processor.handler",
            code=code,
            memory=settings.feedback_memory,
            timeout=settings.feedback_timeout,
            concurrency=settings.feedback_concurrency,
            environment={
                "TRACKING_TABLE": tables.tracking.table_name,
                "SUPPRESSION_TABLE": tables.suppression.table_name,
                "STATE_TABLE": tables.state.table_name,
                "RETRY_QUEUE_URL": queues.retry.queue_url,
                "EVENT_BUS_NAME": bus.bus.event_bus_name,
                "SES_FEEDBACK_TOPIC_ARN": feedback.topic.topic_arn,
                "DATA_RETENTION_DAYS": str(settings.data_retention_days),
                "ENVIRONMENT": settings.environment,
                "LOG_LEVEL": settings.log_level,
            },
            may=[
                iam.PolicyStatement(
                    sid="MoveStatuses",
                    actions=["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:UpdateItem"],
                    resources=[tables.tracking.table_arn],
                ),
                iam.PolicyStatement(
                    sid="FindEmails",
                    actions=["dynamodb:Query"],
                    resources=[tables.tracking.table_arn, f"{tables.tracking.table_arn}/index/*"],
                ),
                iam.PolicyStatement(
                    sid="Suppress",
                    actions=["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"],
                    resources=[tables.suppression.table_arn],
                ),
                iam.PolicyStatement(
                    sid="CountBounces",
                    actions=["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:UpdateItem"],
                    resources=[tables.state.table_arn],
                ),
                iam.PolicyStatement(
                    sid="RetryAndGiveUp",
                    actions=["sqs:SendMessage"],
                    resources=[queues.retry.queue_arn, queues.feedback_dead.queue_arn],
                ),
                iam.PolicyStatement(
                    sid="PublishStatus",
                    actions=["events:PutEvents"],
                    resources=[bus.bus.event_bus_arn],
                ),
            ],
        )
