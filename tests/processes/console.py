"""What applications and operators do with the stack, undisturbed: publish, suppress, and look."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec
from tests.processes.evidence import Letter, Queue
from tests.processes.stack import Stack
from tests.simulation.dynamodb import KEYS, STATE, SUPPRESSION, TRACKING, Item
from tests.simulation.workload import SOURCE

from engine.schemas.status import REQUEST_DETAIL_TYPE

_DEAD_LETTERS: Final = (
    "event_bridge_dlq_url",
    "email_retry_dlq_url",
    "bulk_email_dlq_url",
    "feedback_processor_dlq_url",
)
_COUNTS: Final = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]


_SCAN: Final = {"X-Amz-Target": "DynamoDB_20120810.Scan", "Content-Type": "application/x-amz-json-1.0"}


class _Page(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One answer of a scan."""

    items: list[dict[str, Any]]
    last_evaluated_key: dict[str, Any] | None = None


@dataclass(frozen=True)
class Console:
    """AWS as its owner sees it. Clients by service."""

    stack: Stack
    clients: Mapping[str, Any]
    http: aiohttp.ClientSession

    async def publish(self, detail: Mapping[str, Any]) -> str:
        """The id that EventBridge gives the event: from now on it is accepted."""
        entry = {
            "EventBusName": self.stack.environment.deployment.event_bus_name,
            "Source": SOURCE,
            "DetailType": REQUEST_DETAIL_TYPE,
            "Detail": json.dumps(detail),
        }
        async with self.stack.gate.passing():
            answer = await self.clients["events"].put_events(Entries=[entry])
        assert not answer["FailedEntryCount"], answer
        event_id: str = answer["Entries"][0]["EventId"]
        return event_id

    async def suppress(self, address: str) -> None:
        item = {"email": address, "suppressionType": "manual", "reason": "operator", "addedBy": "operator"}
        async with self.stack.gate.passing():
            await self.clients["dynamodb"].put_item(
                TableName=self.stack.environment.deployment.suppression_table,
                Item={name: {"S": value} for name, value in item.items()},
            )

    async def tables(self) -> AsyncIterator[tuple[str, dict[str, Item]]]:
        """Each table's items by key, as they are now."""
        deployment = self.stack.environment.deployment
        names = {
            TRACKING: deployment.tracking_table,
            SUPPRESSION: deployment.suppression_table,
            STATE: deployment.state_table,
        }
        for table, name in names.items():
            items: list[dict[str, Any]] = []
            start: Item | None = {}
            while start is not None:
                async with self.stack.gate.passing():
                    page = await self._scan(name, start)
                items += page.items
                start = page.last_evaluated_key
            yield table, {item[KEYS[table]]["S"]: item for item in items}

    async def _scan(self, table: str, start: Item) -> _Page:
        """Without the SDK: its parser takes a second for two thousand rows, in which no proxy answers."""
        asked = {"TableName": table} | ({"ExclusiveStartKey": start} if start else {})
        async with self.http.post(
            self.stack.environment.emulator.endpoint, data=msgspec.json.encode(asked), headers=_SCAN
        ) as answer:
            return msgspec.json.decode(await answer.read(), type=_Page)

    async def waiting(self) -> int:
        """Messages in the two queues that mail waits in, hidden and delayed ones included."""
        deployment = self.stack.environment.deployment
        count = 0
        for url in (deployment.bulk_email_queue_url, deployment.email_retry_queue_url):
            answer = await self.clients["sqs"].get_queue_attributes(QueueUrl=url, AttributeNames=_COUNTS)
            count += sum(map(int, answer["Attributes"].values()))
        return count

    async def dead_letters(self) -> dict[str, Queue]:
        queues = {name: Queue(name) for name in _DEAD_LETTERS}
        for name, queue in queues.items():
            url = getattr(self.stack.environment.deployment, name)
            receive = {"QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 600}
            while messages := (await self.clients["sqs"].receive_message(**receive)).get("Messages"):
                queue.messages |= {one["MessageId"]: Letter(one["Body"]) for one in messages}
        return queues


@asynccontextmanager
async def console(stack: Stack) -> AsyncIterator[Console]:
    async with AsyncExitStack() as opened:
        clients = {
            service: await opened.enter_async_context(stack.environment.client(service))
            for service in ("dynamodb", "events", "sqs")
        }
        http = await opened.enter_async_context(aiohttp.ClientSession(raise_for_status=True))
        yield Console(stack, clients, http)
