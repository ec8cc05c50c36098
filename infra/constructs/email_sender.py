"""EmailSender: takes requests from the bus and the two queues, and is the only function that may send."""

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.bus import EmailBus
from infra.constructs.configuration_set import ConfigurationSet
from infra.constructs.functions import EngineFunction
from infra.constructs.queues import EmailQueues
from infra.constructs.tables import EmailTables
from infra.constructs.templates_bucket import TemplatesBucket
from infra.settings import StackSettings


class EmailSender(EngineFunction):
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
        templates: TemplatesBucket,
        configuration_set: ConfigurationSet,
    ) -> None:
        identities = Stack.of(scope).format_arn(service="ses", resource="identity", resource_name="*")
        super().__init__(
            scope,
            construct_id,
            name=f"{prefix}-EmailSender",
            handler="engine.handlers.email_sender.handler",
            code=code,
            memory=settings.sender_memory,
            timeout=settings.sender_timeout,
            concurrency=settings.sender_concurrency,
            environment={
                "TRACKING_TABLE": tables.tracking.table_name,
                "SUPPRESSION_TABLE": tables.suppression.table_name,
                "STATE_TABLE": tables.state.table_name,
                "TEMPLATE_BUCKET": templates.bucket.bucket_name,
                "RETRY_QUEUE_URL": queues.retry.queue_url,
                "EVENT_BUS_NAME": bus.bus.event_bus_name,
                "SES_CONFIGURATION_SET": configuration_set.name,
                "DEFAULT_SENDER_EMAIL": settings.default_sender_email,
                "DEFAULT_SENDER_NAME": settings.default_sender_name,
                "ALLOWED_SENDERS": settings.allowed_senders,
                "BOUNCE_RATE_THRESHOLD": f"{settings.bounce_rate_threshold:g}",
                "BOUNCE_RATE_MIN_SENDS": str(settings.bounce_rate_min_sends),
                "DATA_RETENTION_DAYS": str(settings.data_retention_days),
                "SES_MAX_SEND_RATE": f"{settings.ses_max_send_rate:g}",
                "TEMPLATE_CACHE_SECONDS": str(settings.template_cache_seconds),
                "ENVIRONMENT": settings.environment,
                "LOG_LEVEL": settings.log_level,
            },
            may=[
                iam.PolicyStatement(
                    sid="KeepLedger",
                    actions=[
                        "dynamodb:BatchGetItem",
                        "dynamodb:BatchWriteItem",
                        "dynamodb:GetItem",
                        "dynamodb:PutItem",
                        "dynamodb:UpdateItem",
                        # BatchExecuteStatement is authorized by the statements inside it.
                        "dynamodb:PartiQLInsert",
                        "dynamodb:PartiQLSelect",
                        "dynamodb:PartiQLUpdate",
                    ],
                    resources=[tables.tracking.table_arn],
                ),
                iam.PolicyStatement(
                    sid="SearchLedger",
                    actions=["dynamodb:Query"],
                    resources=[tables.tracking.table_arn, f"{tables.tracking.table_arn}/index/*"],
                ),
                iam.PolicyStatement(
                    sid="ReadSuppression",
                    actions=["dynamodb:BatchGetItem", "dynamodb:GetItem"],
                    resources=[tables.suppression.table_arn],
                ),
                iam.PolicyStatement(
                    sid="KeepState",
                    actions=[
                        "dynamodb:BatchGetItem",
                        "dynamodb:BatchWriteItem",
                        "dynamodb:DeleteItem",
                        "dynamodb:GetItem",
                        "dynamodb:PutItem",
                        "dynamodb:UpdateItem",
                    ],
                    resources=[tables.state.table_arn],
                ),
                iam.PolicyStatement(
                    sid="ReadTemplatesAndAttachments",
                    actions=["s3:GetObject"],
                    resources=[
                        templates.bucket.arn_for_objects("templates/*"),
                        templates.bucket.arn_for_objects("attachments/*"),
                    ],
                ),
                # Without it S3 answers 403 instead of 404 for a template that is not there.
                iam.PolicyStatement(
                    sid="TellMissingFromForbidden",
                    actions=["s3:ListBucket"],
                    resources=[templates.bucket.bucket_arn],
                    conditions={"StringLike": {"s3:prefix": ["templates/*", "attachments/*"]}},
                ),
                # SES v2 authorizes its calls by the v1 names as well: SendEmail with raw content needs
                # SendRawEmail, SendBulkEmail needs SendBulkTemplatedEmail. In the sandbox the recipient's
                # identity counts too.
                iam.PolicyStatement(
                    sid="SendThroughOurConfigurationSet",
                    actions=[
                        "ses:SendBulkEmail",
                        "ses:SendBulkTemplatedEmail",
                        "ses:SendEmail",
                        "ses:SendRawEmail",
                    ],
                    resources=[identities, configuration_set.arn],
                ),
                iam.PolicyStatement(sid="AskForSendQuota", actions=["ses:GetAccount"], resources=["*"]),
                iam.PolicyStatement(
                    sid="TakeFromQueues",
                    actions=[
                        "sqs:ChangeMessageVisibility",
                        "sqs:DeleteMessage",
                        "sqs:GetQueueAttributes",
                        "sqs:ReceiveMessage",
                    ],
                    resources=[queues.retry.queue_arn, queues.bulk.queue_arn],
                ),
                iam.PolicyStatement(
                    sid="DeferAndGiveUp",
                    actions=["sqs:SendMessage"],
                    resources=[queues.retry.queue_arn, queues.event_bridge_dead.queue_arn],
                ),
                iam.PolicyStatement(
                    sid="PublishStatus",
                    actions=["events:PutEvents"],
                    resources=[bus.bus.event_bus_arn],
                ),
            ],
        )
