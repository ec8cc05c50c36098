"""The suppression table: addresses that must get no more mail."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from engine.aws.batches import SharedReads
from engine.aws.dynamodb import CONDITION_FAILED, from_item, to_item
from engine.aws.error_codes import is_code, service_errors
from engine.schemas.rows import SuppressionRow

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient


class SuppressionList:
    """Implements `SuppressionReader` and `SuppressionWriter`. `reads`: shared with other tables."""

    def __init__(self, client: "DynamoDBClient", table: str, *, reads: SharedReads | None = None) -> None:
        self._client = client
        self._table = table
        self._reads = reads or SharedReads(client)

    async def find(self, addresses: Collection[str]) -> Mapping[str, SuppressionRow]:
        keys = [{"email": address} for address in sorted(set(addresses))]
        rows = [from_item(item, SuppressionRow) for item in await self._reads.get(self._table, keys)]
        return {row.email: row for row in rows}

    async def add(self, row: SuppressionRow) -> None:
        with service_errors("DynamoDB (Suppression)"):
            try:
                await self._client.put_item(
                    TableName=self._table,
                    Item=to_item(row),
                    ConditionExpression="attribute_not_exists(email)",
                )
            except ClientError as error:
                if not is_code(error, CONDITION_FAILED):
                    raise
