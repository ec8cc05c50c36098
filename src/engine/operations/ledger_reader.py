"""The ledger as an operator looks into it: by id, by address, by SES's id, by day. Never the whole table.

An index holds keys and little else; what it finds is read from the table.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from engine.aws.dynamodb import from_item
from engine.aws.error_codes import service_errors
from engine.aws.ledger import SES_MESSAGE_ID_INDEX
from engine.operations.items import get_many
from engine.operations.stack import DeployedStack
from engine.requests.addresses import address_key
from engine.schemas.rows import TrackingRow
from engine.schemas.times import iso

ADDRESS_INDEX: Final = "to-email-timestamp-index"
DAY_INDEX: Final = "date-partition-index"
PAGE: Final = 100
"""Rows of a page: what one BatchGetItem reads."""


class Place(Struct, frozen=True):
    """A row, by its time and its id: where a listing ended, for one that goes on after it.

    The time alone does not do: many rows may share it.
    """

    timestamp: str
    email_id: str


_MILLISECOND: Final = timedelta(milliseconds=1)  # the finest that a row's time knows


class LedgerReader:
    """Every method may raise ServiceUnavailable, and botocore's ClientError where access is denied."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    async def read(self, email_ids: Iterable[str]) -> dict[str, TrackingRow]:
        """The rows that exist, by their ids."""
        keys = [{"emailId": email_id} for email_id in dict.fromkeys(email_ids)]
        items = await get_many(self._client, self._table, keys)
        rows = [from_item(item, TrackingRow) for item in items]
        return {row.email_id: row for row in rows}

    def by_address(
        self, address: str, *, until: datetime | None = None, after: Place | None = None, page: int = PAGE
    ) -> AsyncIterator[list[TrackingRow]]:
        """Pages of the emails to an address that were requested before `until`, the newest first."""
        names, values = {"#key": "toEmail"}, {":key": address_key(address)}
        condition = "#key = :key" + _within(names, values, None, until)
        return self._pages(ADDRESS_INDEX, condition, names, values, page=page, after=after)

    def by_day(
        self,
        day: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after: Place | None = None,
        page: int = PAGE,
        template: str | None = None,
    ) -> AsyncIterator[list[TrackingRow]]:
        """Pages of the emails requested on a day (UTC, `YYYY-MM-DD`), the newest first.

        `since` and `until` narrow the day; what was asked for at `until` itself is left out.
        `template`: of that template alone, so that a page may hold fewer rows, or none.
        """
        names, values = {"#key": "datePartition"}, {":key": day}
        condition = "#key = :key" + _within(names, values, since, until)
        filtered = {}
        if template:
            names["#template"], values[":template"] = "templateName", template
            filtered = {"FilterExpression": "#template = :template"}
        return self._pages(DAY_INDEX, condition, names, values, page=page, after=after, options=filtered)

    async def by_ses_id(self, ses_message_id: str) -> list[TrackingRow]:
        """The email that SES knows by this id; a bulk call's emails have one each."""
        pages = self._pages(
            SES_MESSAGE_ID_INDEX, "#key = :key", {"#key": "sesMessageId"}, {":key": ses_message_id}
        )
        return [row async for page in pages for row in page]

    async def _pages(
        self,
        index: str,
        condition: str,
        names: dict[str, str],
        values: dict[str, str],
        *,
        page: int = PAGE,
        after: Place | None = None,
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> AsyncIterator[list[TrackingRow]]:
        more: dict[str, Any] = {}
        if after:
            start = {names["#key"]: values[":key"], "timestamp": after.timestamp, "emailId": after.email_id}
            more = {"ExclusiveStartKey": {name: {"S": value} for name, value in start.items()}}
        while True:
            with service_errors("DynamoDB (EmailTracking)"):
                answer = await self._client.query(
                    TableName=self._table,
                    IndexName=index,
                    KeyConditionExpression=condition,
                    ExpressionAttributeNames=names,
                    ExpressionAttributeValues={name: {"S": value} for name, value in values.items()},
                    ScanIndexForward=False,
                    Limit=page,
                    **options,
                    **more,
                )
            ids: Sequence[str] = [item["emailId"]["S"] for item in answer["Items"]]
            rows = await self.read(ids)
            yield [rows[email_id] for email_id in ids if email_id in rows]
            if "LastEvaluatedKey" not in answer:
                return
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def _within(
    names: dict[str, str], values: dict[str, str], since: datetime | None, until: datetime | None
) -> str:
    """The rest of a key condition. It takes one condition on the sort key: BETWEEN includes both ends."""
    if since is None and until is None:
        return ""
    names["#at"] = "timestamp"
    if until:
        values[":until"] = iso(until - _MILLISECOND)
    if since:
        values[":since"] = iso(since)
    if since and until:
        return " AND #at BETWEEN :since AND :until"
    return " AND #at >= :since" if since else " AND #at <= :until"


async def open_ledger(stack: DeployedStack) -> LedgerReader:
    return LedgerReader(await stack.client("dynamodb"), stack.tracking_table)
