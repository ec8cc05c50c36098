"""The AWS emulator for a module's tests: what moto lacks, or has wrong, is tested against it."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

from engine.local.emulator import Emulator, running_emulator


@contextmanager
def emulator(folder: Path) -> Iterator[Emulator]:
    """A running emulator on a loop of its own, for tests that each have another; `folder` is emptied."""
    stack = AsyncExitStack()
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as loop:
        try:
            yield loop.run(stack.enter_async_context(running_emulator(folder, region="eu-west-1")))
        finally:
            loop.run(stack.aclose())
