"""A web server on this machine's loopback address, closed to the pages of other sites."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

STOPPING: Final = web.AppKey("stopping", asyncio.Event)
"""Set when the server shuts down, for handlers that would go on for ever."""

_ADDRESS: Final = "127.0.0.1"
_NAMES: Final = frozenset({_ADDRESS, "localhost", "::1"})
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def local_application(**options: Any) -> web.Application:
    """An application that answers this machine alone. Options go to aiohttp's Application."""
    app = web.Application(middlewares=[refuse_other_sites], **options)
    app[STOPPING] = asyncio.Event()

    async def stop(_: web.Application) -> None:
        app[STOPPING].set()

    app.on_shutdown.append(stop)
    return app


@asynccontextmanager
async def serve_locally(app: web.Application, port: int = 0) -> AsyncIterator[str]:
    """Serve until the block ends; yields the URL. Port 0 takes a free one. Raises OSError if it is taken."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, _ADDRESS, port).start()
        yield f"http://{_ADDRESS}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@web.middleware
async def refuse_other_sites(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse requests that the page of another site makes a browser send.

    Host: a page whose own name was made to resolve to 127.0.0.1 (DNS rebinding) sends that name, and could
    read the answers. Origin: browsers send it with every request of another site that may change something;
    an SDK sends none.
    """
    host = request.headers.get("Host", "")
    if _hostname(f"//{host}") not in _NAMES:
        raise web.HTTPForbidden(text=f"This server answers to 127.0.0.1 and localhost, not to {host!r}.")
    origin = request.headers.get("Origin")
    if request.method not in _SAFE and origin not in {None, f"http://{host}"}:
        raise web.HTTPForbidden(text="Only the pages of this server may do this.")
    return await handler(request)


def _hostname(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
