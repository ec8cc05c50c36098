"""The webhook function: from its environment's variables to what posts signed events."""

from collections.abc import Mapping

from engine.aws.clients import Clients
from engine.aws.signed_webhooks import SignedWebhooks
from engine.bootstrap.host import LAMBDA, Host
from engine.bootstrap.settings import WebhookSettings, read_settings


async def open_signed_webhooks(
    variables: Mapping[str, str], clients: Clients, host: Host = LAMBDA
) -> SignedWebhooks:
    """Raises SettingsError, which lists all that is wrong with the variables."""
    settings = read_settings(WebhookSettings, variables)
    return SignedWebhooks(
        await clients.open("secretsmanager"),
        settings.webhook_secret_prefix,
        host.clock,
        allow_private=settings.webhook_allow_private == "true",
    )
