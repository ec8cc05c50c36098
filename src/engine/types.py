"""The seams that every room shares: time, waiting, and where facts go."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

Clock = Callable[[], datetime]
Sleep = Callable[[float], Awaitable[None]]


class Telemetry(Protocol):
    """Where facts go that are neither effect nor answer: the log and the metrics."""

    def record(self, name: str, **fields: str | float) -> None:
        """Record a fact. Fields never hold an address, template data or any other personal data."""
        ...
