"""Batch calls of DynamoDB: several items a call, and the rest of it when DynamoDB leaves some undone."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from engine.aws.error_codes import service_errors
from engine.errors import ServiceUnavailable

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

T = TypeVar("T")
_Key = dict[str, str]  # of an item whose key attributes are strings, by their names

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
GET_LIMIT: Final = 100
WRITE_LIMIT: Final = 25
_ROUNDS: Final = 4


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


async def get_items(
    client: "DynamoDBClient", table: str, keys: Iterable[_Key], *, consistent: bool = False
) -> list[Any]:
    """The items that exist among these string keys, in no order."""
    found = await _get_all(client, [(table, key) for key in keys], consistent=consistent)
    return found[table]


@dataclass(frozen=True)
class _Read:
    """Keys of one table that somebody waits for."""

    table: str
    keys: list[_Key]
    items: asyncio.Future[list[Any]]

    def succeed(self, found: Mapping[str, list[Any]]) -> None:
        if not self.items.done():  # whoever asked may be gone
            wanted = set(map(_identity, self.keys))
            names = list(self.keys[0])
            mine = [{name: item[name]["S"] for name in names} for item in found[self.table]]
            self.items.set_result(
                [item for item, key in zip(found[self.table], mine, strict=True) if _identity(key) in wanted]
            )

    def fail(self, error: Exception) -> None:
        if not self.items.done():
            self.items.set_exception(error)


class SharedReads:
    """Reads that are asked for in one turn of the loop share their calls, whichever tables they are of."""

    def __init__(self, client: "DynamoDBClient") -> None:
        self._client = client
        self._waiting: list[_Read] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def get(self, table: str, keys: Iterable[_Key]) -> list[Any]:
        """As `get_items`."""
        loop = asyncio.get_running_loop()
        read = _Read(table, list(keys), loop.create_future())
        if not read.keys:
            return []
        if not self._waiting:
            loop.call_soon(self._begin)
        self._waiting.append(read)
        return await read.items

    def _begin(self) -> None:
        reads, self._waiting = self._waiting, []
        task = asyncio.create_task(self._answer(reads))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _answer(self, reads: list[_Read]) -> None:
        # Each key once: DynamoDB takes none twice in a call.
        wanted = {(read.table, _identity(key)): (read.table, key) for read in reads for key in read.keys}
        try:
            found = await _get_all(self._client, list(wanted.values()), consistent=False)
            for read in reads:
                read.succeed(found)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is for those who asked
            for read in reads:
                read.fail(error)


def _identity(key: _Key) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(key.items()))


async def _get_all(
    client: "DynamoDBClient", keys: Sequence[tuple[str, _Key]], *, consistent: bool
) -> defaultdict[str, list[Any]]:
    """What exists, by table."""
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for part in await asyncio.gather(*(_get(client, part, consistent) for part in chunks(keys, GET_LIMIT))):
        for table, items in part.items():
            found[table] += items
    return found


async def _get(
    client: "DynamoDBClient",
    keys: Sequence[tuple[str, _Key]],
    consistent: bool,  # noqa: FBT001 - private, its only caller names it
) -> Mapping[str, list[Any]]:
    found: defaultdict[str, list[Any]] = defaultdict(list)
    request: Any = {}
    for table, key in keys:
        asked = request.setdefault(table, {"Keys": [], "ConsistentRead": consistent})
        asked["Keys"].append({name: {"S": value} for name, value in key.items()})
    tables = ", ".join(request)
    for _ in range(_ROUNDS):
        with service_errors(f"DynamoDB ({tables})"):
            answer = await client.batch_get_item(RequestItems=request)
        for table, items in answer["Responses"].items():
            found[table] += items
        request = answer.get("UnprocessedKeys")
        if not request:
            return found
    raise ServiceUnavailable(f"DynamoDB ({tables}) BatchGetItem left keys unread {_ROUNDS} times")


async def put_items(client: "DynamoDBClient", table: str, items: Sequence[Any]) -> None:
    """Write items whole, without conditions."""
    await asyncio.gather(*(_put(client, table, part) for part in chunks(items, WRITE_LIMIT)))


async def _put(client: "DynamoDBClient", table: str, items: Sequence[Any]) -> None:
    request: Any = {table: [{"PutRequest": {"Item": item}} for item in items]}
    for _ in range(_ROUNDS):
        with service_errors(f"DynamoDB ({table})"):
            answer = await client.batch_write_item(RequestItems=request)
        request = answer.get("UnprocessedItems")
        if not request:
            return
    raise ServiceUnavailable(f"DynamoDB ({table}) BatchWriteItem left items unwritten {_ROUNDS} times")
