"""All that is logged while the tests run, looked through for what no log may hold.

Whoever it is about, the engine logs ids, codes and counts, so there is no list of exceptions.
"""

import logging
import re
from typing import Final

import pytest

from engine.telemetry import SERVICE

# An address, and what the tests put into templates as data.
_PERSONAL: Final = re.compile(r"[\w.+'-]+@[\w-]+|\b(?:Ada|Byron|Lovelace|countess|S3CRET\w*)\b")
# Servers that stand in for AWS and log the requests that they get, with whatever is in them.
_STAND_INS: Final = ("werkzeug", "moto", "aiohttp.access", "engine.local")
_AROUND: Final = 200  # characters of a line that are shown before and after


class LogWatch(logging.Handler):
    """`found`: the lines that hold personal data, since the last look at them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def look(self, line: str) -> None:
        if match := _PERSONAL.search(line):
            self.found.append(line[max(0, match.start() - _AROUND) : match.end() + _AROUND])

    def emit(self, record: logging.LogRecord) -> None:
        """The message with all fields beside it, and what an exception says."""
        if not record.name.startswith(_STAND_INS):
            self.look(f"{record.getMessage()} {vars(record)}")

    def take(self) -> list[str]:
        """What was found, once."""
        found, self.found = self.found, []
        return found

    def fail_where_found(self) -> None:
        """Fail the test that is running."""
        if found := self.take():
            pytest.fail("Personal data was logged:\n" + "\n".join(found), pytrace=False)


LOG_WATCH: Final = LogWatch()
"""The one of this session: the engine's telemetry, every other logger, and the telemetry of fakes."""


def watch_all() -> None:
    """Every logger, and Powertools' own, which keeps its lines from the root and takes no second handler."""
    logging.getLogger().addHandler(LOG_WATCH)
    logging.getLogger(SERVICE).addFilter(_pass_on)


def _pass_on(record: logging.LogRecord) -> bool:
    LOG_WATCH.emit(record)
    return True
