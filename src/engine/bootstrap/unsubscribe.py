"""The unsubscribe function: from its environment's variables to a page that is ready to be asked for."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from engine.aws.clients import Clients
from engine.aws.consent_rows import ConsentTable
from engine.aws.error_codes import service_errors
from engine.aws.event_bus import StatusBus
from engine.bootstrap.host import LAMBDA, Host
from engine.bootstrap.settings import SettingsError, UnsubscribeSettings, read_settings
from engine.consent.links import UnsubscribeLinks
from engine.consent.subscriptions import SubscriptionPage


class SigningKeys(Struct, frozen=True):
    """The secret: `current` signs, `previous` is still believed; empty where there is none."""

    current: str
    previous: str = ""


async def read_signing_keys(secrets: Any, arn: str) -> list[str]:
    """The keys, the oldest first. Raises SettingsError for a secret of another shape."""
    with service_errors("Secrets Manager"):
        answer = await secrets.get_secret_value(SecretId=arn)
    try:
        keys = msgspec.json.decode(answer["SecretString"], type=SigningKeys)
    except (msgspec.MsgspecError, KeyError):
        raise SettingsError(
            ['the secret of UNSUBSCRIBE_SECRET_ARN must be JSON such as {"current": "…", "previous": ""}']
        ) from None
    if not keys.current:
        raise SettingsError(["the secret of UNSUBSCRIBE_SECRET_ARN has an empty `current` key"])
    return [key for key in (keys.previous, keys.current) if key]


async def open_subscription_page(
    variables: Mapping[str, str], clients: Clients, host: Host = LAMBDA
) -> SubscriptionPage:
    """Raises SettingsError, which lists all that is wrong with the variables, and ServiceUnavailable."""
    settings = read_settings(UnsubscribeSettings, variables)
    keys = await read_signing_keys(await clients.open("secretsmanager"), settings.unsubscribe_secret_arn)
    return SubscriptionPage(
        links=UnsubscribeLinks("", keys),
        rows=ConsentTable(await clients.open("dynamodb"), settings.suppression_table),
        events=StatusBus(await clients.open("events"), settings.event_bus_name),
        topics=settings.topics,
        clock=host.clock,
        telemetry=host.telemetry("Unsubscribe", settings.environment, settings.log_level),
    )
