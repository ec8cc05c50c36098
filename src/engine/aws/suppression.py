"""The suppression table: addresses that must get no more mail."""

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

        A `#` may stand in an address, and such a one may spell somebody else's opt-out: that is left alone.
        """
        bare = "" if "#" in row.email else " OR suppressionType = :unsubscribe"
        values: Any = {} if "#" in row.email else {":unsubscribe": {"S": UNSUBSCRIBE}}
        written = await conditional(
            _SERVICE,
            self._client.put_item(
                TableName=self._table,
                Item=to_item(row),
                # A person who has only unsubscribed gets other mail; a bounce or complaint stops all of it.
                ConditionExpression=f"attribute_not_exists(email){bare}",
                ReturnValues="ALL_OLD",
                **({"ExpressionAttributeValues": values} if values else {}),
            ),
        )
        if isinstance(written, ConditionFailed) or not (opt_out := written.get("Attributes")):
            return
        with service_errors(_SERVICE):
            await self._client.put_item(
                TableName=self._table, Item={**opt_out, "email": {"S": opt_out_key(row.email)}}
            )
