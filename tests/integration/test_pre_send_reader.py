"""What a batch must know before it sends: suppressed addresses and the day's counters, in one read."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError
from tests.support.real_clients import make_table, opened

from engine.aws.pre_send_checks import SHARDS, DailyCounters, PreSendTables
from engine.aws.suppression import SuppressionList
from engine.errors import ServiceUnavailable
from engine.schemas.rows import BrakeRow, SuppressionRow
from engine.tracking.bounce_quota import QuotaReading
from engine.tracking.consent import opt_out_keys
from engine.tracking.ports import PreSendChecks

TODAY = "2026-11-24"
ADA = SuppressionRow(email="ada@example.com", suppression_type="bounce", reason="hard-bounce")


class Tables(NamedTuple):
    client: Any
    suppression: str
    state: str

    @property
    def reader(self) -> PreSendTables:
        return PreSendTables(self.client, suppression_table=self.suppression, state_table=self.state)

    async def read(
        self, *addresses: str, brakes: Sequence[str] = (), opt_outs: Sequence[str] = ()
    ) -> PreSendChecks:
        return await self.reader.read(addresses, TODAY, brakes, opt_outs)

    async def suppress(self, *rows: SuppressionRow) -> None:
        suppression = SuppressionList(self.client, self.suppression)
        await asyncio.gather(*map(suppression.add, rows))


@pytest.fixture
async def tables(aws_endpoint: str) -> AsyncIterator[Tables]:
    async with opened("dynamodb", aws_endpoint) as client:
        yield Tables(client, await make_table(client, "email"), await make_table(client, "pk"))


async def test_where_nothing_is_known_nothing_is_suppressed_and_nothing_was_sent(tables: Tables) -> None:
    assert await tables.read("ada@example.com") == PreSendChecks({}, QuotaReading(sends=0, bounces=0))


async def test_suppressed_addresses_come_with_their_reasons_and_counters_as_sums(tables: Tables) -> None:
    await tables.suppress(ADA)
    shards = iter([*range(SHARDS), 0])
    counters = DailyCounters(tables.client, tables.state, lambda _: next(shards))
    for _ in range(SHARDS):
        await counters.count_sends(TODAY, 10)
    await counters.count_bounce(TODAY)
    assert await tables.read("ada@example.com", "bob@example.com") == PreSendChecks(
        {"ada@example.com": ADA}, QuotaReading(sends=10 * SHARDS, bounces=1)
    )


async def test_an_address_that_is_named_twice_is_asked_about_once(tables: Tables) -> None:
    """DynamoDB refuses a batch with the same key twice."""
    await tables.suppress(ADA)
    assert (await tables.read(ADA.email, ADA.email)).suppressed == {ADA.email: ADA}


async def test_more_addresses_than_one_call_takes_are_found_all_the_same(tables: Tables) -> None:
    addresses = [f"a{number}@example.com" for number in range(230)]
    suppressed = addresses[::20]
    await tables.suppress(*(SuppressionRow(email=address) for address in suppressed))
    assert set((await tables.read(*addresses)).suppressed) == set(suppressed)


@pytest.mark.parametrize("odd", [{}, {"reason": {"N": "7"}, "addedToSuppressionDate": {"M": {}}}])
async def test_a_row_that_a_person_put_there_by_hand_suppresses(tables: Tables, odd: dict[str, Any]) -> None:
    item = {"email": {"S": "eve@example.com"}, **odd}
    await tables.client.put_item(TableName=tables.suppression, Item=item)
    found = (await tables.read("eve@example.com")).suppressed
    assert found["eve@example.com"].suppression_type == "manual"


@pytest.mark.parametrize("by_hand", ["user@bücher.example", "user@xn--bcher-kva.example"])
async def test_a_row_by_hand_suppresses_in_either_form_of_its_domain(tables: Tables, by_hand: str) -> None:
    await tables.suppress(SuppressionRow(email=by_hand))
    assert set((await tables.read("user@xn--bcher-kva.example")).suppressed) == {"user@xn--bcher-kva.example"}


async def test_brakes_that_are_set_come_with_their_reasons(tables: Tables) -> None:
    brake = BrakeRow(pk="stop#bulk", because="wrong price", by="ops", since="2026-11-24T08:00:00.000Z")
    assert await tables.reader.set_brake(brake)
    assert not await tables.reader.set_brake(BrakeRow(pk="stop#bulk", because="another reason"))
    keys = ["stop#all", "stop#bulk"]
    assert (await tables.read("ada@example.com", brakes=keys)).brakes == {"stop#bulk": brake}
    assert await tables.reader.read_brakes(keys) == {"stop#bulk": brake}


@pytest.mark.parametrize("odd", [{}, {"because": {"N": "7"}, "ttl": {"N": "1"}, "since": {"NULL": True}}])
async def test_a_brake_that_a_person_put_there_by_hand_is_set(tables: Tables, odd: dict[str, Any]) -> None:
    await tables.client.put_item(TableName=tables.state, Item={"pk": {"S": "stop#all"}, **odd})
    assert set((await tables.read(brakes=["stop#all"])).brakes) == {"stop#all"}
    assert set(await tables.reader.read_brakes(["stop#all"])) == {"stop#all"}


async def test_opt_outs_come_by_the_keys_that_were_asked_for_and_suppress_nobody(tables: Tables) -> None:
    rows = {
        key: SuppressionRow(email=key, suppression_type="unsubscribe")
        for key in ("news#ada@example.com", "*#bob@example.com", "cy@example.com", "news#di@bücher.example")
    }
    await tables.suppress(*rows.values())
    addresses = ["ada@example.com", "bob@example.com", "cy@example.com", "di@xn--bcher-kva.example"]
    keys = [key for address in addresses for key in opt_out_keys("news", address)]
    checks = await tables.read(*addresses, opt_outs=keys)
    assert checks.suppressed == {}
    assert checks.opt_outs.keys() == {
        "news#ada@example.com",
        "*#bob@example.com",
        "*#cy@example.com",
        "news#di@xn--bcher-kva.example",
    }
    assert (await tables.reader.read_opt_outs(keys)).keys() == checks.opt_outs.keys() - {"*#cy@example.com"}


async def test_an_address_that_looks_like_an_opt_out_is_none(tables: Tables) -> None:
    """A `#` may stand in an address: that address has bounced, and nobody has unsubscribed."""
    key = "news#ada@example.com"
    await tables.suppress(SuppressionRow(email=key, suppression_type="bounce"))
    assert (await tables.read("ada@example.com", opt_outs=[key])).opt_outs == {}
    assert await tables.reader.read_opt_outs([key]) == {}
    assert (await tables.read(key)).suppressed.keys() == {key}


class Watched:
    """Lists how many keys each call asks for, and finds nothing, or fails."""

    def __init__(self, failure: Exception | None = None) -> None:
        self._failure = failure
        self.asked: list[dict[str, int]] = []

    async def batch_get_item(self, *, RequestItems: Any) -> dict[str, Any]:
        if self._failure:
            raise self._failure
        assert all(wanted["ConsistentRead"] for wanted in RequestItems.values())
        self.asked.append({table: len(wanted["Keys"]) for table, wanted in RequestItems.items()})
        return {"Responses": {}}


def reader(client: Any) -> PreSendTables:
    return PreSendTables(client, suppression_table="suppression", state_table="state")


async def test_both_tables_are_read_in_one_call_however_much_was_sent() -> None:
    client = Watched()
    await reader(client).read({"ada@example.com", "bob@example.com"}, TODAY, {"stop#all"}, ())
    assert client.asked == [{"suppression": 2, "state": SHARDS + 1}]


async def test_a_read_that_failed_is_no_leave_to_send() -> None:
    client = Watched(ClientError({"Error": {"Code": "ThrottlingException"}}, "BatchGetItem"))
    with pytest.raises(ServiceUnavailable, match=r"\(suppression, state\) BatchGetItem answered Throttling"):
        await reader(client).read({"ada@example.com"}, TODAY, (), ())
