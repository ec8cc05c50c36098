"""The rate at which this account may send, and a pacer that keeps to it within one process."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from engine.aws.errors import service_errors
from engine.domain.deferral import Lane
from engine.domain.failures import ServiceUnavailable

if TYPE_CHECKING:
    from types_aiobotocore_sesv2 import SESV2Client

Monotonic = Callable[[], float]

_REMEMBERED: Final = 300.0  # seconds; SES raises a rate by itself from time to time
# What every account out of the sandbox has had; kept to while SES can't be asked.
_CAUTIOUS_RATE: Final = 14.0


class SendRate:
    """Recipients a second: the configured one, or what SES says (GetAccount), remembered for five minutes."""

    def __init__(self, client: "SESV2Client", configured: float, monotonic: Monotonic) -> None:
        self._client = client
        self._configured = configured
        self._monotonic = monotonic
        self._known = _CAUTIOUS_RATE
        self._ask_after = float("-inf")

    async def __call__(self) -> float:
        if self._configured:
            return self._configured
        now = self._monotonic()
        if now >= self._ask_after:
            self._ask_after = now + _REMEMBERED  # at once, so that only one of many asks
            try:
                self._known = await self._ask()
            except ServiceUnavailable:
                self._ask_after = now + _REMEMBERED / 10
        return self._known

    async def _ask(self) -> float:
        with service_errors("SES GetAccount"):
            account = await self._client.get_account()
        return account.get("SendQuota", {}).get("MaxSendRate") or _CAUTIOUS_RATE


class ProcessPacer:
    """Implements `RateGate` for one process: spaces sends evenly and slows down when SES throttles.

    After a throttle it goes on at half the rate and takes back a tenth of it with every second.
    """

    def __init__(self, rate: Callable[[], Awaitable[float]], monotonic: Monotonic) -> None:
        self._rate = rate
        self._monotonic = monotonic
        self._next_free = float("-inf")
        self._throttled_at = float("-inf")

    async def reserve(self, recipients: int, lane: Lane) -> float:  # noqa: ARG002 - one process has no lanes to balance
        rate = await self._rate()
        now = self._monotonic()
        recovered = min(1.0, 0.5 + 0.1 * (now - self._throttled_at))
        start = max(self._next_free, now)
        self._next_free = start + recipients / (rate * recovered)
        return max(0.0, start - now)

    async def throttled(self) -> None:
        self._throttled_at = self._monotonic()
