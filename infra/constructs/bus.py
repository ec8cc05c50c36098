"""EventBridge bus that applications publish to, who may say what on it, and the two lanes out of it."""

from collections.abc import Sequence
from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from engine.schemas.consent import SUBSCRIPTION_DETAIL_TYPE
from engine.schemas.operator_action import OPERATOR_ACTION_DETAIL_TYPE
from engine.schemas.status import REQUEST_DETAIL_TYPE, STATUS_EVENT_DETAIL_TYPE, STATUS_EVENT_SOURCE

_HAND_OVER: dict[str, Any] = {"retry_attempts": 3, "max_event_age": Duration.hours(1)}

# What only the engine's functions may say, under whatever source; and what operators say in its name, with
# their own credentials.
_ENGINE_DETAIL_TYPES = (STATUS_EVENT_DETAIL_TYPE,)
_OPERATOR_DETAIL_TYPES = (OPERATOR_ACTION_DETAIL_TYPE, SUBSCRIPTION_DETAIL_TYPE)


class EmailBus(Construct):
    """`bus`, open to every principal of this account; call `route_*` to connect the lanes."""

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str) -> None:
        super().__init__(scope, construct_id)
        self._prefix = prefix
        name = f"{prefix}-EmailBus"
        self.bus = events.EventBus(self, "Bus", event_bus_name=name)
        # Spelled out, for policies: the bus's own can't refer to the bus, and it names the functions' roles,
        # whose policies can't either.
        self.arn = Stack.of(self).format_arn(service="events", resource="event-bus", resource_name=name)

    def restrict_publishers(self, engine: Sequence[str]) -> None:
        """Let the account publish, and only the roles `engine` (ARNs) say what became of an email.

        An application acts on "Email Status Changed": nobody who may ask for an email may forge one.
        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html
        """
        everybody_else = {"ArnNotEquals": {"aws:PrincipalArn": list(engine)}}

        def deny(sid: str, **conditions: Any) -> iam.PolicyStatement:
            return iam.PolicyStatement(
                sid=sid,
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["events:PutEvents"],
                resources=[self.arn],
                conditions={**conditions, **everybody_else},
            )

        resource = self.bus.node.default_child
        assert isinstance(resource, events.CfnEventBus)  # noqa: S101 -- what the L2 construct always makes
        # The property instead of an AWS::Events::EventBusPolicy, which the emulator does not know.
        resource.policy = iam.PolicyDocument(
            statements=[
                iam.PolicyStatement(
                    sid="AccountMayPublish",
                    principals=[iam.AccountRootPrincipal()],
                    actions=["events:PutEvents"],
                    resources=[self.arn],
                ),
                deny(
                    "OnlyTheEngineTellsOfEmails",
                    StringEquals={"events:detail-type": list(_ENGINE_DETAIL_TYPES)},
                ),
                deny(
                    "OnlyTheEngineIsTheSource",
                    StringEquals={"events:source": STATUS_EVENT_SOURCE},
                    StringNotEquals={"events:detail-type": list(_OPERATOR_DETAIL_TYPES)},
                ),
            ]
        )

    def route_transactional(self, sender: lambda_.IFunction, *, undelivered: sqs.IQueue) -> None:
        """Everything that isn't bulk: a malformed `priority` must reach the code that can name the field."""
        events.Rule(
            self,
            "EmailEventRule",
            rule_name=f"{self._prefix}-EmailEventRule",
            event_bus=self.bus,
            event_pattern=events.EventPattern(
                detail_type=[REQUEST_DETAIL_TYPE],
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
            event_pattern=events.EventPattern(
                detail_type=[REQUEST_DETAIL_TYPE], detail={"priority": ["bulk"]}
            ),
            targets=[targets.SqsQueue(queue, dead_letter_queue=undelivered, **_HAND_OVER)],
        )
