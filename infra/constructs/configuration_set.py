"""SES configuration sets: TLS, reputation metrics, event publishing, tracking, suppression, IP pool."""

from collections.abc import Sequence
from typing import Final

from aws_cdk import Aws, Fn, Stack, Token
from aws_cdk import aws_ses as ses
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.acknowledged import acknowledge
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
SEPARATE: Final = "separate_streams"


class ConfigurationSet(Construct):
    """`stream`: "transactional" or "bulk", the first part of the names of the settings that only it has."""

    def __init__(
        self, scope: Construct, construct_id: str, *, name: str, stream: str, parameters: Parameters
    ) -> None:
        super().__init__(scope, construct_id)
        self._parameters = parameters
        self._stream = stream
        # The name and ARN are spelled out, not taken from the resource: the topic's policy needs the ARN, and
        # SES checks that policy when the event destination is made.
        self.name = name
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
        pool, reasons = f"{stream}_ip_pool", f"{stream}_suppression"
        if parameters.wanted(pool):
            chosen = parameters.choose(pool, parameters.text(pool))
            resource.add_property_override("DeliveryOptions.SendingPoolName", chosen)
        if parameters.wanted(reasons):
            options = {"SuppressedReasons": Fn.split(",", parameters.text(reasons))}
            resource.add_property_override("SuppressionOptions", parameters.choose(reasons, options))
            acknowledge(
                self._set,
                "CloudFormation-Validate::F3031",
                "the rule splits the parameter's empty default, where the template leaves the property out",
            )

    def report_to(self, topic: sns.Topic) -> None:
        """Publish every event to `topic`, whose policy must allow it already."""
        destination = ses.CfnConfigurationSetEventDestination(
            self,
            "Feedback",
            configuration_set_name=self._set.configuration_set_name,
            event_destination=ses.CfnConfigurationSetEventDestination.EventDestinationProperty(
                name="feedback",
                enabled=True,
                matching_event_types=[*_EVENT_TYPES, *self._tracked()],
                sns_destination=ses.CfnConfigurationSetEventDestination.SnsDestinationProperty(
                    topic_arn=topic.topic_arn
                ),
            ),
        )
        policy = topic.node.try_find_child("Policy")
        if policy is not None:
            destination.node.add_dependency(policy)

    def _tracked(self) -> Sequence[str]:
        """Opens and clicks, as the parameters say; transactional mail beside a set for bulk has neither."""
        parameters = self._parameters
        chosen = [
            parameters.choose(setting, event)
            for event, setting in _TRACKED.items()
            if parameters.wanted(setting)
        ]
        if self._stream == "transactional":
            chosen = [parameters.choose(SEPARATE, Aws.NO_VALUE, event) for event in chosen]
        return [Token.as_string(event) for event in chosen]


class ConfigurationSets:
    """`main` carries all mail, or transactional mail alone where `bulk` mail has a set of its own."""

    def __init__(self, scope: Construct, *, prefix: str, parameters: Parameters) -> None:
        self._parameters = parameters
        self.main = ConfigurationSet(
            scope,
            "ConfigurationSet",
            name=f"{prefix}-ConfigSet",
            stream="transactional",
            parameters=parameters,
        )
        self.bulk = (
            ConfigurationSet(
                scope,
                "BulkConfigurationSet",
                name=f"{prefix}-BulkConfigSet",
                stream="bulk",
                parameters=parameters,
            )
            if parameters.wanted(SEPARATE)
            else None
        )

    @property
    def arns(self) -> list[str]:
        """Those that the template has, for policies."""
        bulk = [Token.as_string(self._parameters.choose(SEPARATE, self.bulk.arn))] if self.bulk else []
        return [self.main.arn, *bulk]

    @property
    def bulk_name(self) -> str:
        """Empty where all mail leaves by one set."""
        return Token.as_string(self._parameters.choose(SEPARATE, self.bulk.name, "")) if self.bulk else ""

    def report_to(self, topic: sns.Topic) -> None:
        self.main.report_to(topic)
        if self.bulk:
            self.bulk.report_to(topic)
            self._parameters.make_only_if(SEPARATE, self.bulk)
