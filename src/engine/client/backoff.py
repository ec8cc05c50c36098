"""Exponential backoff with jitter, as a value."""

from collections.abc import Iterator

from msgspec import Struct


class Backoff(Struct, frozen=True):
    """Up to `tries` tries, with waits of `first` seconds, doubling to `longest`.

    Each wait is drawn from its upper half, so that calls that failed together are not retried together.
    """

    first: float = 0.2
    longest: float = 20.0
    tries: int = 12

    def waits(self) -> Iterator[tuple[float, float]]:
        """Shortest and longest wait before each further try, in seconds."""
        for number in range(self.tries - 1):
            most = min(self.first * 2.0 ** min(number, 30), self.longest)
            yield most / 2, most
