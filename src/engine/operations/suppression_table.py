"""The suppression table as an operator uses it: by address, by type and date, never the whole table."""

import re
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any, Final, get_args

from msgspec import Struct

from engine.aws.dynamodb import from_item, get_items
from engine.aws.error_codes import service_errors
from engine.aws.suppression import SuppressionList
from engine.operations.stack import DeployedStack
from engine.requests.addresses import address_key, spellings
from engine.schemas.rows import SuppressionRow, SuppressionType
from engine.schemas.times import iso
from engine.tracking.consent import EVERY_TOPIC, UNSUBSCRIBE, opt_out_key

TYPES: Final[tuple[SuppressionType, ...]] = get_args(SuppressionType)
DATE_INDEX: Final = "suppression-type-date-index"
_SERVICE: Final = "DynamoDB (Suppression)"
_TOPIC_KEY: Final = re.compile(r"(?P<topic>\*|[a-z0-9-]{1,64})#(?P<address>.+)", re.DOTALL)


class Entry(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One row. `topic`: what the address has unsubscribed from, `*` for all topics; None stops all mail."""

    address: str
    type: str
    reason: str = ""
    since: str = ""
    topic: str | None = None
    email_id: str | None = None
    diagnostic_code: str | None = None
    added_by: str | None = None

    @property
    def key(self) -> str:
        """The key of the row. A plain address of an unsubscribed row stands for all topics."""
        return opt_out_key(self.address, self.topic) if self.topic else self.address


def entry(row: SuppressionRow) -> Entry:
    topic, address = None, row.email
    if row.suppression_type == UNSUBSCRIBE:
        split = _TOPIC_KEY.fullmatch(row.email)
        topic, address = (split["topic"], split["address"]) if split else (EVERY_TOPIC, row.email)
    return Entry(
        address=address,
        type=row.suppression_type,
        reason=row.reason,
        since=row.added_to_suppression_date,
        topic=topic,
        email_id=row.email_id,
        diagnostic_code=row.diagnostic_code,
        added_by=row.added_by,
    )


def row(of: Entry) -> SuppressionRow:
    return SuppressionRow(
        email=of.key,
        suppression_type=of.type,
        reason=of.reason,
        added_to_suppression_date=of.since,
        email_id=of.email_id,
        diagnostic_code=of.diagnostic_code,
        added_by=of.added_by,
    )


class SuppressionTable:
    """Every method may raise ServiceUnavailable."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table
        self._list = SuppressionList(client, table)

    async def read(self, keys: Iterable[str]) -> list[SuppressionRow]:
        """The rows that exist, by their keys as they are in the table."""
        wanted = {self._table: [{"email": key} for key in dict.fromkeys(keys)]}
        if not wanted[self._table]:
            return []
        return [
            from_item(item, SuppressionRow) for item in (await get_items(self._client, wanted))[self._table]
        ]

    async def of_address(self, address: str) -> list[SuppressionRow]:
        """All rows of an address, in every spelling. Reads on through all who have unsubscribed."""
        plain = spellings(address_key(address))
        rows = await self.read(key for one in plain for key in (one, opt_out_key(one)))
        known = {found.email for found in rows}
        topics = [
            found.email
            async for page in self.by_type(UNSUBSCRIBE, containing=f"#{plain[0]}")
            for found in page
            if entry(found).address == plain[0] and found.email not in known
        ]
        return rows + await self.read(topics)

    async def by_type(
        self,
        kind: str,
        *,
        since: datetime | None = None,
        containing: str | None = None,
        page_size: int = 1000,
    ) -> AsyncIterator[list[SuppressionRow]]:
        """Pages of the rows of a type, the newest first, with key, date and reason alone.

        A row without a date is in no index, and so is not found.
        """
        names, values = {"#type": "suppressionType"}, {":type": {"S": kind}}
        request: dict[str, Any] = {"KeyConditionExpression": "#type = :type"}
        if since:
            names["#since"], values[":since"] = "addedToSuppressionDate", {"S": iso(since)}
            request["KeyConditionExpression"] += " AND #since >= :since"
        if containing:
            names["#key"], values[":part"] = "email", {"S": containing}
            request["FilterExpression"] = "contains(#key, :part)"
        while True:
            with service_errors(_SERVICE):
                answer = await self._client.query(
                    TableName=self._table,
                    IndexName=DATE_INDEX,
                    ExpressionAttributeNames=names,
                    ExpressionAttributeValues=values,
                    ScanIndexForward=False,
                    Limit=page_size,
                    **request,
                )
            yield [from_item(item, SuppressionRow) for item in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    async def add(self, added: Entry) -> None:
        """A row that stops all mail already keeps its first reason; one who unsubscribed gets another row."""
        await self._list.add(row(added))

    async def remove(self, key: str) -> None:
        with service_errors(_SERVICE):
            await self._client.delete_item(TableName=self._table, Key={"email": {"S": key}})


async def open_suppression(stack: DeployedStack) -> SuppressionTable:
    return SuppressionTable(await stack.client("dynamodb"), stack.suppression_table)
