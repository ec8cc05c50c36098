"""Alarms, the topic they go to, and the dashboard."""

from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.alarm_topic import AlarmTopic
from infra.constructs.alarms.alarm import Alarms
from infra.constructs.alarms.functions import watch_function, watch_page, watch_signed_webhooks
from infra.constructs.alarms.queues import watch_dead_letters, watch_parked, watch_queues
from infra.constructs.alarms.reputation import watch_reputation, watch_streams
from infra.constructs.alarms.sending import watch_sending
from infra.constructs.alarms.tables import watch_tables
from infra.constructs.configuration_set import ConfigurationSets
from infra.constructs.costs import cost_per_thousand
from infra.constructs.dashboard import SendingDashboard
from infra.constructs.functions import EngineFunction
from infra.constructs.metrics import EngineMetrics
from infra.constructs.parameters import Parameters
from infra.constructs.queues import EmailQueues
from infra.constructs.tables import EmailTables
from infra.constructs.unsubscribe_page import UnsubscribePage
from infra.constructs.webhooks import SignedWebhooks
from infra.settings import Target


class Monitoring(Construct):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        prefix: str,
        target: Target,
        parameters: Parameters,
        key: kms.IKey,
        queues: EmailQueues,
        tables: EmailTables,
        sender: EngineFunction,
        processor: EngineFunction,
        page: UnsubscribePage | None,
        webhooks: SignedWebhooks | None,
        configuration_sets: ConfigurationSets,
    ) -> None:
        super().__init__(scope, construct_id)
        functions = {"sender": sender.name, "processor": processor.name}
        counted = {who: EngineMetrics(function, parameters) for who, function in functions.items()}

        self.alarm_topic = AlarmTopic(self, "AlarmTopic", prefix=prefix, parameters=parameters, key=key).topic
        alarms = Alarms(self, "Alarms", prefix=prefix, topic=self.alarm_topic)
        watch_dead_letters(alarms, queues)
        watch_queues(alarms, queues)
        watch_parked(alarms, queues)
        watch_function(alarms, "EmailSender", sender.name)
        watch_function(alarms, "FeedbackProcessor", processor.name)
        if page:
            watch_page(alarms, page.function.name, parameters)
        if webhooks:
            watch_signed_webhooks(alarms, webhooks.function.name, parameters)
        watch_reputation(alarms)
        watch_streams(alarms, configuration_sets, parameters)
        watch_sending(alarms, counted["sender"])
        if target == "lambda":  # the emulator knows no alarms over an expression
            watch_tables(alarms, tables)

        dashboard = SendingDashboard(
            self,
            "Dashboard",
            prefix=prefix,
            functions=functions,
            counted=counted,
            queues=queues,
            costs=cost_per_thousand(
                sender=sender,
                processor=processor,
                counted=counted,
                queues=queues,
                tables=tables,
                parameters=parameters,
            ),
        )
        self.dashboard_address = dashboard.address
