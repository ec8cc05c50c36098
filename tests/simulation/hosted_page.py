"""The hosted unsubscribe page: the function's own handler, which runs on the simulation's loop."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from unittest.mock import patch

from tests.simulation.functions import Work

from engine.aws.clients import Clients
from engine.bootstrap.host import Host
from engine.bootstrap.unsubscribe import HostedPage, open_hosted_page
from engine.consent.subscriptions import Answer
from engine.handlers import unsubscribe

URL: Final = "https://page.example/"


class _Reader:
    """In place of the function's `Environment`: keeps what the handler would run on a loop of its own."""

    asked: Callable[[HostedPage], Awaitable[Answer]] | None = None

    def invoke(self, asked: Callable[[HostedPage], Awaitable[Answer]]) -> Answer:
        self.asked = asked
        return Answer(200, "")


async def start_page(variables: Mapping[str, str], clients: Clients, host: Host) -> Work:
    """An environment of the function; it answers with an HTTP status."""
    hosted = await open_hosted_page(variables, clients, host)

    async def work(event: Any, seconds_left: Callable[[], float]) -> int:
        del seconds_left
        reader = _Reader()
        with patch.object(unsubscribe, "environment", reader):
            status: int = unsubscribe.handler(event)["statusCode"]
        return (await reader.asked(hosted)).status if reader.asked else status

    return work
