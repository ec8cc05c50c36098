"""Rows of type `unsubscribe` in the suppression table. The page may touch no others, whatever their key."""

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

from engine.aws.dynamodb import ConditionFailed, conditional, to_item
from engine.aws.error_codes import service_errors
from engine.errors import ServiceUnavailable
from engine.schemas.rows import SuppressionRow
from engine.tracking.consent import UNSUBSCRIBE

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

_SERVICE = "DynamoDB (Suppression)"
_OURS = "suppressionType = :unsubscribe"
_VALUES: Final[Any] = {":unsubscribe": {"S": UNSUBSCRIBE}}


class ConsentTable:
    """Implements `ConsentRows`."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    async def read(self, keys: Collection[str]) -> Collection[str]:
        found = await asyncio.gather(*map(self._is_there, keys))
        return {key for key, there in zip(keys, found, strict=True) if there}

    async def _is_there(self, key: str) -> bool:
        """One by one, and consistently: the role may do no more, and a page shows what it just changed."""
        with service_errors(_SERVICE):
            answer = await self._client.get_item(
                TableName=self._table, Key={"email": {"S": key}}, ConsistentRead=True
            )
        return answer.get("Item", {}).get("suppressionType") == {"S": UNSUBSCRIBE}

    async def add(self, row: SuppressionRow) -> None:
        """Raises ServiceUnavailable also where an address of that very spelling is suppressed itself."""
        written = await conditional(
            _SERVICE,
            self._client.put_item(
                TableName=self._table,
                Item=to_item(row),
                ConditionExpression=f"attribute_not_exists(email) OR {_OURS}",
                ExpressionAttributeValues=_VALUES,
            ),
        )
        if isinstance(written, ConditionFailed):
            raise ServiceUnavailable(f"{_SERVICE} has a row of another type under that key")

    async def remove(self, key: str) -> None:
        await conditional(
            _SERVICE,
            self._client.delete_item(
                TableName=self._table,
                Key={"email": {"S": key}},
                ConditionExpression=_OURS,
                ExpressionAttributeValues=_VALUES,
            ),
        )
