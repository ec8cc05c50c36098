"""Brakes besides the first look: the engine's own on the bulk lane, and the look right before SES."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from engine.errors import ServiceUnavailable, unwrap
from engine.schemas.operator_action import OperatorAction
from engine.schemas.request import Lane
from engine.schemas.rows import BrakeRow
from engine.schemas.times import iso
from engine.sending.ports import Dependencies, capture_unavailable
from engine.sending.results import Email
from engine.tracking.brakes import STOP, STOP_BULK, bulk_hold
from engine.tracking.ports import PreSendChecks

# A stop holds within two seconds: a read this old still counts, and the next one gets as long to answer.
FRESH: Final = timedelta(seconds=1)
PATIENCE: Final = 1.0  # seconds


async def hold_bulk(
    deps: Dependencies, checks: PreSendChecks, emails: Sequence[Email]
) -> PreSendChecks | ServiceUnavailable:
    """Stop the bulk lane where the bounce rate and the policy ask for it; the checks with the brake in them.

    Only a bulk email sets the brake: transactional mail goes on, and need not look whether it is there.
    """
    brake = bulk_hold(checks.quota, deps.policy.quota, iso(deps.clock()))
    if brake is None or STOP_BULK in checks.brakes:
        return checks
    if any(email.is_tracked and email.row.lane == Lane.BULK for email in emails):
        is_news = await capture_unavailable(deps.brakes.set_brake(brake))
        if isinstance(is_news, ServiceUnavailable):
            return is_news
        if is_news:
            await _tell_hold(deps, brake)
    return replace(checks, brakes={**checks.brakes, STOP_BULK: brake})


async def _tell_hold(deps: Dependencies, brake: BrakeRow) -> None:
    """The brake is set whether or not the bus takes the news; the log line rings an alarm as well."""
    deps.telemetry.record("bulk-held", problem=brake.because)
    action = OperatorAction(
        action="stop",
        scope=brake.pk.removeprefix(STOP),
        because=brake.because,
        by=brake.by,
        timestamp=brake.since,
    )
    told = await capture_unavailable(deps.operator_actions.tell(action))
    if isinstance(told, ServiceUnavailable):
        deps.telemetry.record("publish-failed", problem=str(told))


@dataclass
class BrakeWatch:
    """The brakes of one batch, read again once what is known is over a second old; emails share a read.

    `read_at`: when the read began that brought `known`.
    """

    deps: Dependencies
    keys: Collection[str]
    known: Mapping[str, BrakeRow] | ServiceUnavailable
    read_at: datetime
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    def is_fresh(self, at: datetime) -> bool:
        return at - self.read_at <= FRESH

    async def look(self) -> Mapping[str, BrakeRow]:
        """Raises ServiceUnavailable, also for those who wait for a read that fails: nobody sends blindly."""
        asked = self.deps.clock()
        async with self._turn:
            if not self.is_fresh(asked):
                began = self.deps.clock()
                self.known = await capture_unavailable(self._read())
                self.read_at = began  # not before: others would take what is known for as fresh as that
            return unwrap(self.known)

    async def _read(self) -> Mapping[str, BrakeRow]:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.deps.pre_send.read_brakes(self.keys)
        except TimeoutError:
            raise ServiceUnavailable(f"DynamoDB (State) told of no brakes in {PATIENCE:g} s") from None
