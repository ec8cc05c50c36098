"""SES configuration set: TLS, reputation metrics, event publishing, open and click tracking."""

from typing import Final

from aws_cdk import Stack, Token
from aws_cdk import aws_ses as ses
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.constructs.parameters import Parameters

# CloudFormation's names: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_EventDestination.html
_EVENT_TYPES: Final = (
    "send",
    "reject",
    "bounce",
    "complaint",
    "delivery",
    "renderingFailure",
    "deliveryDelay",
    "subscription",
)
# Asking for these changes the email: SES adds a picture to see it opened, and rewrites links to see clicks.
# https://docs.aws.amazon.com/ses/latest/dg/configure-custom-open-click-domains.html
_TRACKED: Final = {"open": "track_opens", "click": "track_clicks"}


class ConfigurationSet(Construct):
    def __init__(self, scope: Construct, construct_id: str, *, prefix: str, parameters: Parameters) -> None:
        super().__init__(scope, construct_id)
        self._parameters = parameters
        # The name and ARN are spelled out, not taken from the resource: the topic's policy needs the ARN, and
        # SES checks that policy when the event destination is made.
        self.name = f"{prefix}-ConfigSet"
        self.arn = Stack.of(self).format_arn(
            service="ses", resource="configuration-set", resource_name=self.name
        )
        self._set = ses.ConfigurationSet(
            self,
            "Resource",
            configuration_set_name=self.name,
            tls_policy=ses.ConfigurationSetTlsPolicy.REQUIRE,
            reputation_metrics=True,
        )
        resource = self._set.node.default_child
        assert isinstance(resource, ses.CfnConfigurationSet)  # noqa: S101 -- what the L2 construct always makes
        # SES takes a policy for its own domain from nobody: "CustomRedirectDomain must be specified".
        tracking = {"CustomRedirectDomain": parameters.text("tracking_domain"), "HttpsPolicy": "REQUIRE"}
        if parameters.wanted("tracking_domain"):
            resource.add_property_override("TrackingOptions", parameters.choose("tracking_domain", tracking))

    def report_to(self, topic: sns.Topic) -> None:
        """Publish every event to `topic`, whose policy must allow it already."""
        tracked = [
            Token.as_string(self._parameters.choose(setting, event))
            for event, setting in _TRACKED.items()
            if self._parameters.wanted(setting)
        ]
        destination = ses.CfnConfigurationSetEventDestination(
            self,
            "Feedback",
            configuration_set_name=self._set.configuration_set_name,
            event_destination=ses.CfnConfigurationSetEventDestination.EventDestinationProperty(
                name="feedback",
                enabled=True,
                matching_event_types=[*_EVENT_TYPES, *tracked],
                sns_destination=ses.CfnConfigurationSetEventDestination.SnsDestinationProperty(
                    topic_arn=topic.topic_arn
                ),
            ),
        )
        policy = topic.node.try_find_child("Policy")
        if policy is not None:
            destination.node.add_dependency(policy)
