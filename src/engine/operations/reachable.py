"""Which of many addresses the suppression table keeps mail from."""

from collections.abc import Collection, Mapping
from typing import Any

from engine.aws.dynamodb import from_item
from engine.operations.items import get_many
from engine.operations.stack import DeployedStack
from engine.requests.addresses import address_key, spellings
from engine.schemas.rows import SuppressionRow
from engine.tracking.consent import UNSUBSCRIBE, opt_out_keys


class Reachability:
    """`topic`: of the mail that is meant; mail without one looks at no consent."""

    def __init__(self, client: Any, table: str, topic: str | None) -> None:
        self._client = client
        self._table = table
        self._topic = topic

    async def kept_from(self, addresses: Collection[str]) -> Mapping[str, SuppressionRow]:
        """The rows that keep mail from addresses, by address key. Raises ServiceUnavailable."""
        keys = {key: address for address in map(address_key, addresses) for key in self._keys(address)}
        items = await get_many(self._client, self._table, [{"email": key} for key in keys])
        rows = [from_item(item, SuppressionRow) for item in items]
        return {keys[row.email]: row for row in rows if self._binds(row)}

    def _keys(self, address: str) -> list[str]:
        spelled = spellings(address)
        topic = self._topic
        opt_outs = [key for spelling in spelled for key in opt_out_keys(topic, spelling)] if topic else []
        return [*spelled, *opt_outs]

    def _binds(self, row: SuppressionRow) -> bool:
        return self._topic is not None or row.suppression_type != UNSUBSCRIBE


async def open_reachability(stack: DeployedStack, topic: str | None) -> Reachability:
    return Reachability(await stack.client("dynamodb"), stack.suppression_table, topic)
