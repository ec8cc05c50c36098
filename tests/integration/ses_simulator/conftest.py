"""An account that may send a hundred emails a second, on a clock that tests move, and a client of it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.ses_requests import ManualClock, served

from engine.local.ses.account import Account
from engine.local.ses.simulator import Simulator


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ses(clock: ManualClock) -> Simulator:
    return Simulator(Account(max_send_rate=100), now=clock)


@pytest.fixture
async def client(ses: Simulator) -> AsyncIterator[Any]:
    async with served(ses) as client:
        yield client
