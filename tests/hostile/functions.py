"""Both functions as they are deployed, over AWS on a day without faults that refuses what AWS refuses.

The functions are the engine's own, from their variables to every adapter. Time is virtual, so a history of
waits takes no longer than its work.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any, Final, Self, TypeVar

from aiobotocore.config import AioConfig
from benchmarks.gate.virtual_time import run_virtually
from botocore.exceptions import ClientError
from tests.simulation.connection import Connection, client_error
from tests.simulation.dynamodb import STATE, SUPPRESSION, TRACKING, DynamoDb, DynamoDbClient, Item
from tests.simulation.plan import Plan
from tests.simulation.world import World
from tests.support.cloud import WELCOME
from tests.support.fakes import FakeTelemetry

from engine.aws.clients import CONFIG
from engine.bootstrap.email_sender import open_email_sender
from engine.bootstrap.feedback_processor import open_feedback_processor
from engine.bootstrap.host import Host
from engine.errors import EngineError
from engine.schemas.rows import TrackingRow

T = TypeVar("T")

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
_LARGEST_ITEM: Final = 400 * 1024
_LONGEST_KEY: Final = 2048
_INDEXED: Final = ("toEmail", "sesMessageId", "datePartition", "timestamp")
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
_LARGEST_MESSAGE: Final = 1024 * 1024
_LARGEST_CALL_OF_EVENTS: Final = 256 * 1024
_INVOCATION: Final = 30.0  # seconds
VARIABLES: Final = {
    "TRACKING_TABLE": TRACKING,
    "SUPPRESSION_TABLE": SUPPRESSION,
    "STATE_TABLE": STATE,
    "TEMPLATE_BUCKET": "templates",
    "RETRY_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/EmailRetryQueue",
    "EVENT_BUS_NAME": "EmailBus",
    "SES_CONFIGURATION_SET": "ConfigSet",
    "SES_FEEDBACK_TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:SESFeedback",
    "DEFAULT_SENDER_EMAIL": "no-reply@shop.example",
    "SES_MAX_SEND_RATE": "0",  # asked of SES, so that the shared item is read and written
}


def sent_row(email_id: str, to: str) -> TrackingRow:
    return TrackingRow(
        email_id=email_id,
        to_email=to,
        status="sent",
        status_rank=1,
        timestamp="2026-11-24T07:00:00.000Z",
        date_partition="2026-11-24",
        original_email_id=email_id,
        template_name="welcome",
        claim_id="c",
    )


class Telemetry(FakeTelemetry):
    def flush(self) -> None:
        pass


class Tables(DynamoDb):
    """Refuses, as DynamoDB does, what is too large, and compares no number with a text."""

    def read(self, table: str, key: str, *, consistent: bool = True) -> Item | None:
        _check_key(key)
        return super().read(table, key, consistent=consistent)

    def write(self, table: str, key: str, item: Item) -> None:
        _check_key(key)
        if len(repr(item)) > _LARGEST_ITEM:
            raise client_error("ValidationException", "PutItem", message="Item size has exceeded the limit")
        for name in _INDEXED if table == TRACKING else ():
            _check_key(item.get(name, {}).get("S", "x"))
        super().write(table, key, item)

    def conditional(self, request: Mapping[str, Any], operation: str) -> dict[str, Any]:
        try:
            return super().conditional(request, operation)
        except (TypeError, ValueError):
            if operation == "UpdateItem" and " ADD " in request["UpdateExpression"]:
                raise client_error("ValidationException", operation, message="wrong type") from None
            raise client_error("ConditionalCheckFailedException", operation) from None

    def statement(self, text: str, parameters: list[Any]) -> dict[str, Any]:
        try:
            return super().statement(text, parameters)
        except ClientError as error:
            return {"Error": {"Code": "ValidationError", "Message": str(error)}}
        except (TypeError, ValueError):
            return {"Error": {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}}


def _check_key(key: str) -> None:
    if not 1 <= len(key.encode()) <= _LONGEST_KEY:
        raise client_error("ValidationException", "GetItem", message="One or more parameter values")


@dataclass
class _Body:
    content: bytes

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def read(self) -> bytes:
        return self.content


@dataclass
class Service:
    """S3, SQS, EventBridge and SES, as far as the functions call them, and what each was given."""

    files: dict[str, bytes] = field(default_factory=dict)
    queued: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)

    async def get_object(self, Bucket: str, Key: str, IfNoneMatch: str = "") -> Any:  # noqa: ARG002 - there is one
        if Key not in self.files:
            raise client_error("NoSuchKey", "GetObject", status=404)
        content = self.files[Key]
        etag = md5(content, usedforsecurity=False).hexdigest()
        if etag == IfNoneMatch:
            raise client_error("304", "GetObject", status=304)
        return {"ETag": etag, "ContentLength": len(content), "Body": _Body(content)}

    async def head_object(self, Bucket: str, Key: str) -> Any:  # noqa: ARG002 - there is one
        if Key not in self.files:
            raise client_error("404", "HeadObject", status=404)
        return {"ContentLength": len(self.files[Key])}

    async def send_message(self, QueueUrl: str, MessageBody: str, DelaySeconds: int) -> Any:  # noqa: ARG002 - there is one
        if len(MessageBody.encode()) > _LARGEST_MESSAGE:
            raise client_error("InvalidParameterValue", "SendMessage", message="too long")
        self.queued.append(MessageBody)
        return {"MessageId": "1"}

    async def change_message_visibility(self, **_: Any) -> Any:
        return {}

    async def put_events(self, Entries: Any) -> Any:
        if sum(len(entry["Detail"].encode()) for entry in Entries) > _LARGEST_CALL_OF_EVENTS:
            raise client_error("ValidationException", "PutEvents", message="Total size of the entries")
        self.events += [json.loads(entry["Detail"]) for entry in Entries]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in Entries]}

    async def get_account(self) -> Any:
        return {"SendQuota": {"MaxSendRate": 200.0}}

    async def send_email(self, **request: Any) -> Any:
        self.sent.append(request)
        return {"MessageId": f"0100-{len(self.sent)}"}

    async def send_bulk_email(self, **request: Any) -> Any:
        results = []
        for entry in request["BulkEmailEntries"]:
            self.sent.append({**request, "BulkEmailEntries": [entry]})
            results.append({"Status": "SUCCESS", "MessageId": f"0100-{len(self.sent)}"})
        return {"BulkEmailEntryResults": results}


class _Process:
    """An environment that does not die."""

    name = "environment"

    def step(self) -> None:
        pass

    def checked(self, address: str) -> None:
        pass


class Functions:
    """One environment of each function, what they keep and what they did."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tables = Tables(world, lambda *_: None)
        self.service = Service({f"templates/welcome/{name}": text.encode() for name, text in WELCOME.items()})
        self.telemetry = Telemetry()

    async def open(self, service: str, config: AioConfig = CONFIG) -> Any:
        """Implements `Clients.open`."""
        if service == "dynamodb":
            return DynamoDbClient(self.tables, Connection(self.world, _Process(), service, config))
        return self.service

    def put(self, table: str, key: str, item: Item) -> None:
        """What another hand wrote."""
        self.tables.tables[table][key] = item

    async def send(self, event: Any) -> Any:
        """What the sender answers, or the engine's error that ends the invocation. Raises any other."""
        sender = await open_email_sender(VARIABLES, self._clients, self._host)
        ends = self.world.time() + _INVOCATION
        return await _ours(sender.process(event, lambda: ends - self.world.time()))

    async def report(self, event: Any) -> Any:
        """As `send`, for the feedback processor."""
        processor = await open_feedback_processor(VARIABLES, self._clients, self._host)
        return await _ours(processor.process(event))

    @property
    def _clients(self) -> Any:
        return self

    @property
    def _host(self) -> Host:
        dice = random.Random(1)  # noqa: S311 - dice, and the same ones every time
        telemetry: Any = lambda *_: self.telemetry  # noqa: E731 - any, as it is none of Powertools'
        return Host(
            clock=self.world.now,
            time=lambda: self.world.now().timestamp(),
            new_claim_id=lambda: f"{self.world.number():032x}",
            uniform=dice.uniform,
            pick=dice.randrange,
            telemetry=telemetry,
        )

    @property
    def statuses(self) -> dict[str, str]:
        """What was told last about each email, by recipient."""
        return {event["to"]: event["status"] for event in self.service.events}

    @property
    def recipients(self) -> list[str]:
        """Whom SES was given an email for, in order."""
        found = []
        for request in self.service.sent:
            of = request["BulkEmailEntries"][0] if "BulkEmailEntries" in request else request
            found += of["Destination"]["ToAddresses"]
        return found


async def _ours(work: Awaitable[T]) -> T | EngineError:
    try:
        return await work
    except EngineError as error:
        return error


def with_functions(story: Callable[[Functions], Awaitable[T]]) -> T:
    """Run a story to its end, in virtual time."""

    async def run() -> T:
        async with asyncio.TaskGroup() as group:
            world = World(Plan(seed=1), random.Random(1), group)  # noqa: S311 - dice, and the same ones every time
            return await story(Functions(world))

    return run_virtually(run())
