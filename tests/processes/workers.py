"""The functions' environments, each a process that the emulator has started: found, and killed."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import psutil

_PROGRAM: Final = "_worker.py"  # what MiniStack runs a Python function with


def workers() -> Iterator[psutil.Process]:
    """Only descendants of this process: nothing that somebody else has started."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if any(word.endswith(_PROGRAM) for word in process.cmdline()):
                yield process


def kill_at(port: int) -> bool:
    """Kill the environment that holds the local end of a connection; whether there was one."""
    for process in workers():
        with suppress(psutil.Error):
            if any(one.laddr.port == port for one in process.net_connections("tcp")):
                os.kill(process.pid, signal.SIGKILL)
                return True
    return False


def kill_all() -> int:
    """Kill every environment at once, as when their machine dies; how many there were.

    But for those that are still starting and have no connection: where a start fails, MiniStack ends all
    environments of the function, those that start meanwhile included, and may never get out of that.
    """
    killed = 0
    for process in workers():
        with suppress(psutil.Error, ProcessLookupError):
            if process.net_connections("tcp"):
                os.kill(process.pid, signal.SIGKILL)
                killed += 1
    return killed
