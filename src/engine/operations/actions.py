"""Tell the bus what an operator did."""

from datetime import datetime

from engine.aws.event_bus import StatusBus
from engine.errors import EngineError, ServiceUnavailable
from engine.operations.stack import DeployedStack
from engine.schemas.operator_action import OperatorAction
from engine.schemas.times import iso


class NotToldError(EngineError):
    """The act is done, and the bus did not take the event about it."""


async def tell(stack: DeployedStack, action: str, scope: str, because: str | None, now: datetime) -> None:
    """Publish Operator Action; the last step of an act. `because`: None where no reason was asked for.

    Raises NotToldError.
    """
    told = OperatorAction(
        action=action, scope=scope, because=because or "", by=await stack.operator(), timestamp=iso(now)
    )
    try:
        await StatusBus(await stack.client("events"), stack.event_bus).tell(told)
    except ServiceUnavailable as error:
        raise NotToldError(f"Done ({action} {scope}), but the bus did not take the news: {error}") from error
