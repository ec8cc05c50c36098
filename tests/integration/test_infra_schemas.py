"""The events' schemas in the registry: draft 4, and as strict as the engine's own."""

import json
from copy import deepcopy
from typing import Any

import msgspec
import pytest
from jsonschema import Draft4Validator
from tests.support.cloud import request_event
from tests.support.synthesized import Deployed, deployed

from engine.schemas.consent import SubscriptionChanged
from infra.constructs.event_schemas import event_schemas
from infra.draft4 import draft4
from infra.export_schemas import schemas
from infra.regions import LACKING

REQUEST, STATUS = "EmailRequest", "sesmailengine@EmailStatusChanged"
ACTION = "sesmailengine@OperatorAction"
CHANGE = "sesmailengine@SubscriptionChanged"


def validator(name: str) -> Draft4Validator:
    return Draft4Validator(event_schemas()[name])


def status_event(**detail: Any) -> dict[str, Any]:
    told = {
        "emailId": "6f1f7b0e-8d7c-5c53-9a3b-0a4f1f0d2c11",
        "originalEmailId": "6f1f7b0e-8d7c-5c53-9a3b-0a4f1f0d2c11",
        "to": "ada@example.com",
        "templateName": "welcome",
        "campaign": None,
        "status": "failed",
        "previousStatus": "sending",
        "reason": {"code": "suppressed", "message": "ada@example.com is suppressed (hard-bounce)"},
        "sesMessageId": None,
        "originalSource": "shop",
        "retryAttempt": 0,
        "timestamp": "2026-11-24T08:15:30.250Z",
        "metadata": {"order": "7"},
        "tags": {},
    }
    return {
        **request_event(),
        "detail-type": "Email Status Changed",
        "source": "sesmailengine",
        "detail": {**told, **detail},
    }


FULL_REQUEST = {
    "cc": ["bob@example.com"],
    "headers": {"X-Order": "7"},
    "senderOverride": {"email": "billing@shop.example", "name": None},
    "attachments": [{"fileName": "a.pdf", "contentType": "application/pdf", "content": "UERG"}],
    "unsubscribe": {"url": "https://shop.example/u/1"},
    "priority": "bulk",
    "idempotencyKey": "order-7",
    "campaign": "spring",
    "dryRun": True,
}


@pytest.mark.parametrize("name", [REQUEST, STATUS, ACTION, CHANGE])
def test_the_schema_is_one_of_draft_4(name: str) -> None:
    Draft4Validator.check_schema(event_schemas()[name])


@pytest.mark.parametrize("more", [{}, FULL_REQUEST], ids=["plain", "full"])
def test_a_request_as_it_comes_over_the_bus_fits(more: dict[str, Any]) -> None:
    validator(REQUEST).validate(request_event(**more))


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject": "an unknown field"},
        {"to": 5},
        {"templateName": "../secrets"},
        {"templateName": "x" * 65},
        {"priority": "urgent"},
        {"campaign": "spring sale"},
        {"idempotencyKey": ""},
        {"senderOverride": {"name": "nobody"}},
        {"attachments": [{"fileName": "a.pdf"}]},
    ],
    ids=str,
)
def test_a_request_that_the_engine_would_refuse_does_not(wrong: dict[str, Any]) -> None:
    assert not validator(REQUEST).is_valid(request_event(**wrong))


def test_an_event_of_another_type_does_not() -> None:
    assert not validator(REQUEST).is_valid(request_event() | {"detail-type": "Order Placed"})
    assert not validator(STATUS).is_valid(status_event() | {"source": "shop"})


@pytest.mark.parametrize(
    "detail",
    [{}, {"status": "sent", "reason": None, "sesMessageId": "0100-1"}, {"previousStatus": None}],
    ids=["failed", "sent", "refused"],
)
def test_a_status_event_fits(detail: dict[str, Any]) -> None:
    validator(STATUS).validate(status_event(**detail))


def test_a_status_that_is_never_published_does_not() -> None:
    assert not validator(STATUS).is_valid(status_event(status="sending"))


def test_an_operator_action_fits() -> None:
    detail = {"action": "stop", "scope": "bulk", "because": "wrong price", "by": "ops", "timestamp": "now"}
    event = {**request_event(), "detail-type": "Operator Action", "source": "sesmailengine", "detail": detail}
    validator(ACTION).validate(event)
    assert not validator(ACTION).is_valid(event | {"detail": {"action": "stop"}})


def test_a_changed_subscription_fits() -> None:
    change = SubscriptionChanged(
        address="ada@example.com", topic="news", subscribed=False, via="one-click", timestamp="now"
    )
    event = {
        **request_event(),
        "detail-type": "Subscription Changed",
        "source": "sesmailengine",
        "detail": msgspec.to_builtins(change),
    }
    validator(CHANGE).validate(event)
    assert not validator(CHANGE).is_valid(event | {"detail": event["detail"] | {"via": "mail"}})


class TestConversion:
    @staticmethod
    def converted(**schema: Any) -> dict[str, Any]:
        return {name: value for name, value in draft4(schema).items() if name != "$schema"}

    def test_definitions_and_references_move(self) -> None:
        schema = {"$ref": "#/$defs/Shape", "$defs": {"Shape": {"type": "object", "required": []}}}
        assert self.converted(**schema) == {
            "allOf": [{"$ref": "#/definitions/Shape"}],
            "definitions": {"Shape": {"type": "object"}},
        }

    def test_a_lone_reference_stays_one(self) -> None:
        schema = {"properties": {"shape": {"$ref": "#/$defs/Shape"}}}
        assert self.converted(**schema) == {"properties": {"shape": {"$ref": "#/definitions/Shape"}}}

    def test_exclusive_limits_and_constants_are_said_as_draft_4_says_them(self) -> None:
        assert self.converted(exclusiveMinimum=0, exclusiveMaximum=9) == {
            "minimum": 0,
            "exclusiveMinimum": True,
            "maximum": 9,
            "exclusiveMaximum": True,
        }
        assert self.converted(const="a") == {"enum": ["a"]}

    def test_a_property_or_default_that_looks_like_a_keyword_is_left_alone(self) -> None:
        schema = {"properties": {"const": {"type": "string"}}, "default": {"const": 1}}
        assert self.converted(**schema) == schema

    def test_a_keyword_that_is_not_known_is_refused_rather_than_lost(self) -> None:
        with pytest.raises(ValueError, match="prefixItems"):
            self.converted(items={"prefixItems": []})

    def test_the_exported_schemas_are_not_touched(self) -> None:
        exported = schemas()["email-request"]
        before = deepcopy(exported)
        draft4(exported)
        assert exported == before


class TestRegistry:
    def test_every_event_is_registered(self) -> None:
        registered = registered_in(deployed())
        assert registered.keys() == {REQUEST, STATUS, ACTION, CHANGE}
        for name, made in registered.items():
            assert made["Type"] == "JSONSchemaDraft4"
            assert json.loads(made["Content"]) == event_schemas()[name]
            assert "id" not in json.loads(made["Content"])  # which the registry gives itself
            assert 0 < len(made["Description"]) < 256
        assert deployed().properties("AWS::EventSchemas::Registry")["RegistryName"] == "mail-Events"

    def test_whoever_does_not_want_them_gets_none(self) -> None:
        stack = deployed(RegisterSchemas="false")
        assert registered_in(stack) == {}
        assert stack.all("AWS::EventSchemas::Registry") == {}

    @pytest.mark.parametrize("region", LACKING["register_schemas"])
    def test_a_region_without_a_registry_does_without(self, region: str) -> None:
        stack = deployed(place={"AWS::Region": region})
        assert registered_in(stack) == {}
        assert stack.all("AWS::EventSchemas::Registry") == {}


def registered_in(stack: Deployed) -> dict[str, dict[str, Any]]:
    schemas = stack.all("AWS::EventSchemas::Schema").values()
    return {made["Properties"]["SchemaName"]: made["Properties"] for made in schemas}
