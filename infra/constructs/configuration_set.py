"""What SES is told about every send: insist on TLS, keep reputation metrics, report each event."""

from aws_cdk import Stack
from aws_cdk import aws_ses as ses
from aws_cdk import aws_sns as sns
from constructs import Construct

# CloudFormation's names of all ten: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_EventDestination.html
_EVENT_TYPES = (
    "send",
    "reject",
    "bounce",
    "complaint",
    "delivery",
    "open",
    "click",
    "renderingFailure",
    "deliveryDelay",
    "subscription",
)


class ConfigurationSet(Construct):
    def __init__(self, scope: Construct, construct_id: str, *, prefix: str) -> None:
        super().__init__(scope, construct_id)
        # The name and ARN are spelled out, not taken from the resource: the topic's policy needs the ARN, and
        # SES checks that policy when the event destination is made.
        self.name = f"{prefix}-ConfigSet"
        self.arn = Stack.of(self).format_arn(
            service="ses", resource="configuration-set", resource_name=self.name
        )
        self._resource = ses.ConfigurationSet(
            self,
            "Resource",
            configuration_set_name=self.name,
            tls_policy=ses.ConfigurationSetTlsPolicy.REQUIRE,
            reputation_metrics=True,
        )

    def report_to(self, topic: sns.Topic) -> None:
        """Publish every event to `topic`, whose policy must allow it already."""
        destination = ses.CfnConfigurationSetEventDestination(
            self,
            "Feedback",
            configuration_set_name=self._resource.configuration_set_name,
            event_destination=ses.CfnConfigurationSetEventDestination.EventDestinationProperty(
                name="feedback",
                enabled=True,
                matching_event_types=list(_EVENT_TYPES),
                sns_destination=ses.CfnConfigurationSetEventDestination.SnsDestinationProperty(
                    topic_arn=topic.topic_arn
                ),
            ),
        )
        policy = topic.node.try_find_child("Policy")
        if policy is not None:
            destination.node.add_dependency(policy)
