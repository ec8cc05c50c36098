"""Steps that run at the same time, none of which outlives the others."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def concurrently(steps: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results, in order. A step that raises cancels the others, and ends them before this returns."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(step) for step in steps]
    return [task.result() for task in tasks]
