"""Lambda: environments that start, freeze, run out of time and die; the asynchronous queue before them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from botocore.exceptions import ClientError
from tests.simulation.connection import Connection, client_error
from tests.simulation.s3 import Body
from tests.simulation.sqs import Queue
from tests.simulation.stalls import OUTSIDE, STALL, Stall
from tests.simulation.world import World

# https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
_RETRIES: Final = (60.0, 120.0)  # seconds after a failed try
_OLDEST: Final = 6 * 3600.0  # seconds that an event may wait
SKEW: Final = 30.0  # seconds that a clock may be off, either way, where the rate is not judged
_STALL: Final = (0.5, 20.0)  # seconds
_FORGOTTEN: Final = 600.0  # seconds without an invocation, after which an environment is gone


class Work(Protocol):
    """What an environment runs: one invocation. `seconds_left` is Lambda's own countdown."""

    async def __call__(self, event: Any, seconds_left: Callable[[], float]) -> Any: ...


class FunctionError(Exception):
    """The invocation raised, ran out of time, or its environment died."""


class TooManyRequests(Exception):  # noqa: N818 - Lambda's word
    """No environment is free, and no other may start."""


class Process:
    """One environment. It lives on between invocations, frozen; `dies_in` steps from now it does not.

    `stalls_in` steps from now its host stalls.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        dice = world.dice
        self.rate_skew = dice.uniform(-1, 1) * world.plan.rate_skew
        self.skew = dice.uniform(-SKEW, SKEW)
        self.used_at = 0.0
        self.dead = False
        self.dies_in: int | None = None
        self.stalls_in: int | None = None
        self.stall = Stall()
        self.task: asyncio.Task[Any] | None = None
        # In this invocation: when each address was looked up, and for how many seconds it stalled.
        self.checks: dict[str, float] = {}
        self.stalled = 0.0

    def step(self) -> None:
        if self.dies_in is not None:
            self.dies_in -= 1
            if self.dies_in <= 0:
                self.kill()
        if self.dead:
            raise asyncio.CancelledError
        if self.stalls_in is not None:
            self.stalls_in -= 1
            if self.stalls_in == 0:
                self.stalls()

    def stalls(self) -> None:
        """From the next await on."""
        if not self.dead:
            seconds = self.world.dice.uniform(*_STALL)
            self.stalled += seconds
            self.world.usage["stalls"] += 1
            self.world.log("", f"{self.name} stalls for {seconds:.1f} s")
            self.stall.begin()
            self.world.loop.call_later(seconds, self.stall.end, context=OUTSIDE)

    def kill(self) -> None:
        if not self.dead:
            self.dead = True
            self.world.log("", f"{self.name} dies")
            self.stall.end()
            if self.task:
                self.task.cancel()

    def checked(self, address: str) -> None:
        self.checks[address] = self.world.time()


@dataclass
class Function:
    """`start` makes an environment's work. Seconds, MB; `on_failure`: where events end that failed for good.

    `ended` hears of every invocation: its process, and whether it ended well.
    """

    world: World
    name: str
    timeout: float
    memory: int
    concurrency: int
    start: Callable[[Process], Awaitable[Work]]
    ended: Callable[[Process, bool], None]
    on_failure: Queue | None = None  # of the asynchronous invocation
    busy: int = 0
    _frozen: list[tuple[Process, Work]] = field(default_factory=list)

    async def invoke(self, event: Any) -> Any:
        """Raises FunctionError and TooManyRequests."""
        world = self.world
        if self.busy >= self.concurrency:
            raise TooManyRequests
        self.busy += 1
        try:
            process, work = await self._environment()
            began = world.time()
            process.checks, process.dies_in, process.stalls_in, process.stalled = {}, None, None, 0.0
            context = OUTSIDE.copy()
            if world.chance(world.plan.faults.stalled):
                process.stalls_in = world.dice.randint(1, 60)
                context.run(STALL.set, process.stall)
            if world.chance(world.plan.faults.crashed):
                process.dies_in = world.dice.randint(1, 60)
            ends = began + self.timeout

            def seconds_left() -> float:
                return ends - world.time()

            task = process.task = world.loop.create_task(_run(work, event, seconds_left), context=context)
            timer = world.loop.call_at(ends, process.kill)
            # It may also die or stall while it waits for nothing but time.
            alarms = [
                world.loop.call_later(world.dice.uniform(0, self.timeout / 3), meet)
                for steps, meet in ((process.dies_in, process.kill), (process.stalls_in, process.stalls))
                if steps is not None and steps > 40
            ]
            try:
                answer = await task
            except asyncio.CancelledError:
                if not process.dead:
                    raise
                answer = FunctionError(f"{process.name} died")
            finally:
                timer.cancel()
                for alarm in alarms:
                    alarm.cancel()
                process.stall.end()
            world.usage[f"{self.name} invocations"] += 1
            world.usage[f"{self.name} ms"] += round(1000 * (world.time() - began))
            process.task, process.used_at = None, world.time()
            failed = isinstance(answer, Exception)
            self.ended(process, not failed)
            if not process.dead:
                self._frozen.append((process, work))
            if isinstance(answer, Exception):
                raise FunctionError(f"{type(answer).__name__}: {answer}")
            return answer
        finally:
            self.busy -= 1

    async def _environment(self) -> tuple[Process, Work]:
        while self._frozen:
            process, work = self._frozen.pop()
            if self.world.time() - process.used_at < _FORGOTTEN:
                return process, work
        process = Process(self.world, f"{self.name}-{self.world.number()}")
        self.world.log("", f"{process.name} starts")
        await asyncio.sleep(0.3 + 0.5 * self.world.dice.random())
        try:
            return process, await self.start(process)
        except Exception as error:
            raise FunctionError(f"{process.name} could not start: {type(error).__name__}") from error

    def invoke_later(self, event: Any) -> None:
        """The asynchronous invocation: at least once, and never forgotten without a word."""
        for _ in range(2 if self.world.chance(self.world.plan.faults.duplicated / 5) else 1):
            self.world.begin()
            self.world.spawn(self._until_done(event))

    async def _until_done(self, event: Any) -> None:
        began, failures, throttles = self.world.time(), 0, 0
        problem = ""
        while self.world.time() - began < _OLDEST:
            try:
                await self.invoke(event)
            except TooManyRequests:
                throttles += 1
                await asyncio.sleep(min(300, 2 ** min(throttles, 9)) * (0.5 + self.world.dice.random() / 2))
                continue
            except FunctionError as error:
                problem = str(error)
                if failures == len(_RETRIES):
                    break
                await asyncio.sleep(_RETRIES[failures])
                failures += 1
                continue
            self.world.end()
            return
        self.world.log("", f"{self.name} gave an event up: {problem}")
        assert self.on_failure
        self.on_failure.send(json.dumps({"requestPayload": event, "responsePayload": {"error": problem}}))
        self.world.end()


class LambdaClient:
    """One operator's client, for a function that is invoked and waited for."""

    def __init__(self, function: Function, connection: Connection) -> None:
        self._function = function
        self._connection = connection

    async def invoke(self, FunctionName: str, Payload: bytes) -> Any:
        assert FunctionName == f"prove-{self._function.name}:live"
        world = self._function.world

        def begin() -> asyncio.Task[dict[str, Any] | ClientError]:
            world.begin()
            return world.loop.create_task(self._run(json.loads(Payload)), context=OUTSIDE.copy())

        # It goes on where nobody waits for its answer any more.
        answer = await asyncio.shield(await self._connection.call("Invoke", begin))
        if isinstance(answer, ClientError):
            raise answer
        return answer

    async def _run(self, event: Any) -> dict[str, Any] | ClientError:
        try:
            await self._function.invoke(event)
        except TooManyRequests:
            return client_error("TooManyRequestsException", "Invoke", status=429)
        except FunctionError as error:
            said = {"errorType": "FunctionError", "errorMessage": str(error)}
            return {"FunctionError": "Unhandled", "Payload": Body(json.dumps(said).encode())}
        finally:
            self._function.world.end()
        return {"StatusCode": 200}


async def _run(work: Work, event: Any, seconds_left: Callable[[], float]) -> Any:
    """The answer, or the exception that the function raised."""
    try:
        return await work(event, seconds_left)
    except Exception as error:  # noqa: BLE001 - Lambda reports whatever it is
        return error
