"""What lives as long as a Lambda environment: one event loop and one set of clients, opened lazily.

Lambda calls a plain function, and aiobotocore's clients belong to the loop they were made on; `asyncio.run`
for each invocation would close it under them. So a loop runs on a thread of its own, and each invocation
hands it one coroutine.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, Generic, Protocol, TypeVar

from aiobotocore.config import AioConfig

from engine.aws.connections import SharedTrustSession, trust
from engine.aws.quick_calls import quicken
from engine.aws.sdk_session import quick_session
from engine.bootstrap.cold_start import is_lambda

T = TypeVar("T")
Work = TypeVar("Work", bound="Closable")

# A context without a clock (a test, a console) gets what the stack gives the sender.
_DEFAULT_SECONDS: Final = 30.0


def now() -> datetime:
    return datetime.now(UTC)


class LambdaContext(Protocol):
    """What the engine reads of Lambda's context object."""

    def get_remaining_time_in_millis(self) -> int: ...


def seconds_left(context: LambdaContext | None) -> Callable[[], float]:
    """A countdown for one invocation."""
    if context is None or not hasattr(context, "get_remaining_time_in_millis"):
        ends = time.monotonic() + _DEFAULT_SECONDS
        return lambda: ends - time.monotonic()
    return lambda: context.get_remaining_time_in_millis() / 1000


class LoopThread:
    """An event loop that runs while the process lives."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="engine-loop", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@cache
def begin_to_trust() -> threading.Thread:
    """Read the certificates that the clients trust, beside whatever is done meanwhile.

    OpenSSL does it without Python's lock, so that a second core takes it off the cold start. A process that
    ends waits for it, as OpenSSL's memory would go from under it.
    """
    thread = threading.Thread(target=trust, name="engine-trust", daemon=False)
    thread.start()
    return thread


class Clients:
    """AWS clients on one loop; whoever holds it closes it."""

    def __init__(self) -> None:
        self._trusting = begin_to_trust()
        self._stack = AsyncExitStack()
        self._session, core = quick_session()
        quicken(core)

    async def open(self, service: str, config: AioConfig) -> Any:
        client = await self._stack.enter_async_context(self._session.client(service, config=config))
        self._trusting.join()  # before any client makes its first call; a failure is told by that call
        return client

    async def close(self) -> None:
        await self._stack.aclose()


class Closable(Protocol):
    """What an environment works with: it opened its clients and closes them."""

    async def close(self) -> None: ...


class Environment(Generic[Work]):
    """A Lambda environment. Opens its work at the first invocation, and anew when its variables have changed.

    In Lambda they never change; a console or a test changes them between calls and expects to be heard. A
    problem with the variables is found before anything else is done, at the first invocation.
    """

    def __init__(self, open_work: Callable[[Mapping[str, str]], Coroutine[Any, Any, Work]]) -> None:
        self._open_work = open_work
        self._idle = threading.Condition()
        self._running = 0
        self._loop: LoopThread | None = None
        self._work: Work | None = None
        self._variables: dict[str, str] = {}

    def prepare(self) -> None:
        """In Lambda, open now, while it initialises: no email waits for it, and a snapshot holds it.

        Clients open their sockets at their first call, so none crosses a snapshot. What is wrong with the
        variables, the first invocation tells.
        """
        if is_lambda():
            with self._idle, suppress(Exception):
                self._ready()

    def invoke(self, use: Callable[[Work], Coroutine[Any, Any, T]]) -> T:
        """Run one invocation to its end on the environment's loop."""
        with self._idle:
            loop, work = self._ready()
            self._running += 1
        try:
            return loop.run(use(work))
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def close(self) -> None:
        """Close the clients and end the loop, once the invocations under way are over."""
        with self._idle:
            self._idle.wait_for(lambda: not self._running)
            self._shut()

    def _ready(self) -> tuple[LoopThread, Work]:
        variables = {name: value for name, value in os.environ.items() if not name.startswith(_LAMBDAS_OWN)}
        # A loop that stops under another thread's invocation would leave that thread waiting for good.
        self._idle.wait_for(lambda: variables == self._variables or not self._running)
        if self._loop and self._work and variables == self._variables:
            return self._loop, self._work
        self._shut()
        loop = LoopThread()
        try:
            work = loop.run(self._open_work(variables))
        except BaseException:
            loop.close()
            raise
        self._loop, self._work, self._variables = loop, work, variables
        return loop, work

    def _shut(self) -> None:
        if self._loop and self._work:
            self._loop.run(self._work.close())
            self._loop.close()
        self._loop = self._work = None


# Lambda sets these anew with an invocation, with a restored snapshot or with new credentials, which the SDK
# looks up by itself; none of them is a setting.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
_LAMBDAS_OWN: Final = (
    "_",
    "AWS_LAMBDA_",
    "AWS_CONTAINER_",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)


def _config(*, read_timeout: float, attempts: int) -> AioConfig:
    """What all clients have in common. Made whole each time: `AioConfig.merge` forgets the session's class.

    Parameter validation costs a tenth of a call; shapes are made in one place each and tested. botocore's own
    user agent, put together twice a call, costs another tenth.
    """
    return AioConfig(
        http_session_cls=SharedTrustSession,
        user_agent="sesmailengine",
        connect_timeout=2,
        read_timeout=read_timeout,
        max_pool_connections=100,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        parameter_validation=False,
    )


CONFIG: Final = _config(read_timeout=5, attempts=3)
# SendEmail has no idempotency token: a second try by the SDK is a second email.
SES_CONFIG: Final = _config(read_timeout=10, attempts=1)
