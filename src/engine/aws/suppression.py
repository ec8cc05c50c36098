"""The suppression table: addresses that must get no more mail."""

from typing import TYPE_CHECKING

from engine.aws.dynamodb import conditional, to_item
from engine.schemas.rows import SuppressionRow

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient


class SuppressionList:
    """Implements `SuppressionWriter`."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    async def add(self, row: SuppressionRow) -> None:
        await conditional(
            "DynamoDB (Suppression)",
            self._client.put_item(
                TableName=self._table,
                Item=to_item(row),
                # A person who has only unsubscribed gets other mail; a bounce or complaint stops all of it.
                ConditionExpression="attribute_not_exists(email) OR suppressionType = :unsubscribe",
                ExpressionAttributeValues={":unsubscribe": {"S": "unsubscribe"}},
            ),
        )
