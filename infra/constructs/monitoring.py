"""Alarms, the topic they go to, and the dashboard."""

from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.alarm_topic import AlarmTopic
from infra.constructs.alarms import Alarms
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
        alarms.watch_dead_letters(queues)
        alarms.watch_queues(queues)
        alarms.watch_parked(queues)
        alarms.watch_function("EmailSender", sender.name)
        alarms.watch_function("FeedbackProcessor", processor.name)
        if page:
            alarms.watch_page(page.function.name, parameters)
        if webhooks:
            alarms.watch_signed_webhooks(webhooks.function.name, parameters)
        alarms.watch_reputation()
        alarms.watch_streams(configuration_sets, parameters)
        alarms.watch_sending(counted["sender"])
        if target == "lambda":  # the emulator knows no alarms over an expression
            alarms.watch_tables(tables)

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
