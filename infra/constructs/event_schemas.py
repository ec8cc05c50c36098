"""EventBridge schema registry with the events, where applications look them up and get code for them."""

import json
from typing import Any

from aws_cdk import aws_eventschemas as eventschemas
from constructs import Construct

from engine.schemas.consent import SUBSCRIPTION_DETAIL_TYPE
from engine.schemas.operator_action import OPERATOR_ACTION_DETAIL_TYPE
from engine.schemas.status import REQUEST_DETAIL_TYPE, STATUS_EVENT_DETAIL_TYPE, STATUS_EVENT_SOURCE
from infra.constructs.parameters import Parameters
from infra.draft4 import draft4
from infra.export_schemas import schemas

_LONGEST_DESCRIPTION = 256  # what the registry takes

# What EventBridge itself puts around a detail:
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html
_ENVELOPE = {
    "version": {"type": "string"},
    "id": {"type": "string"},
    "account": {"type": "string"},
    "time": {"type": "string", "format": "date-time"},
    "region": {"type": "string"},
    "resources": {"type": "array", "items": {"type": "string"}},
}


class EventSchemas(Construct):
    """One registry a stack, and in it a schema for each event on the bus."""

    def __init__(self, scope: Construct, construct_id: str, *, prefix: str, parameters: Parameters) -> None:
        super().__init__(scope, construct_id)
        registry = eventschemas.CfnRegistry(
            self, "Registry", registry_name=f"{prefix}-Events", description=f"Events on {prefix}-EmailBus"
        )
        made: list[eventschemas.CfnRegistry | eventschemas.CfnSchema] = [registry]
        for name, content in event_schemas().items():
            schema = eventschemas.CfnSchema(
                self,
                name,
                registry_name=registry.attr_registry_name,
                schema_name=name,
                type="JSONSchemaDraft4",
                description=_summary(content["description"]),
                content=json.dumps(content),
            )
            made.append(schema)
        parameters.make_only_if("register_schemas", *made)


def event_schemas() -> dict[str, dict[str, Any]]:
    """The whole events in draft 4, under the names that the registry gives its own: `source@DetailType`."""
    exported = schemas()
    return {
        "EmailRequest": _event(exported["email-request"], REQUEST_DETAIL_TYPE, {"type": "string"}),
        f"{STATUS_EVENT_SOURCE}@EmailStatusChanged": _event(
            exported["email-status-changed"], STATUS_EVENT_DETAIL_TYPE, {"enum": [STATUS_EVENT_SOURCE]}
        ),
        f"{STATUS_EVENT_SOURCE}@OperatorAction": _event(
            exported["operator-action"], OPERATOR_ACTION_DETAIL_TYPE, {"enum": [STATUS_EVENT_SOURCE]}
        ),
        f"{STATUS_EVENT_SOURCE}@SubscriptionChanged": _event(
            exported["subscription-changed"], SUBSCRIPTION_DETAIL_TYPE, {"enum": [STATUS_EVENT_SOURCE]}
        ),
    }


def _summary(description: str) -> str:
    """The first paragraph on one line, as long as the registry takes it."""
    return " ".join(description.partition("\n\n")[0].split())[:_LONGEST_DESCRIPTION]


def _event(schema: dict[str, Any], detail_type: str, source: dict[str, Any]) -> dict[str, Any]:
    detail = draft4(schema)
    return {
        "$schema": detail["$schema"],
        "title": detail["title"],
        "description": detail["description"],
        "type": "object",
        "required": ["detail-type", "source", "detail"],
        "properties": {
            "detail-type": {"enum": [detail_type]},
            "source": source,
            "detail": {"allOf": detail["allOf"]},
            **_ENVELOPE,
        },
        "definitions": detail["definitions"],
    }
