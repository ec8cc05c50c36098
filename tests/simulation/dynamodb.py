"""DynamoDB: conditional writes in one step, eventually consistent reads, batches that are left half done."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final

from benchmarks.fake_aws.expressions import holds, statement, updated
from tests.simulation.connection import Connection, client_error
from tests.simulation.world import World

Item = Mapping[str, Any]
TRACKING, SUPPRESSION, STATE = "prove-EmailTracking", "prove-Suppression", "prove-State"
KEYS: Final = {TRACKING: "emailId", SUPPRESSION: "email", STATE: "pk"}
STALE: Final = 1.0  # seconds that an eventually consistent read may lag behind
INDEX_LAG: Final = 3.0  # seconds; an index is always eventually consistent

Watch = Callable[[str, str, Item, Item], None]
"""Called with table, key, item before and item after each write."""


class DynamoDb:
    """The tables of the stack. `watch` sees every write."""

    def __init__(self, world: World, watch: Watch) -> None:
        self.world = world
        self._watch = watch
        self.tables: dict[str, dict[str, Item]] = {table: {} for table in KEYS}
        self._before: dict[tuple[str, str], tuple[float, Item | None]] = {}
        self._by_ses_id: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)

    def read(self, table: str, key: str, *, consistent: bool = True) -> Item | None:
        self.world.usage["read units"] += 2 if consistent else 1  # halves
        if not consistent and self.world.chance(self.world.plan.faults.stale_read):
            at, item = self._before.get((table, key), (-math.inf, None))
            if at > self.world.time() - STALE:
                return item
        return self.tables[table].get(key)

    def write(self, table: str, key: str, item: Item) -> None:
        before = self.tables[table].get(key)
        self._before[table, key] = self.world.time(), before
        self.tables[table][key] = item
        units = math.ceil(_size(item) / 1024)
        if table == TRACKING:
            ses_id = item.get("sesMessageId")
            entered = bool(ses_id and (before is None or "sesMessageId" not in before))
            # A new row enters the indexes by recipient and by date; SES's id enters its own.
            units += (2 if before is None else 0) + entered
            if ses_id and entered:
                visible = self.world.time() + self.world.dice.uniform(0, INDEX_LAG)
                self._by_ses_id[ses_id["S"]].append((visible, key))
        self.world.usage["write units"] += units
        self._watch(table, key, before or {}, item)

    def remove(self, table: str, key: str) -> None:
        """DeleteItem, as only operators call it."""
        before = self.tables[table].pop(key, {})
        self._before[table, key] = self.world.time(), before
        self._watch(table, key, before, {})

    def conditional(self, request: Mapping[str, Any], operation: str) -> dict[str, Any]:
        """PutItem or UpdateItem."""
        table = request["TableName"]
        ((_, value),) = request["Key"].items() if "Key" in request else [("", request["Item"][KEYS[table]])]
        key = value["S"]
        before = self.tables[table].get(key)
        if not holds(request, before or {}):
            asked = request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
            self.world.usage["write units"] += 1
            raise client_error("ConditionalCheckFailedException", operation, item=before if asked else None)
        after = request["Item"] if "Item" in request else updated(request, before or {KEYS[table]: value})
        self.write(table, key, after)
        match request.get("ReturnValues"):
            case "ALL_OLD":
                return {"Attributes": before} if before else {}
            case "ALL_NEW":
                return {"Attributes": after}
            case _:
                return {}

    def statement(self, text: str, parameters: list[Any]) -> dict[str, Any]:
        """The answer to one of a batch."""
        read = statement(text, parameters)
        if self.world.chance(self.world.plan.faults.unprocessed):
            return {"Error": {"Code": "ThrottlingError", "Message": "Throughput exceeded"}}
        if read.item is not None:
            key = read.item[KEYS[read.table]]["S"]
            if key in self.tables[read.table]:
                return {"Error": {"Code": "DuplicateItem", "Message": "Duplicate primary key"}}
            self.write(read.table, key, read.item)
            return {}
        ((_, value),) = read.key.items()
        before = self.tables[read.table].get(value["S"], {})
        if not holds(read.request, before):
            return {"Error": {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}}
        self.write(read.table, value["S"], updated(read.request, before))
        return {}

    def ids_by_ses_id(self, ses_id: str) -> list[str]:
        now = self.world.time()
        return [email_id for visible, email_id in self._by_ses_id.get(ses_id, ()) if visible <= now]

    def opt_outs(self, values: Mapping[str, Any]) -> list[Item]:
        """What the index by type knows of a type's rows whose keys have a part in common."""
        found = [
            self.read(SUPPRESSION, key, consistent=False)
            for key in self.tables[SUPPRESSION]
            if values[":part"]["S"] in key
        ]
        return [item for item in found if item and item["suppressionType"] == values[":type"]]


class DynamoDbClient:
    """One environment's client."""

    def __init__(self, dynamodb: DynamoDb, connection: Connection) -> None:
        self._db = dynamodb
        self._connection = connection

    async def put_item(self, **request: Any) -> Any:
        return await self._connection.call("PutItem", lambda: self._db.conditional(request, "PutItem"))

    async def transact_write_items(self, TransactItems: Any) -> Any:
        """Puts, all of them or none."""
        puts = [each["Put"] for each in TransactItems]

        def do() -> dict[str, Any]:
            for put in puts:
                there = self._db.tables[put["TableName"]].get(put["Item"][KEYS[put["TableName"]]]["S"], {})
                if not holds(put, there):
                    raise client_error("TransactionCanceledException", "TransactWriteItems")
            for put in puts:
                self._db.conditional(put, "TransactWriteItems")
            return {}

        return await self._connection.call("TransactWriteItems", do)

    async def update_item(self, **request: Any) -> Any:
        return await self._connection.call("UpdateItem", lambda: self._db.conditional(request, "UpdateItem"))

    async def delete_item(
        self, TableName: str, Key: Any, ReturnValues: str = "NONE", **condition: Any
    ) -> Any:
        ((_, value),) = Key.items()

        def do() -> dict[str, Any]:
            before = self._db.tables[TableName].get(value["S"])
            if not holds(condition, before or {}):
                raise client_error("ConditionalCheckFailedException", "DeleteItem")
            if before:
                self._db.remove(TableName, value["S"])
            return {"Attributes": before} if before and ReturnValues == "ALL_OLD" else {}

        return await self._connection.call("DeleteItem", do)

    async def get_item(self, TableName: str, Key: Any, ConsistentRead: bool = False) -> Any:  # noqa: FBT001, FBT002 - as boto3 has it
        ((_, value),) = Key.items()

        def do() -> dict[str, Any]:
            item = self._db.read(TableName, value["S"], consistent=ConsistentRead)
            return {"Item": item} if item is not None else {}

        return await self._connection.call("GetItem", do)

    async def batch_get_item(self, RequestItems: Any) -> Any:
        def do() -> dict[str, Any]:
            found: dict[str, list[Item]] = {}
            left: dict[str, Any] = {}
            for table, wanted in RequestItems.items():
                found[table] = []
                for key in wanted["Keys"]:
                    if self._db.world.chance(self._db.world.plan.faults.unprocessed / 5):
                        left.setdefault(table, {**wanted, "Keys": []})["Keys"].append(key)
                        continue
                    ((_, value),) = key.items()
                    item = self._db.read(table, value["S"], consistent=wanted.get("ConsistentRead", False))
                    if table == SUPPRESSION:
                        self._connection.process.checked(value["S"])
                    found[table] += [item] if item is not None else []
            return {"Responses": found, "UnprocessedKeys": left}

        return await self._connection.call("BatchGetItem", do)

    async def batch_write_item(self, RequestItems: Any) -> Any:
        def do() -> dict[str, Any]:
            left: dict[str, Any] = {}
            for table, requests in RequestItems.items():
                for request in requests:
                    if self._db.world.chance(self._db.world.plan.faults.unprocessed):
                        left.setdefault(table, []).append(request)
                    else:
                        item = request["PutRequest"]["Item"]
                        self._db.write(table, item[KEYS[table]]["S"], item)
            return {"UnprocessedItems": left}

        return await self._connection.call("BatchWriteItem", do)

    async def batch_execute_statement(self, Statements: Any) -> Any:
        def do() -> dict[str, Any]:
            answers = [self._db.statement(each["Statement"], each["Parameters"]) for each in Statements]
            return {"Responses": answers}

        return await self._connection.call("BatchExecuteStatement", do)

    async def query(self, **request: Any) -> Any:
        def do() -> dict[str, Any]:
            self._db.world.usage["read units"] += 1
            if request["TableName"] == SUPPRESSION:
                return {"Items": self._db.opt_outs(request["ExpressionAttributeValues"])}
            ids = self._db.ids_by_ses_id(request["ExpressionAttributeValues"][":id"]["S"])
            return {"Items": [{"emailId": {"S": email_id}} for email_id in ids[: request["Limit"]]]}

        return await self._connection.call("Query", do)


def _size(item: Item) -> int:
    """Bytes of an item, as DynamoDB bills them: names and values."""
    size = 0
    for name, attribute in item.items():
        ((_, value),) = attribute.items()
        size += len(name)
        match value:
            case str() | bytes():
                size += len(value)
            case dict():
                size += 3 + _size(value)
            case _:
                size += sum(map(len, value))
    return size
