"""The suppression table: addresses that must get no more mail."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from engine.aws.dynamodb import ConditionFailed, conditional, to_item
from engine.aws.error_codes import service_errors
from engine.schemas.rows import SuppressionRow
from engine.tracking.consent import UNSUBSCRIBE, opt_out_key

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient


_SERVICE: Final = "DynamoDB (Suppression)"


class SuppressionList:
    """Implements `SuppressionWriter`."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    async def add(self, row: SuppressionRow) -> None:
        """Suppress the address; an opt-out that lies under the bare address moves to its own key.

        That comes first: whoever tries again after half of it finds both, and no opt-out is lost. A `#` may
        stand in an address, and such a one may spell somebody else's opt-out: that is left alone.
        """
        there = await self._put(row, "attribute_not_exists(email)")
        if not there or there.get("suppressionType") != {"S": UNSUBSCRIBE} or "#" in row.email:
            return
        with service_errors(_SERVICE):
            await self._client.put_item(
                TableName=self._table, Item={**there, "email": {"S": opt_out_key(row.email)}}
            )
        # A person who has only unsubscribed gets other mail; a bounce or complaint stops all of it.
        condition = "attribute_not_exists(email) OR suppressionType = :unsubscribe"
        await self._put(row, condition, {":unsubscribe": {"S": UNSUBSCRIBE}})

    async def _put(
        self, row: SuppressionRow, condition: str, values: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any] | None:
        """What is there already and stays, if anything."""
        named: Any = {"ExpressionAttributeValues": values} if values else {}
        written = await conditional(
            _SERVICE,
            self._client.put_item(
                TableName=self._table,
                Item=to_item(row),
                ConditionExpression=condition,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **named,
            ),
        )
        return written.item if isinstance(written, ConditionFailed) else None
