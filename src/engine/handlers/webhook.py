"""Signed webhooks: their rules' target posts one event, and fails where the endpoint does not take it."""

from typing import Any

import msgspec

from engine.aws.signed_webhooks import WebhookDelivery
from engine.bootstrap.runtime import Environment, LambdaContext
from engine.bootstrap.webhook import open_signed_webhooks

environment = Environment(open_signed_webhooks)
environment.prepare()


def handler(event: dict[str, Any], context: LambdaContext | None = None) -> None:  # noqa: ARG001 -- Lambda's
    """Lambda tries again what fails, twice, and then leaves it in WebhookDLQ."""
    delivery = msgspec.convert(event, WebhookDelivery)
    environment.invoke(lambda webhooks: webhooks.post(delivery))
