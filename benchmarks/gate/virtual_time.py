"""An asyncio loop on which time passes only when everything waits: a minute takes no longer than its work."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class _Leap(selectors.BaseSelector):
    """Instead of waiting, moves the clock on to the next timer."""

    def __init__(self) -> None:
        self.now = 0.0
        self._inner = selectors.SelectSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits, and for nothing: the simulation is stuck")
        self.now += max(timeout, 0)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._inner.get_map()

    def close(self) -> None:
        self._inner.close()


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`time()` begins at 0 and leaps from timer to timer."""

    def __init__(self) -> None:
        self._leap = _Leap()
        super().__init__(self._leap)

    def time(self) -> float:
        return self._leap.now


def run_virtually(
    work: Coroutine[Any, Any, T], loop_factory: Callable[[], VirtualTimeLoop] = VirtualTimeLoop
) -> T:
    """Run to the end on a loop of its own; ten times as fast or a thousand times, and always the same."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(work)
