"""The rate at which this account may send: configured, or asked of SES."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from engine.aws.error_codes import service_errors
from engine.errors import ServiceUnavailable

if TYPE_CHECKING:
    from types_aiobotocore_sesv2 import SESV2Client

REMEMBERED: Final = 300.0  # seconds at least; SES raises a rate by itself from time to time
ASKED_AGAIN: Final = 30.0  # seconds after a question that found no answer
_PATIENCE: Final = 1.0  # seconds; mail waits meanwhile
# What every account out of the sandbox has had; kept to while neither SES nor another environment says more.
CAUTIOUS_RATE: Final = 14.0


# The system's dice: environments restored from one snapshot would all throw the same with Python's own.
spread: Final[Callable[[float, float], float]] = random.SystemRandom().uniform


class SendRate:
    """Recipients a second: the configured one, or what SES says (GetAccount), remembered for five minutes.

    SES answers GetAccount once a second at most, for the whole account
    (https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetAccount.html). So environments tell each
    other through the State table: the first one to forget asks, the others `learn`; `vary` (a number between
    two others) keeps them from forgetting at once. `clock` is in epoch seconds.
    """

    def __init__(
        self,
        client: "SESV2Client",
        configured: float,
        clock: Callable[[], float],
        vary: Callable[[float, float], float] = spread,
    ) -> None:
        self._client = client
        self._configured = configured
        self._clock = clock
        self._vary = vary
        self._ask_after = float("-inf")
        self.told = 0.0  # 0: nobody asked
        self.told_at = 0

    async def __call__(self) -> float:
        """Never raises: what was told last holds on while SES does not answer."""
        if self._configured:
            return self._configured
        now = self._clock()
        if now >= self._ask_after:
            self._ask_after = now + ASKED_AGAIN  # at once, so that only one of many asks
            with suppress(ServiceUnavailable):
                self.learn(await self._ask(), int(now))
        return self.told or CAUTIOUS_RATE

    def learn(self, rate: float, told_at: int) -> None:
        """Take over what SES told this or another environment, where it is news."""
        if rate > 0 and told_at > self.told_at and not self._configured:
            self.told, self.told_at = rate, told_at
            self._ask_after = told_at + REMEMBERED * self._vary(1.0, 1.2)

    async def _ask(self) -> float:
        with service_errors("SES GetAccount"):
            async with asyncio.timeout(_PATIENCE):
                account = await self._client.get_account()
        return account.get("SendQuota", {}).get("MaxSendRate") or CAUTIOUS_RATE
