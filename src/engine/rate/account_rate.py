"""The rate at which this account may send: configured, or what SES said last."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from engine.errors import ServiceUnavailable
from engine.rate.gcra import SECOND
from engine.rate.ports import AskSendRate
from engine.rate.shared_state import SharedRateState
from engine.types import Telemetry

REMEMBERED: Final = 300 * SECOND  # at least; SES raises a rate by itself from time to time
ASKED_AGAIN: Final = 30 * SECOND  # after a question that found no answer
PATIENCE: Final = 1.0  # seconds; mail waits meanwhile
# What every account out of the sandbox has had; kept to while neither SES nor another environment says more.
CAUTIOUS_RATE: Final = 14.0

# The system's dice: environments restored from one snapshot would all throw the same with Python's own.
uniform: Final[Callable[[float, float], float]] = random.SystemRandom().uniform


@dataclass
class AccountRate:
    """Recipients a second: the configured one, or what SES says (GetAccount), remembered for five minutes.

    SES answers GetAccount once a second at most, for the whole account
    (https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetAccount.html). So one environment asks and
    tells the others through the shared state; `vary` (a number between two others, at random) keeps them from
    forgetting all at once. `configured` is 0 for asking SES.
    """

    shared: SharedRateState
    ask: AskSendRate
    telemetry: Telemetry
    configured: float
    vary: Callable[[float, float], float] = uniform
    _ask_after: int = field(default=0, init=False)

    async def current(self) -> float:
        """Never raises: what was told last holds on while SES does not answer."""
        if self.configured:
            return self.configured
        now, told_at = self.shared.now(), self.shared.state.rate_at * SECOND
        if now >= max(self._ask_after, told_at + REMEMBERED * self.vary(1.0, 1.2)):
            self._ask_after = now + ASKED_AGAIN  # at once, so that only one of many asks
            with suppress(ServiceUnavailable, TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    rate = await self.ask()
                if rate:
                    self.telemetry.record("send-rate-told", rate=rate)
                    await self.shared.publish_rate(rate)
        return self.shared.state.rate or CAUTIOUS_RATE
