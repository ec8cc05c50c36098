"""What lives as long as a Lambda environment: one event loop and one set of clients.

Lambda calls a plain function, and aiobotocore's clients belong to the loop they were opened on; `asyncio.run`
for each invocation would close it under them. See docs/decisions/0001-one-loop-on-its-own-thread.md.
"""

import asyncio
import gc
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from engine.aws.clients import KEEP_ALIVE, Clients

T = TypeVar("T")
Work = TypeVar("Work")

# A context without a clock (a test, a console) gets what the stack gives the sender.
_DEFAULT_SECONDS: Final = 30.0

# Lambda says here how it initialises, and sets the variables that start so anew with an invocation, with a
# restored snapshot or with new credentials, which the SDK looks up by itself; none of them is a setting.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
_INITIALIZATION: Final = "AWS_LAMBDA_INITIALIZATION_TYPE"
_SET_BY_LAMBDA: Final = (
    "_",
    "AWS_LAMBDA_",
    "AWS_CONTAINER_",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)


class LambdaContext(Protocol):
    """What the engine reads of Lambda's context object."""

    def get_remaining_time_in_millis(self) -> int: ...


def seconds_left(context: LambdaContext | None) -> Callable[[], float]:
    """A countdown for one invocation."""
    clock = getattr(context, "get_remaining_time_in_millis", None)
    if clock and isinstance(clock(), int | float):  # what the context of somebody's test answers is no time
        return lambda: clock() / 1000
    ends = time.monotonic() + _DEFAULT_SECONDS
    return lambda: ends - time.monotonic()


@dataclass(frozen=True)
class _Opened(Generic[Work]):
    """What is open, for which variables, and what closes it."""

    variables: Mapping[str, str]
    loop: asyncio.Runner
    clients: Clients
    work: Work
    closing: ExitStack


class Environment(Generic[Work]):
    """A Lambda environment: opens its work once and runs every invocation with it, one after the other.

    `open_work` makes it of the variables and of clients that the environment closes. Where the variables have
    changed since the last invocation, as between calls from a console or a test, it is opened anew.
    Both clocks are in seconds.
    """

    def __init__(
        self,
        open_work: Callable[[Mapping[str, str], Clients], Coroutine[Any, Any, Work]],
        wall_clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_work = open_work
        self._wall_clock = wall_clock
        self._monotonic = monotonic
        # One thread: whoever calls, on whatever thread and with a loop running or not, waits for their turn.
        self._thread = ThreadPoolExecutor(1, "engine-loop")
        self._opened: _Opened[Work] | None = None
        self._paused_at = wall_clock(), monotonic()

    def prepare(self) -> None:
        """In Lambda, open now, during init: no email waits for it, and a snapshot (SnapStart) holds it.

        What is wrong with the variables, the first invocation tells.
        """
        if _INITIALIZATION in os.environ:
            with suppress(Exception):
                self._thread.submit(self._open).result()
            # What init has made stays, and searches for garbage pass it over: a tenth of a first invocation.
            gc.freeze()

    def invoke(self, use: Callable[[Work], Coroutine[Any, Any, T]]) -> T:
        """Run one invocation to its end."""
        return self._thread.submit(self._invoke, use).result()

    def close(self) -> None:
        """Close the clients and the loop, once no invocation is under way."""
        self._thread.submit(self._close).result()

    def _invoke(self, use: Callable[[Work], Coroutine[Any, Any, T]]) -> T:
        opened = self._open()
        wall, monotonic = self._paused_at
        # A freeze may have killed idle connections. aiohttp drops them by the monotonic clock, which a freeze
        # may have stopped.
        if self._wall_clock() - wall > KEEP_ALIVE >= self._monotonic() - monotonic:
            opened.loop.run(opened.clients.close_connections())
        try:
            return opened.loop.run(use(opened.work))
        finally:
            self._paused_at = self._wall_clock(), self._monotonic()

    def _open(self) -> _Opened[Work]:
        variables = {name: value for name, value in os.environ.items() if not name.startswith(_SET_BY_LAMBDA)}
        if self._opened and self._opened.variables == variables:
            return self._opened
        self._close()
        with ExitStack() as stack:
            loop = stack.enter_context(asyncio.Runner())
            clients = Clients()
            stack.callback(lambda: loop.run(clients.close()))
            work = loop.run(self._open_work(variables, clients))
            self._opened = _Opened(variables, loop, clients, work, stack.pop_all())
        return self._opened

    def _close(self) -> None:
        opened, self._opened = self._opened, None
        if opened:
            opened.closing.close()
