"""Environments that stall: for seconds their host runs none of their tasks, and their timers run late."""

import asyncio
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any, Final, TypeVarTuple

from benchmarks.gate.virtual_time import VirtualTimeLoop

Ts = TypeVarTuple("Ts")

# What no environment does: the network, AWS's services, the hosts themselves.
OUTSIDE: Final = Context()


class Stall:
    """One environment's: while it is on, what the environment was about to run is kept, in order."""

    def __init__(self) -> None:
        self.is_on = False
        self._kept: list[tuple[Callable[[], None], Context | None]] = []

    def begin(self) -> None:
        self.is_on = True

    def keep(self, run: Callable[[], None], context: Context | None) -> None:
        self._kept.append((run, context))

    def end(self) -> None:
        self.is_on = False
        kept, self._kept = self._kept, []
        for run, context in kept:
            asyncio.get_running_loop().call_soon(run, context=context)


# Of the environment whose task or timer this is; set only where the environment is going to stall.
STALL: Final[ContextVar[Stall | None]] = ContextVar("STALL", default=None)


class StallingLoop(VirtualTimeLoop):
    """Asks before every callback whether the environment that it belongs to stalls."""

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        stall = _stall_in(context)
        if stall is None:
            return super().call_soon(callback, *args, context=context)
        late = _Late(stall, callback, args, context)
        late.handle = super().call_soon(late, context=context)
        return late.handle

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        stall = _stall_in(context)
        if stall is None:
            return super().call_at(when, callback, *args, context=context)
        late = _Late(stall, callback, args, context)
        late.handle = handle = super().call_at(when, late, context=context)
        return handle


def _stall_in(context: Context | None) -> Stall | None:
    return STALL.get() if context is None else context.get(STALL)


class _Late:
    """A callback that waits for its environment's stall to end; cancelling its handle still stops it."""

    def __init__(
        self, stall: Stall, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> None:
        self._stall = stall
        self._callback = callback
        self._args = args
        self._context = context
        self.handle: asyncio.Handle

    def __call__(self) -> None:
        if self._stall.is_on:
            self._stall.keep(self, self._context)
        elif not self.handle.cancelled():
            self._callback(*self._args)
