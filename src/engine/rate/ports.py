"""What the gate needs of AWS. Everything may raise `ServiceUnavailable`."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec import Struct

from engine.rate.gcra import Availability, RateState, SlotRequest

# The account's rate as SES says, in recipients a second; 0 where its answer doesn't say.
AskSendRate = Callable[[], Awaitable[float]]


class Answer(Struct, frozen=True):
    """`granted`: whether the stretch was handed out. `state`: after that, or as it stands in the way."""

    granted: bool
    state: RateState


class RateTable(Protocol):
    """The one item that all environments share, with its conditional writes."""

    async def read(self) -> RateState: ...

    async def claim(self, request: SlotRequest, available: Availability) -> Answer:
        """Hand out the stretch if the state is to the request what was thought: IDLE or OPEN."""
        ...

    async def decrease(self, factor: float, now: int, seen: int) -> RateState:
        """Keep the rate factor after a throttle, unless there was one since the last that was `seen`."""
        ...

    async def publish_rate(self, rate: float, rate_at: int) -> RateState:
        """Tell the other environments what SES said."""
        ...
