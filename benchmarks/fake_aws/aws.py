"""DynamoDB, S3, SQS and EventBridge as far as a sender asks them: fast, and as late as the profile says.

It answers what a healthy service would, and keeps nothing but the line of send slots and the counters. SES is
not here: that is the simulator of `engine.local.ses`.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from benchmarks.fake_aws.latencies import Latencies
from benchmarks.fake_aws.slots import SlotLine
from benchmarks.fake_aws.web import arrival, wait_until

TEMPLATE: Final = Path(__file__).resolve().parent / "template"
SUPPRESSED: Final = "suppressed"  # how the local part of a suppressed address begins
ROWS_A_PAGE: Final = 7_000  # index rows of 150 bytes

_SERVICES: Final = {"DynamoDB_20120810": "dynamodb", "AmazonSQS": "sqs", "AWSEvents": "events"}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class StubAws:
    """Implements the four APIs. `calls`: requests by `service.Operation`; `bytes_in`: their bodies.

    `own_time`: seconds by service that serving takes itself, as `punctual` measured them.
    """

    def __init__(self, latencies: Latencies) -> None:
        self.latencies = latencies
        self.calls: Counter[str] = Counter()
        self.bytes_in: Counter[str] = Counter()
        self.line = SlotLine()
        self.counters: dict[str, Any] = {}
        self.rows: Mapping[str, Any] = {}
        self.own_time: dict[str, float] = {}
        self._files: dict[str, bytes] = {}

    def forget(self) -> None:
        self.calls.clear()
        self.bytes_in.clear()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        target = request.headers.get("X-Amz-Target")
        service, operation = self._called(target) if target else ("s3", "GetObject")
        body = await request.read()
        self.calls[f"{service}.{operation}"] += 1
        self.bytes_in[f"{service}.{operation}"] += len(body)
        answer = self._object(request.path) if target is None else self._answer(service, operation, body)
        await wait_until(arrival(request) + self.latencies.of(service) - self.own_time.get(service, 0.0))
        return answer

    @staticmethod
    def _called(target: str) -> tuple[str, str]:
        service, _, operation = target.partition(".")
        return _SERVICES[service], operation

    # -- S3 ----------------------------------------------------------------------------------------------

    def _object(self, path: str) -> web.Response:
        """Every template is there, all alike: a name not used before is one that nobody has cached."""
        file = path.rpartition("/")[2]
        if file not in self._files:
            self._files[file] = (TEMPLATE / file).read_bytes()
        return web.Response(body=self._files[file], headers={"ETag": f'"{file}"'})

    # -- the JSON services -------------------------------------------------------------------------------

    def _answer(self, service: str, operation: str, body: bytes) -> web.Response:
        asked = _decode(body)
        if service == "events":
            entries = [{"EventId": str(number)} for number in range(len(asked["Entries"]))]
            return _json({"FailedEntryCount": 0, "Entries": entries})
        if service == "sqs":
            return _json({"MessageId": "1"} if operation == "SendMessage" else {})
        return self._dynamodb(operation, asked)

    def _dynamodb(self, operation: str, asked: Any) -> web.Response:  # noqa: PLR0911 - a table of operations
        match operation:
            case "BatchGetItem":
                found = {table: self._found(some["Keys"]) for table, some in asked["RequestItems"].items()}
                return _json({"Responses": found, "UnprocessedKeys": {}})
            case "BatchExecuteStatement":
                return _json({"Responses": [{"TableName": "EmailTracking"} for _ in asked["Statements"]]})
            case "BatchWriteItem":
                return _json({"UnprocessedItems": {}})
            case "GetItem":
                item = self._item(asked["Key"])
                return _json({"Item": item} if item else {})
            case "UpdateItem":
                return self._update(asked)
            case "Query":
                return self._page(asked)
            case _:
                return _json({})

    def _found(self, keys: list[Any]) -> list[Any]:
        return [item for item in map(self._item, keys) if item]

    def _item(self, key: Any) -> Any:
        ((_, wanted),) = key.items()
        name: str = wanted["S"]
        if name == "rate#line":
            return self.line.item()
        if name.startswith(SUPPRESSED):
            why = {"suppressionType": {"S": "bounce"}, "reason": {"S": "hard-bounce"}}
            return {"email": wanted, "addedToSuppressionDate": {"S": "2026-11-01T00:00:00Z"}, **why}
        return self.counters.get(name) or self.rows.get(name)

    def _page(self, asked: Any) -> web.Response:
        """A page of the day's index rows, counted: DynamoDB reads 1 MB a page."""
        start = int(asked.get("ExclusiveStartKey", {"emailId": {"S": "0"}})["emailId"]["S"])
        count = min(ROWS_A_PAGE, len(self.rows) - start)
        more = (
            {"LastEvaluatedKey": {"emailId": {"S": str(start + count)}}}
            if start + count < len(self.rows)
            else {}
        )
        return _json({"Items": [], "Count": count, **more})

    def _update(self, asked: Any) -> web.Response:
        ((_, wanted),) = asked["Key"].items()
        if wanted["S"] == "rate#line":
            done = self.line.update(asked)
            if done:
                return _json({"Attributes": self.line.item()})
            return _json(
                {
                    "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
                    "message": "The conditional request failed",
                    "Item": self.line.item(),
                },
                status=400,
            )
        row = self.rows.get(wanted["S"])
        return _json({"Attributes": row} if row and asked.get("ReturnValues") == "ALL_OLD" else {})


def _json(answer: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=_encode(answer), status=status, content_type="application/x-amz-json-1.0")
