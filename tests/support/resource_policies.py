"""Who may publish: the policies of the stack's bus and topics."""

from typing import Any

from tests.support.aws_calls import Ask
from tests.support.iam import allows
from tests.support.synthesized import ACCOUNT, REGION, deployed

BUS = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/mail-EmailBus"


def bus_policy() -> list[dict[str, Any]]:
    bus = deployed().properties("AWS::Events::EventBus", Name="mail-EmailBus")
    statements: list[dict[str, Any]] = bus["Policy"]["Statement"]
    return statements


def may_publish(role: str, source: str, detail_type: str) -> bool:
    context = {
        "aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/{role}",
        "events:source": source,
        "events:detail-type": detail_type,
    }
    return allows(bus_policy(), Ask("events:PutEvents", BUS, tuple(context.items())))


def statements_on_topic(topic: str) -> list[dict[str, Any]]:
    arn = f"arn:aws:sns:{REGION}:{ACCOUNT}:{topic}"
    (policy,) = (
        made["Properties"]
        for made in deployed().all("AWS::SNS::TopicPolicy").values()
        if made["Properties"]["Topics"] == [arn]
    )
    statements: list[dict[str, Any]] = policy["PolicyDocument"]["Statement"]
    return statements


def allowed_on_topic(topic: str) -> dict[str, Any]:
    (allow,) = (statement for statement in statements_on_topic(topic) if statement["Effect"] == "Allow")
    return allow
