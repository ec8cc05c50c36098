"""The world on one core and the function on another, as AWS is another machine than Lambda's.

A scheduler likes to wake the one that is called on the core of the one that calls. Then AWS stands still
until the function has nothing more to do, which no service does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psutil


def _cores() -> list[int]:
    own = psutil.Process()
    return own.cpu_affinity() or [] if hasattr(own, "cpu_affinity") else []  # macOS lets nobody choose


# What this process was given, before it chooses.
_ALL: Final = _cores()


@contextmanager
def on_the_worlds_core() -> Iterator[None]:
    """Keep this process to the first core for a block, where there is a choice."""
    _keep(psutil.Process(), _ALL[:1])
    try:
        yield
    finally:
        _keep(psutil.Process(), _ALL)


def on_the_functions_core(process: psutil.Process) -> None:
    """Keep a process to the last core: a Lambda environment of up to 1,769 MB has no more than one.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
    """
    _keep(process, _ALL[-1:])


def on_any_core(process: psutil.Process) -> None:
    """Undo what a process has from the one that began it."""
    _keep(process, _ALL)


def _keep(process: psutil.Process, cores: list[int]) -> None:
    if len(_ALL) > 1:
        process.cpu_affinity(cores)
