"""Requests kept for a soft-bounce retry."""

import base64
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from tests.real_clients import items, make_table, opened

from engine.aws.payloads import RequestPayloads
from engine.schemas.request import Attachment, EmailRequest

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
REQUEST = EmailRequest(
    to="ada@example.com",
    template_name="welcome",
    template_data={"name": "Ädä", "orders": [{"total": 9.5}]},
    idempotency_key="order-1042",
    metadata={"orderId": "1042"},
)


class Table(NamedTuple):
    client: Any
    name: str

    @property
    def payloads(self) -> RequestPayloads:
        return RequestPayloads(self.client, self.name, lambda: NOW)

    async def keys(self) -> list[str]:
        return sorted(item["pk"]["S"] for item in await items(self.client, self.name))


@pytest.fixture
async def table(aws_endpoint: str) -> AsyncIterator[Table]:
    async with opened("dynamodb", aws_endpoint) as client:
        yield Table(client, await make_table(client, "pk"))


def with_attachment(size: int) -> EmailRequest:
    """A request that no compression makes much smaller; the same for the same size."""
    content = base64.b64encode(random.Random(1).randbytes(size)).decode()  # noqa: S311 - bytes, not secrets
    file = Attachment(file_name="a.bin", content_type="application/octet-stream", content=content)
    return EmailRequest(to="ada@example.com", template_name="welcome", attachments=[file])


async def test_a_request_comes_back_as_it_was_saved(table: Table) -> None:
    await table.payloads.save({"e1": REQUEST})
    assert await table.payloads.read("e1") == REQUEST


async def test_a_request_that_was_never_saved_or_has_expired_is_none(table: Table) -> None:
    assert await table.payloads.read("e1") is None


async def test_a_request_is_compressed_and_gone_after_four_days_told_in_seconds(table: Table) -> None:
    long = EmailRequest(to="ada@example.com", template_name="welcome", template_data={"text": "so " * 5000})
    await table.payloads.save({"e1": long})
    (item,) = await items(table.client, table.name)
    assert len(item["body"]["B"]) < 1000
    assert datetime.fromtimestamp(int(item["ttl"]["N"]), UTC) == NOW + timedelta(days=4)


async def test_a_large_request_goes_over_several_items_and_comes_back_whole(table: Table) -> None:
    large = with_attachment(600_000)
    await table.payloads.save({"e1": large})
    assert await table.keys() == ["payload#e1", "payload#e1#1"]
    assert await table.payloads.read("e1") == large


async def test_a_large_request_of_which_a_part_has_expired_is_none(table: Table) -> None:
    await table.payloads.save({"e1": with_attachment(600_000)})
    await table.client.delete_item(TableName=table.name, Key={"pk": {"S": "payload#e1#1"}})
    assert await table.payloads.read("e1") is None


async def test_many_requests_are_saved_at_once_and_saving_again_changes_nothing(table: Table) -> None:
    requests = {f"e{number}": REQUEST for number in range(30)}
    await table.payloads.save(requests)
    await table.payloads.save(requests)
    assert await table.keys() == sorted(f"payload#{email_id}" for email_id in requests)
    assert await table.payloads.read("e29") == REQUEST


async def test_no_item_is_larger_than_dynamodb_takes(table: Table) -> None:
    await table.payloads.save({"e1": with_attachment(600_000)})
    sizes = [len(item["body"]["B"]) for item in await items(table.client, table.name)]
    assert max(sizes) <= 400 * 1024 - 1024  # the other attributes fit into a kilobyte
