"""The brakes of a stack: set, lifted and listed.

State is never read whole: the commands keep the keys of the brakes that they set in one item. A brake that
was written by hand is not in it and holds all the same; those for all mail and for bulk mail, which the
engine sets by itself too, are always looked at.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from engine.aws.dynamodb import from_item, get_items, plain, to_item
from engine.aws.error_codes import service_errors
from engine.operations.stack import DeployedStack
from engine.schemas.rows import BrakeRow
from engine.tracking.brakes import STOP, STOP_ALL, STOP_BULK

# Begins as a brake's key does, so that an operator who may write brakes may write this as well.
LIST: Final = f"{STOP}list"
_SERVICE: Final = "DynamoDB (State)"


class Brakes:
    """Every method may raise ServiceUnavailable. Reads are consistent: they see what was written before."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    async def set(self, brake: BrakeRow) -> BrakeRow | None:
        """Set a brake; the answer is the one that it takes the place of."""
        await self._list("ADD", brake.pk)  # first: one that dies here must not leave a brake unlisted
        with service_errors(_SERVICE):
            answer = await self._client.put_item(
                TableName=self._table, Item=to_item(brake), ReturnValues="ALL_OLD"
            )
        await self._list("ADD", brake.pk)  # again: somebody may have lifted it, and its key, in between
        return _brake(answer)

    async def lift(self, key: str) -> BrakeRow | None:
        """Take a brake away; the answer is what was there."""
        with service_errors(_SERVICE):
            answer = await self._client.delete_item(
                TableName=self._table, Key={"pk": {"S": key}}, ReturnValues="ALL_OLD"
            )
        await self._list("DELETE", key)
        if await self.read([key]):  # set again in between, and listed before this took its key away
            await self._list("ADD", key)
        return _brake(answer)

    async def read(self, keys: Iterable[str]) -> dict[str, BrakeRow]:
        """Those of the brakes that are set, by their keys."""
        wanted = {self._table: [{"pk": key} for key in dict.fromkeys(keys)]}
        found = (await get_items(self._client, wanted, consistent=True))[self._table]
        brakes = [from_item(item, BrakeRow) for item in found]
        return {brake.pk: brake for brake in brakes}

    async def listing(self) -> list[BrakeRow]:
        """The brakes that are set, the oldest first."""
        with service_errors(_SERVICE):
            answer = await self._client.get_item(
                TableName=self._table, Key={"pk": {"S": LIST}}, ConsistentRead=True
            )
        listed: Any = plain(answer["Item"]["brakes"]) if "brakes" in answer.get("Item", {}) else ()
        brakes = await self.read([STOP_ALL, STOP_BULK, *sorted(listed)])
        return sorted(brakes.values(), key=lambda brake: (brake.since, brake.pk))

    async def _list(self, change: str, key: str) -> None:
        with service_errors(_SERVICE):
            await self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": LIST}},
                UpdateExpression=f"{change} brakes :brakes",
                ExpressionAttributeValues={":brakes": {"SS": [key]}},
            )


def _brake(answer: Mapping[str, Any]) -> BrakeRow | None:
    return from_item(answer["Attributes"], BrakeRow) if answer.get("Attributes") else None


async def open_brakes(stack: DeployedStack) -> Brakes:
    return Brakes(await stack.client("dynamodb"), stack.state_table)
