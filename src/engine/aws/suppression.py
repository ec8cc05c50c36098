"""The suppression table: addresses that must get no more mail."""

from typing import TYPE_CHECKING, Any, Final

from engine.aws.dynamodb import ConditionFailed, conditional, to_item
from engine.aws.error_codes import service_errors
from engine.schemas.rows import SuppressionRow
from engine.tracking.consent import UNSUBSCRIBE, opt_out_key

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient


_SERVICE: Final = "DynamoDB (Suppression)"
_UNSUBSCRIBED: Final[Any] = {"S": UNSUBSCRIBE}


class SuppressionList:
    """Implements `SuppressionWriter`."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    async def add(self, row: SuppressionRow) -> None:
        """Suppress the address; an opt-out that lies under the bare address moves to its own key.

        A `#` may stand in an address, and such a one may spell somebody else's opt-out: that is left alone.
        """
        new: Any = {"TableName": self._table, "Item": to_item(row)}
        written = await conditional(
            _SERVICE,
            self._client.put_item(
                **new,
                ConditionExpression="attribute_not_exists(email)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            ),
        )
        if not isinstance(written, ConditionFailed) or "#" in row.email:
            return
        opt_out = written.item or {}
        if opt_out.get("suppressionType") != _UNSUBSCRIBED:
            return
        # A person who has only unsubscribed gets other mail; a bounce or complaint stops all of it. Both at
        # once, so that neither a death in between nor a person who comes back meanwhile undoes the other.
        moved: Any = {"TableName": self._table, "Item": {**opt_out, "email": {"S": opt_out_key(row.email)}}}
        replaced: Any = {
            **new,
            "ConditionExpression": "suppressionType = :unsubscribe",
            "ExpressionAttributeValues": {":unsubscribe": _UNSUBSCRIBED},
        }
        with service_errors(_SERVICE):
            await self._client.transact_write_items(TransactItems=[{"Put": moved}, {"Put": replaced}])
