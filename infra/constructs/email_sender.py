"""EmailSender: takes requests from the bus and the two queues; its role is the only one that may send."""

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.acknowledged import acknowledge, acknowledge_objects
from infra.constructs.bus import EmailBus
from infra.constructs.configuration_set import ConfigurationSets
from infra.constructs.fingerprints import Fingerprints
from infra.constructs.functions import EngineFunction
from infra.constructs.parameters import Parameters
from infra.constructs.queues import EmailQueues
from infra.constructs.tables import EmailTables
from infra.constructs.templates_bucket import TemplatesBucket
from infra.constructs.unsubscribe_page import UnsubscribePage, read_signing_keys

# What the function's own configuration is made of, beside names that don't change.
_CONFIGURATION = (
    "default_sender_email",
    "default_sender_name",
    "allowed_senders",
    "bounce_rate_threshold",
    "bounce_rate_min_sends",
    "bounce_rate_action",
    "data_retention_days",
    "ses_max_send_rate",
    "bulk_share",
    "bulk_call_size",
    "template_cache_seconds",
    "tenant_name",
    "bulk_tenant_name",
    "environment",
    "log_level",
)
# What else a version of it depends on.
_BESIDE = ("sender_memory", "sender_timeout", "snap_start", "separate_streams", "hosted_unsubscribe")

# SES v2 authorizes its calls by the names of v1 as well: SendEmail with what becomes a raw message needs
# SendRawEmail, SendBulkEmail needs SendBulkTemplatedEmail.
_SEND = ("ses:SendEmail", "ses:SendRawEmail")
_SEND_BULK = ("ses:SendBulkEmail", "ses:SendBulkTemplatedEmail")


class EmailSenderFunction(EngineFunction):
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
        templates: TemplatesBucket,
        configuration_sets: ConfigurationSets,
        page: UnsubscribePage | None,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name=f"{prefix}-EmailSender",
            parameters=parameters,
            handler="engine.handlers.email_sender.handler",
            code=code,
            memory=parameters.number("sender_memory"),
            timeout=parameters.number("sender_timeout"),
            concurrency=parameters.reserved("sender_concurrency"),
            fingerprint=fingerprints.of("EmailSender", [*_CONFIGURATION, *_BESIDE]),
            snap_start=True,
            environment={
                "TRACKING_TABLE": tables.tracking.table_name,
                "SUPPRESSION_TABLE": tables.suppression.table_name,
                "STATE_TABLE": tables.state.table_name,
                "TEMPLATE_BUCKET": templates.bucket.bucket_name,
                "RETRY_QUEUE_URL": queues.retry.queue_url,
                "PARKED_QUEUE_URL": queues.parked.queue_url,
                "EVENT_BUS_NAME": bus.bus.event_bus_name,
                "SES_CONFIGURATION_SET": configuration_sets.main.name,
                "BULK_CONFIGURATION_SET": configuration_sets.bulk_name,
                "UNSUBSCRIBE_URL": page.address if page else "",
                "UNSUBSCRIBE_SECRET_ARN": page.secret_arn if page else "",
                **{name.upper(): parameters.text(name) for name in _CONFIGURATION},
            },
            may=[
                *_ledger_and_state(tables),
                *_templates(templates),
                *_send(scope, parameters, configuration_sets),
                *_queues(queues),
                *([read_signing_keys(scope, prefix)] if page else []),
                iam.PolicyStatement(sid="PublishStatus", actions=["events:PutEvents"], resources=[bus.arn]),
            ],
        )
        self._acknowledge(templates)

    def _acknowledge(self, templates: TemplatesBucket) -> None:
        for folder in ("templates", "attachments"):
            acknowledge_objects(
                self.role, templates.bucket, f"{folder}/*", f"an event names any object under {folder}/"
            )
        for resource, reason in {
            "identity/*": "held to the allowed senders by ses:FromAddress; which identity SES asks about"
            " depends on what is verified, and in the sandbox on the recipient",
            "template/*": "IAM's reference names a template as a resource of bulk calls; ours bring their own"
            " content, and which template SES then asks about is not said",
        }.items():
            arn = f"arn:<AWS::Partition>:ses:<AWS::Region>:<AWS::AccountId>:{resource}"
            acknowledge(self.role, f"AwsSolutions-IAM5[Resource::{arn}]", reason)
        acknowledge(self.role, "AwsSolutions-IAM5[Resource::*]", "ses:GetAccount knows no resources")


def _ledger_and_state(tables: EmailTables) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(
            sid="KeepLedger",
            actions=[
                "dynamodb:BatchGetItem",
                "dynamodb:GetItem",
                # BatchExecuteStatement is authorized by the statements inside it.
                "dynamodb:PartiQLInsert",
                "dynamodb:PartiQLUpdate",
                "dynamodb:PutItem",
                "dynamodb:UpdateItem",
            ],
            resources=[tables.tracking.table_arn],
        ),
        iam.PolicyStatement(
            sid="ReadSuppression", actions=["dynamodb:BatchGetItem"], resources=[tables.suppression.table_arn]
        ),
        iam.PolicyStatement(
            sid="KeepState",
            actions=[
                "dynamodb:BatchGetItem",
                "dynamodb:BatchWriteItem",
                "dynamodb:GetItem",
                "dynamodb:UpdateItem",
            ],
            resources=[tables.state.table_arn],
        ),
    ]


def _templates(templates: TemplatesBucket) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(
            sid="ReadTemplatesAndAttachments",
            actions=["s3:GetObject"],
            resources=[
                templates.bucket.arn_for_objects("templates/*"),
                templates.bucket.arn_for_objects("attachments/*"),
            ],
        ),
        # Without it S3 answers 403 instead of 404 for a template that is not there. AWS does not say whether
        # S3 takes the object's key for a prefix when it decides between the two, so where there is none it is
        # allowed all the same: mail must not wait for a template that nobody will ever put there.
        iam.PolicyStatement(
            sid="TellMissingFromForbidden",
            actions=["s3:ListBucket"],
            resources=[templates.bucket.bucket_arn],
            conditions={"StringLikeIfExists": {"s3:prefix": ["templates/*", "attachments/*"]}},
        ),
    ]


def _send(
    scope: Construct, parameters: Parameters, configuration_sets: ConfigurationSets
) -> list[iam.PolicyStatement]:
    """Only From an allowed sender, and with this stack's configuration sets.

    Which identity SES asks about depends on what is verified (the address, its domain, a parent domain) and
    in the sandbox on the recipient too, so the From address is what can be held on to:
    https://docs.aws.amazon.com/ses/latest/dg/control-user-access.html
    A Deny holds the senders once for all calls: the policies of a role may have 10,240 characters in all.
    AWS documents ses:FromAddress for SendEmail, where it must be there, and not for SendBulkEmail: should a
    bulk call not carry it, that must not cost the call.
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsimpleemailservicev2.html
    """

    def arn(kind: str) -> str:
        return Stack.of(scope).format_arn(service="ses", resource=kind, resource_name="*")

    resources = [arn("identity"), *configuration_sets.arns]
    allowed = {
        "StringNotLike": parameters.sender_domains(),
        "StringNotEqualsIgnoreCase": parameters.sender_addresses(),
    }
    return [
        iam.PolicyStatement(sid="Send", actions=[*_SEND], resources=resources),
        iam.PolicyStatement(sid="SendBulk", actions=[*_SEND_BULK], resources=[*resources, arn("template")]),
        iam.PolicyStatement(
            sid="OnlyFromAllowedSenders",
            effect=iam.Effect.DENY,
            actions=[*_SEND, *_SEND_BULK],
            resources=resources,
            conditions={
                "Null": {"ses:FromAddress": "false"},
                **{operator: {"ses:FromAddress": those} for operator, those in allowed.items() if those},
            },
        ),
        iam.PolicyStatement(
            sid="OnlyFromSomebody",
            effect=iam.Effect.DENY,
            actions=[*_SEND],
            resources=resources,
            conditions={"Null": {"ses:FromAddress": "true"}},
        ),
        # GetAccount knows no resources.
        iam.PolicyStatement(sid="AskForSendQuota", actions=["ses:GetAccount"], resources=["*"]),
    ]


def _queues(queues: EmailQueues) -> list[iam.PolicyStatement]:
    return [
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
            sid="DeferParkAndGiveUp",
            actions=["sqs:SendMessage"],
            resources=[queues.retry.queue_arn, queues.parked.queue_arn, queues.event_bridge_dead.queue_arn],
        ),
    ]
