"""DynamoDB, S3, SQS and EventBridge as far as the functions ask them, each as late as the profile says.

They answer what healthy services would, and store nothing but the State table's items. SES is not here: that
is the simulator of `engine.local.ses`.
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from benchmarks.fake_aws.expressions import Item, holds, updated
from benchmarks.fake_aws.latencies import Latencies

TEMPLATE: Final = Path(__file__).resolve().parent / "template"
TRACKING_TABLE: Final = "sesmailengine-EmailTracking"
STATE_TABLE: Final = "sesmailengine-State"
ROW: Final = "row-"  # ids that begin so have a row in the tracking table
# A new row enters the indexes by recipient and by date, SES's id the index by that id.
_INDEXES_OF_A_ROW: Final = 2
_COUNTER_SHARDS: Final = 4

_SERVICES: Final = {
    "DynamoDB_20120810": "dynamodb", "AmazonSQS": "sqs", "AWSEvents": "events", "S3": "s3",
}  # fmt: skip
_SENT_ROW: Final = {
    "toEmail": {"S": "ada@example.com"},
    "status": {"S": "sent"},
    "statusRank": {"N": "1"},
    "timestamp": {"S": "2026-11-24T08:00:00Z"},
    "datePartition": {"S": "2026-11-24"},
    "sentAt": {"S": "2026-11-24T08:00:01Z"},
    "originalSource": {"S": "shop"},
    "templateName": {"S": "order-confirmation"},
}


async def answer_late(began: float, seconds: float) -> None:
    """Wait until `seconds` have passed since loop time `began`."""
    await asyncio.sleep(began + seconds - asyncio.get_running_loop().time())


class FakeServices:
    """Implements the four APIs for aiohttp.

    `usage` counts what was asked: "calls", each `service.Operation`, "events" published, and "read units" and
    "write units" of DynamoDB. `emails_today` is what the counters of the bounce quota say.
    """

    def __init__(self, latencies: Latencies) -> None:
        self.latencies = latencies
        self.usage: defaultdict[str, float] = defaultdict(float)
        self.emails_today = 0
        self._state: dict[str, Item] = {}
        self._files = {file.name: file.read_bytes() for file in TEMPLATE.iterdir()}

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        began = asyncio.get_running_loop().time()
        body = await request.read()
        prefix, _, operation = request.headers.get("X-Amz-Target", "S3.GetObject").partition(".")
        service = _SERVICES[prefix]
        self.count(f"{service}.{operation}")
        if service == "s3":
            # Every template is there, all alike: a name not used before is one that nobody has cached.
            name = request.path.rpartition("/")[2]
            response = web.Response(body=self._files[name], headers={"ETag": f'"{name}"'})
        else:
            answer = self._answer(service, operation, msgspec.json.decode(body))
            status = 400 if "__type" in answer else 200
            response = web.json_response(answer, status=status, content_type="application/x-amz-json-1.0")
        await answer_late(began, self.latencies.of(service))
        return response

    def count(self, operation: str) -> None:
        self.usage["calls"] += 1
        self.usage[operation] += 1

    def _answer(self, service: str, operation: str, asked: Any) -> Any:
        match service:
            case "events":
                self.usage["events"] += len(asked["Entries"])
                return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in asked["Entries"]]}
            case "sqs":
                return {"MessageId": "1"} if operation == "SendMessage" else {}
            case _:
                return self._dynamodb(operation, asked)

    def _dynamodb(self, operation: str, asked: Any) -> Any:
        match operation:
            case "GetItem":
                units = 1 if asked.get("ConsistentRead") else 0.5
                items = self._read(asked["TableName"], [asked["Key"]], units)
                return {"Item": items[0]} if items else {}
            case "BatchGetItem":
                tables = asked["RequestItems"].items()
                found = {
                    table: self._read(table, wanted["Keys"], 1 if wanted.get("ConsistentRead") else 0.5)
                    for table, wanted in tables
                }
                return {"Responses": found, "UnprocessedKeys": {}}
            case "PutItem":
                self._count_write(f"INSERT {asked['TableName']}", asked["Item"].values())
                return self._store(asked, asked["Item"])
            case "UpdateItem":
                names, values = (asked.get(f"ExpressionAttribute{what}", {}) for what in ("Names", "Values"))
                written = f"{asked['TableName']} {asked['UpdateExpression']} {[*names.values()]}"
                self._count_write(written, values.values())
                return self._store(asked, asked["Key"])
            case "BatchWriteItem":
                for table, requests in asked["RequestItems"].items():
                    for request in requests:
                        self._count_write(f"INSERT {table}", request["PutRequest"]["Item"].values())
                return {"UnprocessedItems": {}}
            case "BatchExecuteStatement":
                for statement in asked["Statements"]:
                    self._count_write(statement["Statement"], statement.get("Parameters", ()))
                return {"Responses": [{} for _ in asked["Statements"]]}
            case _:
                raise NotImplementedError(operation)

    def _read(self, table: str, keys: list[Any], units: float) -> list[Any]:
        self.usage["read units"] += len(keys) * units
        return [item for item in (self._item(table, key) for key in keys) if item]

    def _count_write(self, statement: str, values: Iterable[Any]) -> None:
        """A unit for each KB written, and one for each index entered.

        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
        """
        size = len(msgspec.json.encode(list(values)))
        indexes = 0
        if TRACKING_TABLE in statement:
            indexes = _INDEXES_OF_A_ROW if statement.startswith("INSERT") else "sesMessageId" in statement
        self.usage["write units"] += math.ceil(size / 1024) + indexes

    def _item(self, table: str, key: Any) -> Any:
        ((_, wanted),) = key.items()
        name: str = wanted["S"]
        if table == TRACKING_TABLE and name.startswith(ROW):
            return {"emailId": wanted, "originalEmailId": wanted, **_SENT_ROW}
        if name.startswith("quota#"):
            sends = self.emails_today // _COUNTER_SHARDS
            return {"pk": wanted, "sends": {"N": str(sends)}, "bounces": {"N": str(sends // 100)}}
        return self._state.get(name)

    def _store(self, asked: Any, key: Any) -> Any:
        """A conditional write of one item, put or updated; only the State table's items are kept."""
        if asked["TableName"] != STATE_TABLE:
            row = self._item(asked["TableName"], asked.get("Key", {"": {"S": ""}}))
            return {"Attributes": row} if row and "ReturnValues" in asked else {}
        name = key["pk"]["S"]
        before = self._state.get(name, {})
        if not holds(asked, before):
            return {
                "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
                "message": "The conditional request failed",
                "Item": before,
            }
        self._state[name] = asked["Item"] if "Item" in asked else updated(asked, before)
        return {"Attributes": self._state[name]} if "ReturnValues" in asked else {}
