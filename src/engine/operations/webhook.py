"""A webhook, out of what AWS says of its parts. Pure."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from engine.operations.webhook_target import wanted_by

_ACTIVE: Final = "active"


class Webhook(Struct, frozen=True, kw_only=True, rename="camel"):
    """`source`: None for the email of all. `rate`: requests a second at most; a signed one has none.

    `state`: `active`, or what of it is switched off or missing, in AWS's words.
    """

    name: str
    url: str
    events: tuple[str, ...]
    source: str | None
    rate: int | None
    signed: bool = False
    state: str = _ACTIVE

    @property
    def is_active(self) -> bool:
        return self.state == _ACTIVE


class WebhookList(Struct, frozen=True, kw_only=True, rename="camel"):
    webhooks: list[Webhook]


def is_signed(rule: Mapping[str, Any]) -> bool:
    """Where the function posts, the rule alone can tell of the URL."""
    return bool(rule.get("Description"))


def signed_webhook(name: str, rule: Mapping[str, Any]) -> Webhook:
    """By a rule of EventBridge's ListRules, of which the function is the target."""
    state = _state(("rule", rule.get("State"), "ENABLED"))
    return _webhook(name, rule, url=rule["Description"], rate=None, signed=True, state=state)


def posted_webhook(
    name: str, rule: Mapping[str, Any], destination: Mapping[str, Any], connection: Mapping[str, Any]
) -> Webhook:
    """By a rule, and by what describes its API destination and connection; empty for what is missing."""
    state = _state(
        ("rule", rule.get("State"), "ENABLED"),
        ("API destination", destination.get("ApiDestinationState"), "ACTIVE"),
        ("connection", connection.get("ConnectionState"), "AUTHORIZED"),
    )
    url, rate = destination.get("InvocationEndpoint", ""), destination.get("InvocationRateLimitPerSecond", 0)
    return _webhook(name, rule, url=url, rate=rate, signed=False, state=state)


def _state(*parts: tuple[str, str | None, str]) -> str:
    return ", ".join(f"{part} is {state}" for part, state, good in parts if state != good) or _ACTIVE


def _webhook(
    name: str, rule: Mapping[str, Any], *, url: str, rate: int | None, signed: bool, state: str
) -> Webhook:
    events, source = wanted_by(msgspec.json.decode(rule["EventPattern"], type=dict[str, Any]))
    return Webhook(name=name, url=url, events=events, source=source, rate=rate, signed=signed, state=state)
