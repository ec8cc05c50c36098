"""The console: the pages over a stack, on this machine's loopback address, behind a token in the address."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from aiohttp import web

from engine.local.console.desk import Desk
from engine.local.console.ledger_source import LedgerSource
from engine.local.inbox.pages import add_pages
from engine.local.inbox.site import Site
from engine.local.web.pages import Watchers
from engine.local.web.server import local_application, serve_locally
from engine.operations.stack import DeployedStack
from engine.types import Clock

REFRESH_SECONDS: Final = 30.0
"""How often open pages look again. A look at the status page asks CloudWatch for some 20 metrics."""

_TOKEN_BYTES: Final = 24


@asynccontextmanager
async def serve_console(
    stack: DeployedStack, clock: Clock, *, port: int = 0, refresh_seconds: float = REFRESH_SECONDS
) -> AsyncIterator[str]:
    """Serve until the block ends; yields the address, with the token that every request must carry.

    Raises OSError where the port is taken.
    """
    base = f"/{secrets.token_urlsafe(_TOKEN_BYTES)}"
    watchers = Watchers()
    desk = Desk(stack, watchers, clock)
    pages = web.Application()
    site = Site(source=LedgerSource(stack, clock), watchers=watchers, part="console", base=base, desk=desk)
    add_pages(pages, site)
    app = local_application()
    app.add_subapp(base, pages)
    app.router.add_route("*", "/{path:.*}", _without_token)
    looking = asyncio.create_task(_look_again(watchers, refresh_seconds))
    try:
        async with serve_locally(app, port) as url:
            yield f"{url}{base}/"
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        await desk.close()


async def _without_token(_: web.Request) -> web.Response:
    raise web.HTTPForbidden(text="This address lacks the token that `sesmailengine console` has printed.")


async def _look_again(watchers: Watchers, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        watchers.wake()
