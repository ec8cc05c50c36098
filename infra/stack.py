"""The stack: read `__init__` as the way of an email."""

from aws_cdk import Aws, CfnOutput, Stack, StackSynthesizer, Tags
from constructs import Construct

from infra.bundling import Bundles
from infra.constructs.bus import EmailBus
from infra.constructs.configuration_set import ConfigurationSets
from infra.constructs.email_sender import EmailSenderFunction
from infra.constructs.event_schemas import EventSchemas
from infra.constructs.feedback_processor import FeedbackProcessorFunction
from infra.constructs.feedback_topic import FeedbackTopic
from infra.constructs.fingerprints import Fingerprints
from infra.constructs.log_queries import LogQueries
from infra.constructs.monitoring import Monitoring
from infra.constructs.operator_policies import OperatorPolicies
from infra.constructs.parameters import Parameters
from infra.constructs.queues import EmailQueues
from infra.constructs.scheduling import Scheduling
from infra.constructs.tables import EmailTables
from infra.constructs.template_seeder import TemplateSeederFunction
from infra.constructs.templates_bucket import TemplatesBucket
from infra.constructs.topic_key import TopicKey
from infra.constructs.unsubscribe_page import UnsubscribePage
from infra.constructs.webhooks import SignedWebhooks, Webhooks
from infra.function_code import CodeSource, from_assets
from infra.settings import StackSettings
from infra.version import version

TAG = "sesmailengine:stack"


class EmailEngineStack(Stack):
    """Every name starts with the stack's, as CloudFormation knows it: one template serves any name."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: StackSettings,
        bundles: Bundles,
        code_from: CodeSource = from_assets,
        synthesizer: StackSynthesizer | None = None,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            stack_name=settings.stack_name,
            description="SESMailEngine: email on SES, driven by events",
            synthesizer=synthesizer,
        )
        prefix = Aws.STACK_NAME
        code = code_from(self, bundles)
        parameters = Parameters(self, "Parameters", settings=settings)

        queues = EmailQueues(self, "Queues", prefix=prefix, parameters=parameters)
        tables = EmailTables(self, "Tables", prefix=prefix)
        templates = TemplatesBucket(self, "Templates", prefix=prefix, target=settings.target)
        bus = EmailBus(self, "Bus", prefix=prefix)
        configuration_sets = ConfigurationSets(self, prefix=prefix, parameters=parameters)
        key = TopicKey(self, "TopicKey", prefix=prefix).key
        feedback = FeedbackTopic(
            self, "Feedback", prefix=prefix, configuration_sets=configuration_sets.arns, key=key
        )

        seeder = TemplateSeederFunction(
            self,
            "TemplateSeeder",
            prefix=prefix,
            parameters=parameters,
            code=code.seeder,
            templates=templates,
            templates_digest=bundles.templates_digest,
        )
        fingerprints = Fingerprints(self, "Fingerprints", parameters=parameters, answered_by=seeder.alias)
        page = (
            UnsubscribePage(
                self,
                "Unsubscribe",
                prefix=prefix,
                parameters=parameters,
                fingerprints=fingerprints,
                code=code.sender,
                bus=bus,
                tables=tables,
            )
            if parameters.wanted("hosted_unsubscribe")
            else None
        )
        sender = EmailSenderFunction(
            self,
            "EmailSender",
            prefix=prefix,
            parameters=parameters,
            fingerprints=fingerprints,
            code=code.sender,
            bus=bus,
            queues=queues,
            tables=tables,
            templates=templates,
            configuration_sets=configuration_sets,
            page=page,
        )
        processor = FeedbackProcessorFunction(
            self,
            "FeedbackProcessor",
            prefix=prefix,
            parameters=parameters,
            fingerprints=fingerprints,
            code=code.feedback,
            bus=bus,
            queues=queues,
            tables=tables,
            feedback=feedback,
        )

        roles = [sender.role.role_arn, processor.role.role_arn]
        if page:
            roles.append(page.role_arn)
        bus.restrict_publishers(roles)
        bus.route_transactional(sender.alias, undelivered=queues.event_bridge_dead)
        bus.route_bulk(queues.bulk, undelivered=queues.event_bridge_dead)
        sender.read_from(
            "Bulk",
            queues.bulk,
            batch_size=parameters.number("bulk_batch_size"),
            concurrency=parameters.number("bulk_concurrency"),
            window=1,  # Lambda asks for one when a batch holds more than ten
        )
        sender.read_from(
            "Retry", queues.retry, batch_size=10, concurrency=parameters.number("retry_concurrency")
        )
        sender.keep_failures_in(queues.event_bridge_dead)
        Scheduling(self, "Scheduling", prefix=prefix, retry=queues.retry)
        Webhooks(self, "Webhooks", prefix=prefix, undelivered=queues.webhook_dead)
        signed_webhooks = (
            SignedWebhooks(
                self,
                "SignedWebhooks",
                prefix=prefix,
                target=settings.target,
                parameters=parameters,
                fingerprints=fingerprints,
                code=code.sender,
                undelivered=queues.webhook_dead,
            )
            if parameters.wanted("signed_webhooks")
            else None
        )

        configuration_sets.report_to(feedback.topic)
        feedback.deliver_to(processor.alias, undelivered=queues.feedback_dead)
        processor.keep_failures_in(queues.feedback_dead)

        monitoring = Monitoring(
            self,
            "Monitoring",
            prefix=prefix,
            target=settings.target,
            parameters=parameters,
            key=key,
            queues=queues,
            tables=tables,
            sender=sender,
            processor=processor,
            page=page,
            webhooks=signed_webhooks,
            configuration_sets=configuration_sets,
        )
        OperatorPolicies(self, "OperatorPolicies", prefix=prefix)
        if settings.target == "lambda":  # the emulator saves no queries
            LogQueries(self, "LogQueries", prefix=prefix, groups=[sender.log_group, processor.log_group])
        if settings.target == "lambda" and parameters.wanted(
            "register_schemas"
        ):  # no emulator has a registry
            EventSchemas(self, "EventSchemas", prefix=prefix, parameters=parameters)
        seeder.seed_after(bus, configuration_sets.main, feedback, sender, processor)

        # What Cost Explorer, once the tag is activated there, tells this stack's costs by.
        Tags.of(self).add(TAG, prefix, exclude_resource_types=["aws:cdk:stack"])  # which takes no token

        for name, value in {
            "EventBusName": bus.bus.event_bus_name,
            "TemplateBucket": templates.bucket.bucket_name,
            "TrackingTable": tables.tracking.table_name,
            "SuppressionTable": tables.suppression.table_name,
            "StateTable": tables.state.table_name,
            "EmailRetryQueueUrl": queues.retry.queue_url,
            "BulkEmailQueueUrl": queues.bulk.queue_url,
            "ParkedEmailQueueUrl": queues.parked.queue_url,
            "EventBridgeDLQUrl": queues.event_bridge_dead.queue_url,
            "EmailRetryDLQUrl": queues.retry_dead.queue_url,
            "BulkEmailDLQUrl": queues.bulk_dead.queue_url,
            "FeedbackProcessorDLQUrl": queues.feedback_dead.queue_url,
            "WebhookDLQUrl": queues.webhook_dead.queue_url,
            "FeedbackTopicArn": feedback.topic.topic_arn,
            "AlarmTopicArn": monitoring.alarm_topic.topic_arn,
            "ConfigurationSetName": configuration_sets.main.name,
            "EmailSenderFunction": sender.function.function_name,
            "FeedbackProcessorFunction": processor.function.function_name,
            "DashboardUrl": monitoring.dashboard_address,
            "Version": version(),
        }.items():
            CfnOutput(self, name, value=value)
