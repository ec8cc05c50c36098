"""The bus that applications publish to, and the two lanes out of it."""

from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

_HAND_OVER: dict[str, Any] = {"retry_attempts": 3, "max_event_age": Duration.hours(1)}


class EmailBus(Construct):
    """`bus`, open to every principal of this account; call `route_*` to connect the lanes."""

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str) -> None:
        super().__init__(scope, construct_id)
        self._prefix = prefix
        name = f"{prefix}-EmailBus"
        self.bus = events.EventBus(self, "Bus", event_bus_name=name)
        policy = iam.PolicyDocument(
            statements=[
                iam.PolicyStatement(
                    sid="AccountMayPublish",
                    principals=[iam.AccountRootPrincipal()],
                    actions=["events:PutEvents"],
                    # Spelled out: a resource can't refer to itself.
                    resources=[
                        Stack.of(self).format_arn(service="events", resource="event-bus", resource_name=name)
                    ],
                )
            ]
        )
        # The property instead of an AWS::Events::EventBusPolicy, which the emulator does not know.
        resource = self.bus.node.default_child
        assert isinstance(resource, events.CfnEventBus)  # noqa: S101 -- what the L2 construct always makes
        resource.policy = policy

    def route_transactional(self, sender: lambda_.IFunction, *, undelivered: sqs.IQueue) -> None:
        """Everything that isn't bulk: a malformed `priority` must reach the code that can name the field."""
        events.Rule(
            self,
            "EmailEventRule",
            rule_name=f"{self._prefix}-EmailEventRule",
            event_bus=self.bus,
            event_pattern=events.EventPattern(
                detail_type=["Email Request"],
                detail={"priority": [{"exists": False}, {"anything-but": ["bulk"]}]},
            ),
            targets=[targets.LambdaFunction(sender, dead_letter_queue=undelivered, **_HAND_OVER)],
        )

    def route_bulk(self, queue: sqs.IQueue, *, undelivered: sqs.IQueue) -> None:
        events.Rule(
            self,
            "BulkEmailRule",
            rule_name=f"{self._prefix}-BulkEmailRule",
            event_bus=self.bus,
            event_pattern=events.EventPattern(detail_type=["Email Request"], detail={"priority": ["bulk"]}),
            targets=[targets.SqsQueue(queue, dead_letter_queue=undelivered, **_HAND_OVER)],
        )
