"""One environment's way to AWS: the network's time and faults, and the tries that the SDK makes by itself."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError
from tests.simulation.plan import Faults
from tests.simulation.stalls import OUTSIDE
from tests.simulation.world import World

T = TypeVar("T")

# What the SDK's standard mode tries again, besides time-outs and 5xx.
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
_THROTTLES: Final = frozenset(
    {"ThrottlingException", "ProvisionedThroughputExceededException", "TooManyRequestsException", "SlowDown"}
)
_THROTTLE_OF: Final = {"s3": "SlowDown", "sesv2": "TooManyRequestsException"}
# Seconds: the shortest and the longest way there, and the same for the way back.
_LATENCY: Final = {
    "dynamodb": (0.002, 0.005, 0.002, 0.005),
    "s3": (0.010, 0.020, 0.010, 0.020),
    "sqs": (0.003, 0.006, 0.003, 0.006),
    "lambda": (0.005, 0.010, 0.005, 0.010),
    "sts": (0.005, 0.010, 0.005, 0.010),
    "events": (0.005, 0.010, 0.005, 0.010),
    "scheduler": (0.010, 0.030, 0.010, 0.030),
    "secretsmanager": (0.005, 0.010, 0.005, 0.010),
    # The gate leaves two percent of the rate, 20 ms, for what lies between a slot and SES's count: here a
    # claim's way to the table and back, the way to SES, and in calm histories 2 ms of clocks.
    "sesv2": (0.004, 0.012, 0.040, 0.080),
}


class Dying(Protocol):
    """A process as its connections see it."""

    name: str

    def step(self) -> None:
        """An await: the process may end here, or have ended before. Raises CancelledError then."""
        ...

    def checked(self, address: str) -> None:
        """The process was told whether the address is suppressed."""
        ...


def client_error(
    code: str, operation: str, *, status: int = 400, message: str = "", item: Any = None
) -> ClientError:
    """As botocore raises it; `item`: what was in the way of a conditional write."""
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
        **({"Item": item} if item else {}),
    }
    return ClientError(response, operation)


class Connection:
    """A client's connection to one service, with the time-outs and the tries of its configuration."""

    def __init__(self, world: World, process: Dying, service: str, config: AioConfig) -> None:
        options: Any = config
        self._world = world
        self.process = process
        self._service = service
        self._attempts: int = options.retries["total_max_attempts"]
        self._read_timeout: float = options.read_timeout
        self._connect_timeout: float = options.connect_timeout

    async def call(self, operation: str, do: Callable[[], T]) -> T:
        """What AWS answers; `do` is the service doing it, in one step. Raises what botocore raises."""
        world = self._world
        for attempt in range(1, self._attempts + 1):
            self.process.step()
            world.usage[f"{self._service}.{operation}"] += 1
            try:
                answer = await self._try(operation, do)
            except (ClientError, ReadTimeoutError, ConnectTimeoutError) as error:
                self.process.step()
                if attempt == self._attempts or not _is_transient(error):
                    raise
                await asyncio.sleep(world.dice.random() * min(2 ** (attempt - 1), 20))
            else:
                self.process.step()
                return answer
        raise AssertionError("a client makes one attempt at least")

    def leaves_undone(self) -> bool:
        """Whether one entry of a batch meets trouble of its own."""
        return self._world.chance(self._world.plan.faults.unprocessed)

    async def _try(self, operation: str, do: Callable[[], T]) -> T:
        world, faults = self._world, self._world.plan.faults
        await self._lose_request(faults)
        is_ses = self._service == "sesv2"
        throttled = faults.ses_throttled if is_ses else faults.throttled
        if world.chance(throttled) or world.is_out(self._service):
            do = self._throttled(operation)
        loses_answer = world.chance(faults.ses_answer_lost if is_ses else faults.answer_lost)
        there, back = self._way(world)
        # A process that dies or gives up may have sent its request, or not yet.
        is_sent = world.dice.random() < 0.5
        answer: asyncio.Future[T] = world.loop.create_future()

        def arrive() -> None:
            if answer.cancelled() and not is_sent:
                return
            try:
                result: T | Exception = do()
            except ClientError as error:
                result = error
            if loses_answer:
                world.usage[f"{self._service}.{operation} lost"] += 1
                world.loop.call_later(
                    self._read_timeout, settle, ReadTimeoutError(endpoint_url=""), context=OUTSIDE
                )
            else:
                world.loop.call_later(back, settle, result, context=OUTSIDE)

        def settle(result: T | Exception) -> None:
            if answer.done():
                return
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)

        world.loop.call_later(there, arrive, context=OUTSIDE)
        return await answer

    async def _lose_request(self, faults: Faults) -> None:
        """Raise where AWS never sees the request."""
        if self._world.chance(faults.unreachable):
            await asyncio.sleep(self._connect_timeout)
            raise ConnectTimeoutError(endpoint_url="")
        if self._world.chance(faults.request_lost):
            await asyncio.sleep(self._read_timeout)
            raise ReadTimeoutError(endpoint_url="")

    def _way(self, world: World) -> tuple[float, float]:
        """Seconds there and back."""
        shortest, longest, *back = _LATENCY[self._service]
        slow = world.dice.uniform(0.5, 2) if world.chance(world.plan.faults.slow) else 0
        return world.dice.uniform(shortest, longest), world.dice.uniform(*back) + slow

    def _throttled(self, operation: str) -> Callable[[], Any]:
        """What AWS does instead."""

        def refuse() -> None:
            code = _THROTTLE_OF.get(self._service, "ThrottlingException")
            raise client_error(code, operation, status=429, message="Rate exceeded")

        return refuse


def _is_transient(error: Exception) -> bool:
    if not isinstance(error, ClientError):
        return True
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return error.response["Error"]["Code"] in _THROTTLES or status >= 500
