"""A small HTTP server whose answers come after a set time, precise to a fraction of a millisecond."""

import asyncio
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiohttp import web

T = TypeVar("T")
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

HOST = "127.0.0.1"


class _Connection(web.RequestHandler):
    """A connection that notes when its bytes arrived, not when their turn came."""

    arrived = 0.0  # loop time

    def data_received(self, data: bytes) -> None:
        self.arrived = asyncio.get_running_loop().time()
        super().data_received(data)


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), access_log=None)  # type: ignore[arg-type] # None is no log, as for web.Server


def arrival(request: web.BaseRequest) -> float:
    """Loop time at which a request's last bytes arrived: others that came with it don't make it later."""
    connection = request.protocol
    assert isinstance(connection, _Connection)  # noqa: S101 - of this file's server
    return connection.arrived


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Serve on a free port until the block ends; yields `host:port`."""
    runner = web.ServerRunner(_Server(handler), shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        yield f"{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def wait_until(moment: float) -> None:
    """Sleep until `loop.time()` is `moment`."""
    left = moment - asyncio.get_running_loop().time()
    if left > 0:
        await asyncio.sleep(left)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run on a loop that sleeps to the microsecond.

    asyncio's usual epoll loop rounds every wait up to a full millisecond, which four services in a row would
    turn into five percent of an email's time.
    """
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(work)
