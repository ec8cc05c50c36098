"""The rate state as one item of the State table, `rate#line`.

All environments meet on this item, a few times a second each; one item takes 1,000 writes a second.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
Every claim is one conditional write, which a retry after a lost answer can only repeat: slots may be wasted,
never handed out twice.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from engine.aws.dynamodb import CONDITION_FAILED, attribute, from_item
from engine.aws.error_codes import is_code, service_errors
from engine.rate.gcra import SECOND, TOO_FAR_AHEAD, Availability, RateState, SlotRequest
from engine.rate.shared_state import Answer

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

KEY: Final = {"pk": {"S": "rate#line"}}
_KEPT: Final = 86_400  # seconds; a state that old says nothing any more


class RateItem:
    """Implements `RateTable`."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    async def read(self) -> RateState:
        with service_errors("DynamoDB (State)"):
            answer = await self._client.get_item(TableName=self._table, Key=KEY, ConsistentRead=True)
        return from_item(answer.get("Item", {}), RateState)

    async def claim(self, request: SlotRequest, available: Availability) -> Answer:
        values: dict[str, float] = {":now": request.now}
        if available is Availability.OPEN:
            update = "SET #until = #until + :length"
            condition = "#until BETWEEN :now AND :latest"
            values |= {":length": request.length, ":latest": request.latest}
            if request.bulk_limit is not None:
                # Before the first bulk claim there is no bulkDue; then bulk mail is due, as in RateState().
                condition += " AND (#until <= :limit OR attribute_not_exists(bulkDue) OR bulkDue <= :now)"
                values[":limit"] = request.bulk_limit
        else:
            update = "SET #until = :end"
            condition = "attribute_not_exists(#until) OR #until < :now OR #until > :absurd"
            values |= {":end": request.now + request.length, ":absurd": request.now + TOO_FAR_AHEAD}
        if request.bulk_limit is not None:
            update += ", bulkDue = :due"
            values[":due"] = request.next_bulk_tat
        return await self._update(update, condition, values, request.now)

    async def decrease(self, factor: float, now: int, seen: int) -> RateState:
        update = "SET rateFactor = :factor, throttledAt = :now"
        condition = "attribute_not_exists(throttledAt) OR throttledAt <= :seen"
        answer = await self._update(update, condition, {":factor": factor, ":now": now, ":seen": seen}, now)
        return answer.state

    async def publish_rate(self, rate: float, rate_at: int) -> RateState:
        update = "SET rate = :rate, rateAt = :at"
        condition = "attribute_not_exists(rateAt) OR rateAt < :at"
        answer = await self._update(update, condition, {":rate": rate, ":at": rate_at}, rate_at * SECOND)
        return answer.state

    async def _update(self, update: str, condition: str, values: Mapping[str, float], now: int) -> Answer:
        reserved = {"#until": "until", "#ttl": "ttl"}  # words; DynamoDB refuses a name that is not used, too
        update += ", #ttl = :ttl"
        values = {**values, ":ttl": now // SECOND + _KEPT}
        with service_errors("DynamoDB (State)"):
            try:
                answer: Any = await self._client.update_item(
                    TableName=self._table,
                    Key=KEY,
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ExpressionAttributeNames={name: reserved[name] for name in reserved if name in update},
                    ExpressionAttributeValues={name: attribute(value) for name, value in values.items()},
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except ClientError as error:
                if not is_code(error, CONDITION_FAILED):
                    raise
                refused: Any = error.response
                return Answer(granted=False, state=from_item(refused.get("Item", {}), RateState))
        return Answer(granted=True, state=from_item(answer["Attributes"], RateState))
