"""An emulator without a stack; what deployed functions logged is looked through when all is done."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.support.emulated import emulator
from tests.support.log_watch import LogWatch

from engine.local.environment import FOLDER

# The emulator's own line about what SES published, which AWS writes nowhere.
_OF_THE_EMULATOR: Final = re.compile(r"[\d :-]+ INFO \[sns\] SNS publish to ")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with emulator(tmp_path_factory.mktemp("emulator")) as running:
        yield running.endpoint


@pytest.fixture(scope="session", autouse=True)
def _no_personal_data_in_the_logs_of_functions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The emulator's log holds every line of every worker."""
    began = time.time()
    yield
    logs = [*tmp_path_factory.getbasetemp().rglob("emulator.log"), *FOLDER.rglob("emulator.log")]
    look_through([log for log in logs if log.stat().st_mtime >= began])


def look_through(logs: list[Path]) -> None:
    watch = LogWatch()
    for log in logs:
        for line in log.read_text(errors="replace").splitlines():
            if not _OF_THE_EMULATOR.match(line):
                watch.look(line)
    watch.fail_where_found()
