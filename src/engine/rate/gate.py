"""The rate gate: send slots for the emails that wait, in two lanes.

The first email of a lane claims for all that wait behind it, and who comes while its write is under way is
the next claim's: emails share writes, and none waits for company. Transactional mail claims at once; bulk
mail never so far ahead that a password reset would feel it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from engine.errors import ServiceUnavailable
from engine.rate.gcra import (
    BULK_FLOOR,
    LEAD,
    LONGEST_BULK_STRETCH,
    LOOK_AHEAD,
    SECOND,
    URGENT_LOOK_AHEAD,
    EmissionInterval,
    SlotRequest,
    bulk_due,
    next_start,
    rate_factor,
)
from engine.rate.shared_state import AccountRate, SharedRateState, uniform
from engine.schemas.request import Lane

# An environment that can't reach the table sends transactional mail at this part of the rate: fifty of them
# together keep to it.
BLIND_SHARE: Final = 0.02
LONGEST_WAIT: Final = 60 * SECOND  # nobody waits longer, however much time there is
# Bulk mail polls at a random moment once there is room, so that environments take turns: within this part of
# the look-ahead, or the rate would run dry. The span doubles with every claim that came too late, up to a
# second: many environments at a small rate write a few times a second each at most.
_POLL_WITHIN: Final = 0.8
_MOST_DOUBLINGS: Final = 2


@dataclass(eq=False, slots=True)
class _WaitingEmail:
    """Waits since `began`, until `deadline` at the latest; sent at `send_at` (microseconds)."""

    recipients: int
    began: int
    deadline: int
    send_at: int | None = None


@dataclass
class SharedRateGate:
    """Implements `RateGate`. `vary`: a number between two others, at random."""

    shared: SharedRateState
    account_rate: AccountRate
    bulk_share: float
    vary: Callable[[float, float], float] = uniform
    _waiting: dict[Lane, list[_WaitingEmail]] = field(default_factory=lambda: defaultdict(list), init=False)
    _turns: dict[Lane, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock), init=False)
    _refusals: int = field(default=0, init=False)
    _blind_tat: int = field(default=0, init=False)

    def reserve(self, recipients: int, lane: Lane, within: float) -> Coroutine[Any, Any, float]:
        now = self.shared.now()
        email = _WaitingEmail(recipients, now, now + min(int(within * SECOND), LONGEST_WAIT))
        self._waiting[lane].append(email)
        return self._slot(email, lane)

    async def _slot(self, email: _WaitingEmail, lane: Lane) -> float:
        """The seconds until the email's slot."""
        claim = self._claim_transactional if lane is Lane.TRANSACTIONAL else self._claim_bulk
        try:
            async with self._turns[lane]:
                while email.send_at is None:
                    await claim(email)
        finally:
            self._waiting[lane].remove(email)
        return max(0, email.send_at - self.shared.now()) / SECOND

    async def burst(self) -> int:
        try:
            return (await self._interval()).burst
        except ServiceUnavailable:
            return 1

    async def throttled(self) -> None:
        await self.shared.throttled()

    async def _interval(self) -> EmissionInterval:
        """Raises ServiceUnavailable where the state was never seen."""
        await self.shared.refresh()
        rate = await self.account_rate.current()
        return EmissionInterval(rate, rate_factor(self.shared.state, self.shared.now()))

    async def _claim_transactional(self, first: _WaitingEmail) -> None:
        """Without the table transactional mail goes on, slowly: mail that nobody can wait for is not held."""
        try:
            await self._claim(first, Lane.TRANSACTIONAL)
        except ServiceUnavailable:
            send_at = max(self._blind_tat, self.shared.now())
            if send_at > first.deadline:
                raise
            blind = EmissionInterval(await self.account_rate.current() * BLIND_SHARE)
            self._blind_tat = send_at + first.recipients * blind.slot
            first.send_at = send_at

    async def _claim_bulk(self, first: _WaitingEmail) -> None:
        """Wait until there is room, as far as is known, or claim if there is."""
        now = self.shared.now()
        patience = first.deadline - now
        urgency = 1 - patience / max(first.deadline - first.began, 1)
        look_ahead = int(self.bulk_share * LOOK_AHEAD + min(urgency, 1) * URGENT_LOOK_AHEAD)
        room = bulk_due(self.shared.state, now, look_ahead)
        if self.shared.circuit_open_until > first.deadline:
            raise ServiceUnavailable("DynamoDB (State) does not answer; bulk mail waits for it")
        if room > first.deadline:
            first.send_at = max(room, first.deadline + SECOND)
        elif max(room, self.shared.circuit_open_until) > now:
            span = look_ahead * _POLL_WITHIN * 2**self._refusals
            wait = max(room + self.vary(0, span), self.shared.circuit_open_until) - now
            await asyncio.sleep(min(wait, patience) / SECOND)
        else:
            with suppress(ServiceUnavailable):  # it opens the circuit, which is waited for
                granted = await self._claim(first, Lane.BULK, now + look_ahead)
                self._refusals = 0 if granted else min(self._refusals + 1, _MOST_DOUBLINGS)

    async def _claim(self, first: _WaitingEmail, lane: Lane, bulk_limit: int | None = None) -> bool:
        """Claim one stretch for the first and for those behind it who fit; False where there is none.

        Raises ServiceUnavailable.
        """
        interval = await self._interval()
        now = self.shared.now()
        start = next_start(self.shared.state, now)
        in_time = start + interval.offset(first.recipients)
        if in_time > first.deadline:
            first.send_at = max(in_time, first.deadline + SECOND)
            return False
        longest = LONGEST_WAIT if bulk_limit is None else LONGEST_BULK_STRETCH
        length, latest = 0, first.deadline
        late = max(0, now + LEAD - start)  # the first may leave so much after its slot
        offsets: dict[_WaitingEmail, int] = {}
        for email in self._waiting[lane]:
            offset = length + interval.offset(email.recipients)
            if email.send_at is not None or start + offset > email.deadline:
                continue  # has its answer, or finds in its turn that there is no slot in time
            if offsets and length + interval.length(email.recipients) > longest:
                break
            offsets[email] = offset
            length += interval.length(email.recipients) + late
            late = 0
            latest = min(latest, email.deadline - offset)
        request = SlotRequest(
            now=now,
            length=length,
            latest=latest,
            bulk_limit=bulk_limit,
            next_bulk_tat=now + int(length / BULK_FLOOR),
        )
        began = await self.shared.claim(request)
        if began is None:
            return False
        for email, offset in offsets.items():
            email.send_at = began + offset
        return True
