"""Tell the bus what an operator did."""

from datetime import datetime

import msgspec

from engine.aws.event_bus import put_events
from engine.errors import EngineError
from engine.operations.stack import DeployedStack
from engine.schemas.operator_action import OPERATOR_ACTION_DETAIL_TYPE, OperatorAction
from engine.schemas.status import STATUS_EVENT_SOURCE
from engine.schemas.times import iso


class NotToldError(EngineError):
    """The act is done, and the bus did not take the event about it."""


async def tell(stack: DeployedStack, action: str, scope: str, because: str, now: datetime) -> None:
    """Publish Operator Action; the last step of an act. `because`: empty where no reason was asked for.

    Raises NotToldError.
    """
    detail = OperatorAction(
        action=action, scope=scope, because=because, by=await stack.operator(), timestamp=iso(now)
    )
    left = await put_events(
        await stack.client("events"),
        [
            {
                "EventBusName": stack.event_bus,
                "Source": STATUS_EVENT_SOURCE,
                "DetailType": OPERATOR_ACTION_DETAIL_TYPE,
                "Detail": msgspec.json.encode(detail).decode(),
            }
        ],
    )
    if left:
        raise NotToldError(
            f"Done ({action} {scope}), but {stack.event_bus} did not take the event that says so:"
            f" {left[0].code}: {left[0].message}"
        )
