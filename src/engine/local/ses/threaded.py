"""The simulator in a thread of its own, for tests of code that runs an event loop itself."""

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from engine.local.ses.account import Account
from engine.local.ses.faults import Faults
from engine.local.ses.message import Message
from engine.local.ses.outgoing import SimulatedEvent
from engine.local.ses.server import serve
from engine.local.ses.simulator import Simulator

_T = TypeVar("_T")

_UNTHROTTLED = Account(max_send_rate=100_000)


class ThreadedSimulator:
    """`with ThreadedSimulator() as ses:` gives a running SES at `ses.url`.

    Every event of a message is in `ses.events` before its SendEmail call is answered.

    Without an account nothing is throttled: a test that is not about rates must not depend on the clock.
    """

    def __init__(self, account: Account | None = None, *, port: int = 0) -> None:
        self.simulator = Simulator(account or _UNTHROTTLED)
        self.url = ""
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ses-simulator", daemon=True)
        self._stack = AsyncExitStack()

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.url = self.call(self._start())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.call(self._stack.aclose())
        finally:
            self._stop()

    @property
    def messages(self) -> tuple[Message, ...]:
        """Accepted messages, oldest first."""
        return self.simulator.messages

    @property
    def events(self) -> tuple[SimulatedEvent, ...]:
        """Published events, in the order of publishing."""
        return self.simulator.events

    @property
    def held(self) -> tuple[SimulatedEvent, ...]:
        """Events that wait for `release`."""
        return self.simulator.held

    @property
    def faults(self) -> Faults:
        """The fault plan: `ses.faults.set(throttle_next=3)`."""
        return self.simulator.faults

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variable that directs an AWS SDK here."""
        return {"AWS_ENDPOINT_URL_SESV2": self.url}

    def report(self, message_id: str, outcome: str) -> None:
        """Make SES report an outcome of a message."""
        self.call(self.simulator.report(message_id, outcome))

    def release(self, count: int | None = None, *, newest_first: bool = False) -> int:
        """Publish events that were held back; the number that went out."""
        return self.call(self.simulator.release(count, newest_first=newest_first))

    def configure(self, **changes: Any) -> None:
        """Change settings of the account."""
        self.simulator.configure(**changes)

    def forget(self) -> None:
        """Drop all messages, events and faults."""
        self.simulator.forget()

    def call(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the simulator's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _start(self) -> str:
        return await self._stack.enter_async_context(serve(self.simulator, port=self._port))

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
