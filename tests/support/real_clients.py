"""Clients with the engine's own settings, and tables of a test's own, for tests of one adapter."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aioboto3
from aiobotocore.config import AioConfig

from engine.aws.clients import CONFIG

# One for all tests: it keeps what it has read of botocore's data, which is most of what a client costs.
# Any, because its overloads want the service's name as a literal.
SESSION: Any = aioboto3.Session(
    aws_access_key_id="testing", aws_secret_access_key="testing", region_name="eu-west-1"
)


# DynamoDB writes an item in one step; moto, with a thread a request, does not. So its requests queue up.
ONE_AT_A_TIME = CONFIG.merge(AioConfig(max_pool_connections=1))


@asynccontextmanager
async def opened(service: str, endpoint: str, config: AioConfig = CONFIG) -> AsyncIterator[Any]:
    async with SESSION.client(service, endpoint_url=endpoint, config=config) as client:
        yield client


async def make_table(client: Any, key: str, indexes: dict[str, tuple[str, ...]] | None = None) -> str:
    """A table with string keys; the indexes are given by name, each with its key attributes."""
    name = f"table-{uuid4().hex}"
    attributes = {key, *(attribute for keys in (indexes or {}).values() for attribute in keys)}
    more: dict[str, Any] = {}
    if indexes:
        more["GlobalSecondaryIndexes"] = [
            {"IndexName": index, "KeySchema": _keys(*keys), "Projection": {"ProjectionType": "KEYS_ONLY"}}
            for index, keys in indexes.items()
        ]
    await client.create_table(
        TableName=name,
        KeySchema=_keys(key),
        AttributeDefinitions=[{"AttributeName": one, "AttributeType": "S"} for one in sorted(attributes)],
        BillingMode="PAY_PER_REQUEST",
        **more,
    )
    return name


def _keys(*attributes: str) -> list[dict[str, str]]:
    kinds = ("HASH", "RANGE")
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(attributes, kinds, strict=False)]


async def items(client: Any, table: str) -> list[dict[str, Any]]:
    """Everything in the table, in DynamoDB's notation."""
    answer = await client.scan(TableName=table)
    return list(answer["Items"])
