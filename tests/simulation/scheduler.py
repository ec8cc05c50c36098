"""EventBridge Scheduler: one-time schedules that fill a queue, at least once, and are gone shortly after."""

from datetime import UTC, datetime
from typing import Any, Final

from tests.simulation.connection import Connection, client_error
from tests.simulation.sqs import Queue
from tests.simulation.world import BEGIN, World

# https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
PRECISION: Final = 60.0  # seconds after its time, within which a schedule runs
_GONE_WITHIN: Final = 60.0  # seconds after its run; AWS says "shortly after"
_LONGEST_WAIT: Final = 3600.0  # seconds between two tries of a target that is in trouble; AWS tries for a day


class Scheduler:
    """One group of schedules, all of which have the same queue as their target."""

    def __init__(self, world: World, queue: Queue) -> None:
        self._world = world
        self._queue = queue
        self.schedules: dict[str, dict[str, Any]] = {}

    def create(self, request: dict[str, Any]) -> None:
        world, name = self._world, request["Name"]
        if name in self.schedules:
            raise client_error("ConflictException", "CreateSchedule", status=409)
        assert request["Target"]["Arn"].endswith(f":{self._queue.name}")
        assert (request["ActionAfterCompletion"], request["ScheduleExpressionTimezone"]) == ("DELETE", "UTC")
        at = datetime.strptime(request["ScheduleExpression"], "at(%Y-%m-%dT%H:%M:%S)").replace(tzinfo=UTC)
        self.schedules[name] = request
        wait = (at - BEGIN).total_seconds() - world.time() + world.dice.uniform(0, PRECISION)
        world.later(max(0, wait), self._run, request, 1)

    def _run(self, request: dict[str, Any], attempt: int) -> None:
        world, name = self._world, request["Name"]
        if attempt == 1 and self.schedules.get(name) is not request:
            return  # deleted before it was due
        if world.chance(world.plan.faults.undelivered):
            world.later(min(2.0**attempt, _LONGEST_WAIT), self._run, request, attempt + 1)
            return
        world.log(name, "EventBridge Scheduler hands it over")
        self._queue.send(request["Target"]["Input"])
        if world.chance(world.plan.faults.duplicated):
            world.later(world.dice.uniform(0, 300), self._queue.send, request["Target"]["Input"])
        world.later(world.dice.uniform(0, _GONE_WITHIN), self._forget, request)

    def _forget(self, request: dict[str, Any]) -> None:
        if self.schedules.get(request["Name"]) is request:
            del self.schedules[request["Name"]]

    def named(self, name: str, operation: str) -> dict[str, Any]:
        if name not in self.schedules:
            raise client_error("ResourceNotFoundException", operation, status=404)
        return self.schedules[name]


class SchedulerClient:
    """One application's client. The SDK's own tries carry one token, so Scheduler does a call once."""

    def __init__(self, scheduler: Scheduler, connection: Connection) -> None:
        self._scheduler = scheduler
        self._connection = connection

    async def create_schedule(self, **request: Any) -> Any:
        done: list[dict[str, str]] = []

        def do() -> dict[str, str]:
            if not done:
                self._scheduler.create(request)
                done.append({"ScheduleArn": request["Name"]})
            return done[0]

        return await self._connection.call("CreateSchedule", do)

    async def get_schedule(self, Name: str, GroupName: str) -> Any:  # noqa: ARG002 - there is one
        return await self._connection.call("GetSchedule", lambda: self._scheduler.named(Name, "GetSchedule"))

    async def delete_schedule(self, Name: str, GroupName: str) -> Any:  # noqa: ARG002 - as above
        done: list[dict[str, str]] = []

        def do() -> dict[str, str]:
            if not done:
                self._scheduler.named(Name, "DeleteSchedule")
                del self._scheduler.schedules[Name]
                done.append({})
            return done[0]

        return await self._connection.call("DeleteSchedule", do)
