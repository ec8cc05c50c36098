"""What a batch must know before it sends, out of both tables in one BatchGetItem."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from engine.aws.batches import get_items
from engine.aws.bounce_quota import counter_keys, quota_reading
from engine.aws.dynamodb import from_item
from engine.schemas.rows import SuppressionRow
from engine.tracking.ports import PreSendChecks

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient


class PreSendTables:
    """Implements `PreSendReader`. A batch that asks for more keys than a call takes makes several calls."""

    def __init__(self, client: "DynamoDBClient", *, suppression_table: str, state_table: str) -> None:
        self._client = client
        self._suppression = suppression_table
        self._state = state_table

    async def read(self, addresses: Collection[str], date: str) -> PreSendChecks:
        keys = {
            self._suppression: [{"email": address} for address in sorted(set(addresses))],
            self._state: [{"pk": key} for key in counter_keys(date)],
        }
        found = await get_items(self._client, keys)
        rows = [from_item(item, SuppressionRow) for item in found[self._suppression]]
        return PreSendChecks({row.email: row for row in rows}, quota_reading(found[self._state]))
