"""Tell the bus what an operator did."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.aws.event_bus import StatusBus
from engine.errors import EngineError, ServiceUnavailable
from engine.operations.sentences import TOLD
from engine.operations.stack import DeployedStack
from engine.schemas.operator_action import OperatorAction
from engine.schemas.times import iso
from engine.types import Clock

LONGEST_REASON: Final = 500
"""Characters of an act's `because`; at least one."""


class NotToldError(EngineError):
    """The act is done, and the bus did not take the event about it."""


@dataclass
class ActRecord:
    """What an act has changed by now, or may have. `scope`: None while nothing is to be told."""

    scope: str | None


@asynccontextmanager
async def telling(
    stack: DeployedStack, action: str, because: str | None, clock: Clock, *, scope: str | None = None
) -> AsyncIterator[ActRecord]:
    """Tell of an act at its end, also where it is broken off: what was changed until then stays changed.

    Raises NotToldError, but for an act that was broken off: why it was matters more.
    """
    record = ActRecord(scope)
    try:
        yield record
    except BaseException:  # Ctrl-C too
        if record.scope is not None:
            with suppress(*TOLD):
                await tell(stack, action, record.scope, because, clock())
        raise
    if record.scope is not None:
        await tell(stack, action, record.scope, because, clock())


async def tell(stack: DeployedStack, action: str, scope: str, because: str | None, now: datetime) -> None:
    """Publish Operator Action, after an act of one step. `because`: None where no reason was asked for.

    Raises NotToldError.
    """
    told = OperatorAction(
        action=action, scope=scope, because=because or "", by=await stack.operator(), timestamp=iso(now)
    )
    try:
        await StatusBus(await stack.client("events"), stack.event_bus).tell(told)
    except ServiceUnavailable as error:
        raise NotToldError(f"Done ({action} {scope}), but the bus did not take the news: {error}") from error
