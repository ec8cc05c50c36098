"""The shared line of send slots as one item of the State table: `rate#line`.

All environments meet on this item, about once a second each; one item takes 1,000 writes a second.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
Every claim is one conditional write, which a retry after a lost answer can only repeat: slots may be wasted,
never handed out twice.
"""

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from botocore.exceptions import ClientError
from msgspec import Struct

from engine.aws.dynamodb import CONDITION_FAILED, attribute
from engine.aws.error_codes import is_code, service_errors
from engine.rate.gcra import ABSURD, SECOND, Claim, Line

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

KEY: Final = {"pk": {"S": "rate#line"}}
_KEPT: Final = 86_400  # seconds; a line that old says nothing any more
_APPEND: Final = "SET #until = #until + :length"
_RESTART: Final = "SET #until = :end"


class Answer(Struct, frozen=True):
    """`done`: whether the write took place. `line`: after it, or as it stands in its way.

    `date`: the second (epoch) in which the table says it answered, None where it does not say.
    """

    done: bool
    line: Line
    date: int | None = None


class RateTable(Protocol):
    """The one item, with its three conditional writes. Each may raise ServiceUnavailable."""

    async def read(self) -> Answer: ...

    async def append(self, claim: Claim) -> Answer:
        """Hand out the stretch where the line ends, if it is OPEN to the claim."""
        ...

    async def restart(self, claim: Claim) -> Answer:
        """Hand out the stretch from the claim's earliest moment, if the line is BEHIND it."""
        ...

    async def close(self, openness: float, now: int) -> Answer:
        """Keep what a throttle leaves open, unless another throttle did within the second before."""
        ...


class StateRateTable:
    """Implements `RateTable`."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    async def read(self) -> Answer:
        with service_errors("DynamoDB (State)"):
            answer = await self._client.get_item(TableName=self._table, Key=KEY, ConsistentRead=True)
        return Answer(done=True, line=_line(answer.get("Item", {})), date=_date(answer))

    async def append(self, claim: Claim) -> Answer:
        values = {":length": claim.length, ":earliest": claim.earliest, ":last": claim.last}
        condition = "#until BETWEEN :earliest AND :last"
        if claim.bulk_due is None:
            values[":last"] = min(claim.latest, claim.last)
        else:
            # An item from before the first bulk claim has no #due; then bulk is due, as in Line().
            condition += " AND (#until <= :latest OR attribute_not_exists(#due) OR #due <= :now)"
            values |= {":latest": claim.latest, ":now": claim.now}
        return await self._claim(claim, _APPEND, condition, values)

    async def restart(self, claim: Claim) -> Answer:
        values = {
            ":end": claim.earliest + claim.length,
            ":earliest": claim.earliest,
            ":absurd": claim.now + ABSURD,
        }
        condition = "attribute_not_exists(#until) OR #until < :earliest OR #until > :absurd"
        return await self._claim(claim, _RESTART, condition, values)

    async def close(self, openness: float, now: int) -> Answer:
        return await self._update(
            "SET #openness = :openness, #throttled = :now",
            "attribute_not_exists(#throttled) OR #throttled <= :young",
            {"#openness": "openness", "#throttled": "throttledAt"},
            {":openness": openness, ":now": now, ":young": now - SECOND},
            now,
        )

    async def _claim(self, claim: Claim, update: str, condition: str, values: Mapping[str, float]) -> Answer:
        names = {"#until": "until"}
        if claim.told:
            update += ", #rate = :rate, #rateAt = :rateAt"
            names |= {"#rate": "rate", "#rateAt": "rateAt"}
            values = {**values, ":rate": claim.told, ":rateAt": claim.told_at}
        added = ""
        if claim.bulk_due is not None:
            update += ", #due = :due"
            added = " ADD #claims :one"
            names |= {"#due": "bulkDue", "#claims": "bulkClaims"}
            values = {**values, ":due": claim.bulk_due, ":one": 1}
        return await self._update(update, condition, names, values, claim.now, added)

    async def _update(  # noqa: PLR0917 - the parts of one expression, from two callers
        self,
        update: str,
        condition: str,
        names: dict[str, str],
        values: Mapping[str, float],
        now: int,
        added: str = "",
    ) -> Answer:
        values = {**values, ":ttl": now // SECOND + _KEPT}
        with service_errors("DynamoDB (State)"):
            try:
                answer: Any = await self._client.update_item(
                    TableName=self._table,
                    Key=KEY,
                    UpdateExpression=f"{update}, #ttl = :ttl{added}",
                    ConditionExpression=condition,
                    ExpressionAttributeNames=names | {"#ttl": "ttl"},
                    ExpressionAttributeValues={name: attribute(value) for name, value in values.items()},
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except ClientError as error:
                if not is_code(error, CONDITION_FAILED):
                    raise
                refused: Any = error.response
                return Answer(done=False, line=_line(refused.get("Item", {})), date=_date(refused))
        return Answer(done=True, line=_line(answer["Attributes"]), date=_date(answer))


def _line(item: Any) -> Line:
    """The item as a line; what is not there is as it was before anything happened."""
    numbers = {name: value["N"] for name, value in item.items() if "N" in value}
    return Line(
        until=int(numbers.get("until", 0)),
        bulk_due=int(numbers.get("bulkDue", 0)),
        bulk_claims=int(numbers.get("bulkClaims", 0)),
        openness=float(numbers.get("openness", 1)),
        throttled_at=int(numbers.get("throttledAt", 0)),
        rate=float(numbers.get("rate", 0)),
        rate_at=int(numbers.get("rateAt", 0)),
    )


def _date(answer: Any) -> int | None:
    """The answer's HTTP date (https://www.rfc-editor.org/rfc/rfc9110#field.date), if it is one."""
    text = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())
