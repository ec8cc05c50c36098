"""What a webhook's resources are called, and the alarm that watches it. Pure."""

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class WebhookNames:
    """`role_arn`: what EventBridge posts with; `alarms_arn`: the topic that alarms go to."""

    stack: str
    queue_arn: str
    role_arn: str
    alarms_arn: str

    @classmethod
    def of_queue(cls, queue_arn: str) -> Self:
        """Everything is named after the stack, as WebhookDLQ is."""
        _, partition, _, region, account, queue = queue_arn.split(":")
        stack = queue.removesuffix("-WebhookDLQ")
        return cls(
            stack=stack,
            queue_arn=queue_arn,
            role_arn=f"arn:{partition}:iam::{account}:role/{stack}-Webhook-{region}",
            alarms_arn=f"arn:{partition}:sns:{region}:{account}:{stack}-Alarms",
        )

    @property
    def bus(self) -> str:
        return f"{self.stack}-EmailBus"

    @property
    def prefix(self) -> str:
        """Before the name of each webhook."""
        return f"{self.stack}-webhook-"

    def alarm_of(self, name: str) -> str:
        return f"{self.prefix}{name}-Failing"

    def failing(self, name: str) -> dict[str, Any]:
        """A quarter of an hour of retries, of one hour; what is given up lies in WebhookDLQ, with its own.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
        """
        dimensions = {"EventBusName": self.bus, "RuleName": self.prefix + name}
        return {
            "AlarmName": self.alarm_of(name),
            "AlarmDescription": (
                f"The webhook {name} does not take events, which EventBridge tries for 24 hours: look"
                f" at the endpoint. Run `sesmailengine webhooks list --stack {self.stack}`."
                " More: docs/webhooks.md#when-it-fails"
            ),
            "Namespace": "AWS/Events",
            "MetricName": "RetryInvocationAttempts",
            "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
            "Statistic": "Sum",
            "Period": 300,
            "EvaluationPeriods": 12,
            "DatapointsToAlarm": 3,
            "Threshold": 0.0,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
            "AlarmActions": [self.alarms_arn],
        }
