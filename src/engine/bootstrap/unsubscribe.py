"""The unsubscribe function: from its environment's variables to a page that is ready to be asked for."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from engine.aws.clients import Clients
from engine.aws.consent_rows import ConsentTable
from engine.aws.event_bus import StatusBus
from engine.bootstrap.host import LAMBDA, Host
from engine.bootstrap.settings import UnsubscribeSettings, read_settings
from engine.bootstrap.signing_keys import read_signing_keys
from engine.consent.links import UnsubscribeLinks
from engine.consent.opt_outs import OptOuts
from engine.consent.subscriptions import Answer, SubscriptionPage
from engine.telemetry import PowertoolsTelemetry


@dataclass(frozen=True)
class HostedPage:
    """The unsubscribe function at work."""

    page: SubscriptionPage
    telemetry: PowertoolsTelemetry

    async def answer(self, ask: Callable[[SubscriptionPage], Awaitable[Answer]]) -> Answer:
        try:
            return await ask(self.page)
        finally:
            self.telemetry.flush()


async def open_hosted_page(variables: Mapping[str, str], clients: Clients, host: Host = LAMBDA) -> HostedPage:
    """Raises SettingsError, which lists all that is wrong with the variables, and ServiceUnavailable."""
    settings = read_settings(UnsubscribeSettings, variables)
    keys = await read_signing_keys(await clients.open("secretsmanager"), settings.unsubscribe_secret_arn)
    telemetry = host.telemetry("Unsubscribe", settings.environment, settings.log_level)
    page = SubscriptionPage(
        links=UnsubscribeLinks("", keys),
        opt_outs=OptOuts(
            ConsentTable(await clients.open("dynamodb"), settings.suppression_table),
            StatusBus(await clients.open("events"), settings.event_bus_name),
        ),
        topics=settings.topics,
        clock=host.clock,
        telemetry=telemetry,
    )
    return HostedPage(page, telemetry)
