"""Requests kept for a soft-bounce retry."""

import base64
import random
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import pytest
from tests.support.real_clients import items, make_table, opened

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


async def kept(table: Table, email_id: str, claim_id: str = "c1") -> dict[str, Any] | None:
    """What is kept of a request, field by field: it may come back as a type that tolerates more."""
    request = await table.payloads.read(claim_id, email_id)
    return msgspec.structs.asdict(request) if request else None


def fields(request: EmailRequest) -> dict[str, Any]:
    return msgspec.structs.asdict(request)


def with_attachment(size: int) -> EmailRequest:
    """A request that no compression makes much smaller; the same for the same size."""
    content = base64.b64encode(random.Random(1).randbytes(size)).decode()  # noqa: S311 - bytes, not secrets
    file = Attachment(file_name="a.bin", content_type="application/octet-stream", content=content)
    return EmailRequest(to="ada@example.com", template_name="welcome", attachments=[file])


async def test_a_request_comes_back_as_it_was_saved(table: Table) -> None:
    await table.payloads.save("c1", {"e1": REQUEST})
    assert await kept(table, "e1") == fields(REQUEST)


async def test_a_request_that_was_never_saved_or_has_expired_is_none(table: Table) -> None:
    await table.payloads.save("c1", {"e1": REQUEST})
    assert await kept(table, "e2") is None
    assert await kept(table, "e1", claim_id="c2") is None


async def test_a_request_is_compressed_and_gone_after_four_days_told_in_seconds(table: Table) -> None:
    long = EmailRequest(to="ada@example.com", template_name="welcome", template_data={"text": "so " * 5000})
    await table.payloads.save("c1", {"e1": long})
    (item,) = await items(table.client, table.name)
    assert len(item["body"]["B"]) < 1000
    assert datetime.fromtimestamp(int(item["ttl"]["N"]), UTC) == NOW + timedelta(days=4)


async def test_the_requests_of_one_claim_lie_together_in_one_item(table: Table) -> None:
    requests = {
        f"e{number}": msgspec.structs.replace(REQUEST, to=f"{number}@example.com") for number in range(100)
    }
    await table.payloads.save("c1", requests)
    assert await table.keys() == ["payload#c1"]
    assert await kept(table, "e0") == fields(requests["e0"])
    assert await kept(table, "e99") == fields(requests["e99"])


async def test_saving_again_changes_nothing(table: Table) -> None:
    for _ in range(2):
        await table.payloads.save("c1", {"e1": REQUEST})
    assert await table.keys() == ["payload#c1"]
    assert await kept(table, "e1") == fields(REQUEST)


async def test_claims_do_not_meet(table: Table) -> None:
    other = msgspec.structs.replace(REQUEST, template_name="other")
    await table.payloads.save("c1", {"e1": REQUEST})
    await table.payloads.save("c2", {"e1": other})
    assert await kept(table, "e1", "c1") == fields(REQUEST)
    assert await kept(table, "e1", "c2") == fields(other)


async def test_requests_that_do_not_fit_together_have_items_of_their_own(table: Table) -> None:
    requests = {"e1": REQUEST, "e2": with_attachment(400_000), "e3": with_attachment(200_000)}
    await table.payloads.save("c1", requests)
    assert await table.keys() == ["payload#c1#e1", "payload#c1#e2", "payload#c1#e2#1", "payload#c1#e3"]
    for email_id, request in requests.items():
        assert await kept(table, email_id) == fields(request)


async def test_a_large_request_alone_goes_over_several_items_and_comes_back_whole(table: Table) -> None:
    large = with_attachment(600_000)
    await table.payloads.save("c1", {"e1": large})
    assert await table.keys() == ["payload#c1#e1", "payload#c1#e1#1"]
    assert await kept(table, "e1") == fields(large)


async def test_a_large_request_of_which_a_part_has_expired_is_none(table: Table) -> None:
    for part in ("payload#c1#e1", "payload#c1#e1#1"):
        await table.payloads.save("c1", {"e1": with_attachment(600_000)})
        await table.client.delete_item(TableName=table.name, Key={"pk": {"S": part}})
        assert await kept(table, "e1") is None


async def test_no_item_is_larger_than_dynamodb_takes(table: Table) -> None:
    await table.payloads.save("c1", {"e1": with_attachment(600_000)})
    sizes = [len(item["body"]["B"]) for item in await items(table.client, table.name)]
    assert max(sizes) <= 400 * 1024 - 1024  # the other attributes fit into a kilobyte


async def test_what_a_newer_version_kept_is_read_without_what_it_added(table: Table) -> None:
    body = {"e1": msgspec.to_builtins(REQUEST) | {"sendAt": "2030-01-01T00:00:00Z"}}
    item = {
        "pk": {"S": "payload#c1"},
        "part": {"N": "0"},
        "parts": {"N": "1"},
        "body": {"B": zlib.compress(msgspec.json.encode(body))},
    }
    await table.client.put_item(TableName=table.name, Item=item)
    assert await kept(table, "e1") == fields(REQUEST)


async def test_forgetting_a_request_leaves_those_that_lie_with_it_for_as_long_as_before(table: Table) -> None:
    await table.payloads.save("c1", {"e1": REQUEST, "e2": REQUEST})
    (before,) = await items(table.client, table.name)
    later = RequestPayloads(table.client, table.name, lambda: NOW + timedelta(days=1))
    assert await later.remove("c1", "e1") is True
    assert (await kept(table, "e1"), await kept(table, "e2")) == (None, fields(REQUEST))
    (after,) = await items(table.client, table.name)
    assert after["ttl"] == before["ttl"]
    assert await later.remove("c1", "e1") is False
    assert await later.remove("c1", "e2") is True
    assert await table.keys() == []
    assert await later.remove("c1", "e2") is False


async def test_a_request_of_several_items_is_forgotten_whole(table: Table) -> None:
    await table.payloads.save("c1", {"e1": REQUEST, "e2": with_attachment(600_000)})
    assert await table.payloads.remove("c1", "e2") is True
    assert await table.keys() == ["payload#c1#e1"]
