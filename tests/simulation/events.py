"""EventBridge: rules that deliver at least once, in any order; hand-overs that fail, then a rule's DLQ."""

import json
from collections.abc import Callable
from typing import Any, Final

from tests.simulation.connection import Connection
from tests.simulation.sqs import Queue
from tests.simulation.world import World

from engine.schemas.status import REQUEST_DETAIL_TYPE

_HAND_OVERS: Final = 4  # the rule's retry_attempts, and the first
BUS: Final = "prove-EmailBus"


class EventBridge:
    """The bus with its two rules. `told` hears of every event of the engine's own that was taken."""

    def __init__(
        self,
        world: World,
        *,
        direct: Callable[[Any], None],
        bulk: Queue,
        undelivered: Queue,
        told: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._world = world
        self._direct = direct
        self._bulk = bulk
        self._undelivered = undelivered
        self._told = told

    def publish(self, source: str, detail_type: str, detail: Any, event_id: str) -> None:
        """Take one event, and deliver it."""
        world, faults = self._world, self._world.plan.faults
        world.usage["events"] += 1
        if detail_type != REQUEST_DETAIL_TYPE:
            self._told(detail_type, detail)
            return
        event = {
            "version": "0",
            "id": event_id,
            "detail-type": detail_type,
            "source": source,
            "account": "123456789012",
            "time": world.now().isoformat(timespec="seconds").replace("+00:00", "Z"),
            "region": "eu-west-1",
            "resources": [],
            "detail": detail,
        }
        for _ in range(2 if world.chance(faults.duplicated) else 1):
            slow = world.dice.uniform(0.5, 5) if world.chance(faults.reordered) else 0
            world.later(0.05 + 0.2 * world.dice.random() + slow, self._hand_over, event, 1)

    def _hand_over(self, event: dict[str, Any], attempt: int) -> None:
        world = self._world
        if world.chance(world.plan.faults.undelivered):
            if attempt == _HAND_OVERS:
                self._undelivered.send(json.dumps(event))
            else:
                world.later(10.0 * attempt, self._hand_over, event, attempt + 1)
        elif isinstance(event["detail"], dict) and event["detail"].get("priority") == "bulk":
            self._bulk.send(json.dumps(event))
        else:
            self._direct(event)


class EventsClient:
    """One environment's client."""

    def __init__(self, bus: EventBridge, connection: Connection, world: World) -> None:
        self._bus = bus
        self._connection = connection
        self._world = world

    async def describe_event_bus(self, Name: str) -> Any:
        arn = f"arn:aws:events:eu-west-1:123456789012:event-bus/{Name}"
        return await self._connection.call("DescribeEventBus", lambda: {"Arn": arn})

    async def put_events(self, Entries: Any) -> Any:
        def do() -> dict[str, Any]:
            answers = []
            for entry in Entries:
                if self._world.chance(self._world.plan.faults.unprocessed):
                    answers.append({"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"})
                    continue
                event_id = f"event-{self._world.number()}"
                self._bus.publish(entry["Source"], entry["DetailType"], json.loads(entry["Detail"]), event_id)
                answers.append({"EventId": event_id})
            failed = sum("ErrorCode" in answer for answer in answers)
            return {"FailedEntryCount": failed, "Entries": answers}

        return await self._connection.call("PutEvents", do)
