"""Items of a table, as many as an operator asks for."""

from collections.abc import Sequence
from typing import Any

from engine.aws.dynamodb import GET_LIMIT, Key, chunks, get_items
from engine.concurrency import concurrently
from engine.operations.sentences import one_error


async def get_many(client: Any, table: str, keys: Sequence[Key]) -> list[Any]:
    """As `get_items`, of one table, with all calls at once."""
    with one_error():
        answers = await concurrently(get_items(client, {table: part}) for part in chunks(keys, GET_LIMIT))
    return [item for answer in answers for item in answer[table]]
