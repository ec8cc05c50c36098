"""Webhook Test: what an operator publishes to see whether a webhook receives (`docs/webhooks.md`)."""

from typing import Annotated

from msgspec import Meta, Struct

WEBHOOK_TEST_DETAIL_TYPE = "Webhook Test"


class WebhookTest(Struct, frozen=True, kw_only=True, rename="camel"):
    """The `detail` of the event; only the webhook of that name gets it."""

    webhook: Annotated[str, Meta(description="Name of the webhook.")]
    timestamp: Annotated[str, Meta(description="When: ISO 8601 in UTC, such as `2026-11-24T08:15:30.250Z`.")]
