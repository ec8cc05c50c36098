"""The sender's ledger for batches does what the ledger for single rows does, in far fewer calls."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from msgspec.structs import replace
from tests.support.emulated import emulator
from tests.support.real_clients import items, make_table, opened

from engine.aws.batched_ledger import BatchedLedger
from engine.aws.ledger import TrackingLedger
from engine.errors import FailureCode, Refusal, ServiceUnavailable
from engine.schemas.rows import TrackingRow
from engine.schemas.times import iso
from engine.tracking.ledger import Move, SenderLedger
from engine.tracking.lifecycle import RANK, Status

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
LEASE = NOW.timestamp() + 35.123456
REFUSAL = Refusal(FailureCode.SUPPRESSED, "ada's address is suppressed: hard-bounce")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with emulator(tmp_path_factory.mktemp("emulator")) as running:
        yield running.endpoint


@pytest.fixture
async def client(endpoint: str) -> AsyncIterator[Any]:
    async with opened("dynamodb", endpoint) as client:
        yield client


class Watched:
    """A client that lists its calls, and does with a batch of statements what it is told to."""

    def __init__(self, client: Any, *script: Callable[[Any], Awaitable[Any]]) -> None:
        self._client = client
        self._script = list(script)
        self.calls: list[str] = []
        self.requests: list[Any] = []  # of all calls but batches of statements

    def __getattr__(self, name: str) -> Any:
        async def call(**request: Any) -> Any:
            self.calls.append(name)
            self.requests.append(request)
            return await getattr(self._client, name)(**request)

        return call

    async def batch_execute_statement(self, **request: Any) -> Any:
        self.calls.append("batch_execute_statement")

        def execute() -> Awaitable[Any]:
            return self._client.batch_execute_statement(**request)  # type: ignore[no-any-return]  # a client of any kind

        return await (self._script.pop(0)(execute) if self._script else execute())


async def done_twice(execute: Callable[[], Awaitable[Any]]) -> Any:
    """The answer was lost, and the SDK repeated the call."""
    await execute()
    return await execute()


async def done_without_answer(execute: Callable[[], Awaitable[Any]]) -> Any:
    await execute()
    raise ReadTimeoutError(endpoint_url="https://dynamodb.eu-west-1.amazonaws.com")


async def throttled(_: Any) -> Any:
    raise ClientError({"Error": {"Code": "ThrottlingException"}}, "BatchExecuteStatement")


async def forbidden(_: Any) -> Any:
    raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "BatchExecuteStatement")


async def executed(execute: Callable[[], Awaitable[Any]]) -> Any:
    return await execute()


def claims(count: int, claim_id: str = "claim-1") -> list[TrackingRow]:
    return [
        TrackingRow(
            email_id=f"e{number:03}",
            to_email=f"{number}@example.com",
            timestamp=iso(NOW),
            date_partition="2026-11-24",
            claim_id=claim_id,
            lease_until=LEASE,
            request_hash=f"hash-{number}",
            metadata={"order": str(number)},
        )
        for number in range(count)
    ]


def sends(count: int) -> list[Move]:
    return [
        Move(email_id=row.email_id, to=Status.SENT, at=NOW, ses_message_id=f"ses-{row.email_id}")
        for row in claims(count)
    ]


async def table_of(client: Any) -> str:
    return await make_table(client, "emailId")


async def rows(client: Any, table: str) -> list[TrackingRow]:
    ledger = TrackingLedger(client, table)
    keys = sorted(item["emailId"]["S"] for item in await items(client, table))
    return [row for row in await asyncio.gather(*map(ledger.read, keys)) if row]


# -- as the ledger for single rows ---------------------------------------------------------------------------


def moved(row: TrackingRow, to: Status) -> TrackingRow:
    return replace(row, status=to, status_rank=RANK[to], lease_until=None, ses_message_id="ses-before")


async def life(ledger: SenderLedger) -> list[object]:
    """Every kind of claim and record: what the ledger answers."""
    fresh = claims(9)
    before = [
        replace(fresh[1], claim_id="other"),
        replace(fresh[2], request_hash="another request"),
        moved(fresh[3], Status.SENT),
        moved(fresh[4], Status.DELIVERED),
        replace(fresh[5], claim_id=None, lease_until=None),
        replace(fresh[6], status="failed", status_rank=5, lease_until=None, failure_code="validation"),
    ]
    answers: list[object] = [await ledger.claim([replace(row, claim_id="claim-0") for row in before])]
    answers.append(await ledger.claim(fresh))
    answers.append(await ledger.claim(fresh))
    refused = Move(email_id="e007", to=Status.FAILED, at=NOW, refusal=REFUSAL)
    missing = Move(email_id="missing", to=Status.SENT, at=NOW, ses_message_id="ses-missing")
    await ledger.record([*sends(7), refused, missing])
    later = NOW + timedelta(minutes=1)
    await ledger.record([replace(move, at=later, ses_message_id="ses-again") for move in sends(9)])
    answers += [await ledger.read(row.email_id) for row in fresh]
    answers.append(await ledger.reclaim(replace(fresh[8], claim_id="late"), LEASE))
    await ledger.release("e000", LEASE)
    return answers


async def test_a_batch_is_claimed_and_recorded_as_row_by_row(client: Any) -> None:
    batched, single = await table_of(client), await table_of(client)
    assert await life(BatchedLedger(client, batched)) == await life(TrackingLedger(client, single))
    assert await rows(client, batched) == await rows(client, single)


async def test_claims_are_given_back_and_taken_over_as_by_the_other_ledger(client: Any) -> None:
    ledger = BatchedLedger(client, await table_of(client))
    await ledger.claim(claims(2))
    await ledger.release("e000", LEASE)
    assert await ledger.read("e000") == replace(claims(1)[0], lease_until=None)
    mine = replace(claims(1)[0], claim_id="claim-2", lease_until=LEASE + 60)
    assert await ledger.reclaim(mine, None)
    assert await ledger.read("e000") == mine
    assert not await ledger.reclaim(replace(mine, claim_id="claim-3"), None)


async def test_a_row_that_is_gone_by_when_it_is_read_is_asked_for_again(client: Any) -> None:
    table = await table_of(client)
    await BatchedLedger(client, table).claim(claims(2, "other"))

    async def gone_since(execute: Callable[[], Awaitable[Any]]) -> Any:
        answer = await execute()
        await client.delete_item(TableName=table, Key={"emailId": {"S": "e000"}})
        return answer

    watched: Any = Watched(client, gone_since)
    gone, there = await BatchedLedger(watched, table).claim(claims(2))
    assert isinstance(gone, ServiceUnavailable)
    assert there == claims(2, "other")[1]


# -- in few calls --------------------------------------------------------------------------------------------


async def test_a_hundred_claims_and_records_take_eight_calls(client: Any) -> None:
    table = await table_of(client)
    watched: Any = Watched(client)
    ledger = BatchedLedger(watched, table)
    assert await ledger.claim(claims(100)) == [None] * 100
    await ledger.record(sends(100))
    assert watched.calls == ["batch_execute_statement"] * 8
    assert {(row.status, row.lease_until) for row in await rows(client, table)} == {("sent", None)}


async def test_the_rows_behind_a_hundred_lost_claims_are_read_in_one_call(client: Any) -> None:
    table = await table_of(client)
    await BatchedLedger(client, table).claim(claims(100, "other"))
    watched: Any = Watched(client)
    assert await BatchedLedger(watched, table).claim(claims(100)) == claims(100, "other")
    assert watched.calls == ["batch_execute_statement"] * 4 + ["batch_get_item"]
    (read,) = watched.requests
    assert read["RequestItems"][table]["ConsistentRead"]  # the rows may be from a moment ago


async def test_a_single_claim_is_one_put_that_answers_with_the_row_itself(client: Any) -> None:
    table = await table_of(client)
    watched: Any = Watched(client)
    await BatchedLedger(watched, table).claim(claims(1))
    await BatchedLedger(watched, table).record(sends(1))
    assert watched.calls == ["put_item", "update_item"]


async def test_of_two_batches_at_once_each_row_is_won_by_one(client: Any) -> None:
    table = await table_of(client)
    names = [f"claim-{number}" for number in range(4)]
    answers = await asyncio.gather(*(BatchedLedger(client, table).claim(claims(30, name)) for name in names))
    won = {
        row.email_id: name
        for name, batch in zip(names, answers, strict=True)
        for row, answer in zip(claims(30), batch, strict=True)
        if answer is None
    }
    assert sum(answer is None for batch in answers for answer in batch) == 30
    assert won == {row.email_id: row.claim_id for row in await rows(client, table)}


# -- when calls fail -----------------------------------------------------------------------------------------


async def test_claims_that_were_written_twice_are_still_ones_own(client: Any) -> None:
    table = await table_of(client)
    await BatchedLedger(client, table).claim(claims(3, "other"))
    watched: Any = Watched(client, done_twice)
    assert await BatchedLedger(watched, table).claim(claims(6)) == [*claims(3, "other"), None, None, None]


async def test_a_record_that_was_written_twice_is_written(client: Any) -> None:
    table = await table_of(client)
    watched: Any = Watched(client, executed, done_twice)
    ledger = BatchedLedger(watched, table)
    await ledger.claim(claims(3))
    await ledger.record(sends(3))
    assert [row.ses_message_id for row in await rows(client, table)] == ["ses-e000", "ses-e001", "ses-e002"]


@pytest.mark.parametrize("fate", [throttled, done_without_answer])
async def test_claims_without_an_answer_leave_the_other_calls_standing(client: Any, fate: Any) -> None:
    watched: Any = Watched(client, fate)
    answers = await BatchedLedger(watched, await table_of(client)).claim(claims(30))
    unknown = [isinstance(answer, ServiceUnavailable) for answer in answers]
    assert unknown == [True] * 25 + [False] * 5
    assert answers[25:] == [None] * 5


@pytest.mark.parametrize("fate", [throttled, done_without_answer])
async def test_a_record_without_an_answer_is_told_and_the_others_are_written(client: Any, fate: Any) -> None:
    table = await table_of(client)
    watched: Any = Watched(client, executed, executed, fate)
    ledger = BatchedLedger(watched, table)
    await ledger.claim(claims(30))
    with pytest.raises(ServiceUnavailable):
        await ledger.record(sends(30))
    assert [row.status for row in await rows(client, table)][25:] == ["sent"] * 5


async def test_rows_that_can_not_be_read_stand_without_an_answer_and_won_claims_stay_won(client: Any) -> None:
    table = await table_of(client)
    await BatchedLedger(client, table).claim(claims(2, "other"))

    class Blind(Watched):
        async def batch_get_item(self, **_: Any) -> Any:
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, "BatchGetItem")

    blind: Any = Blind(client)
    first, second, *won = await BatchedLedger(blind, table).claim(claims(5))
    assert isinstance(first, ServiceUnavailable)
    assert isinstance(second, ServiceUnavailable)
    assert won == [None] * 3


@pytest.mark.parametrize(
    "script", [(forbidden,), (executed, forbidden), (forbidden, executed)], ids=["whole", "second", "first"]
)
async def test_where_statements_are_not_to_be_had_each_row_goes_alone_and_none_is_lost(
    client: Any, script: Sequence[Any]
) -> None:
    table = await table_of(client)
    await BatchedLedger(client, table).claim(claims(2, "other"))
    watched: Any = Watched(client, *script)
    ledger = BatchedLedger(watched, table)
    assert await ledger.claim(claims(30)) == [*claims(2, "other"), *[None] * 28]
    await ledger.record(sends(30))
    assert watched.calls.count("batch_execute_statement") == 2
    assert {row.status for row in await rows(client, table)} == {"sent"}
