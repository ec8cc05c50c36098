"""BatchExecuteStatement: what DynamoDB does with a statement, and what becomes of answers that fall short."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from tests.support.emulated import emulator
from tests.support.real_clients import items, make_table, opened

from engine.aws.dynamodb import attribute, to_item
from engine.aws.statements import STATEMENT_LIMIT, BatchStatements, Outcome, Statement, insert, update
from engine.errors import ServiceUnavailable
from engine.schemas.rows import TrackingRow


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with emulator(tmp_path_factory.mktemp("emulator")) as running:
        yield running.endpoint


class Table(NamedTuple):
    client: Any
    name: str

    def insert(self, key: str, **more: object) -> Statement:
        return insert(self.name, {"emailId": attribute(key)} | {k: attribute(v) for k, v in more.items()})

    def update(self, key: str, rank_below: int, **sets: object) -> Statement:
        return update(self.name, ("emailId", key), sets, remove="leaseUntil", rank_below=rank_below)

    async def run(self, *statements: Statement) -> list[Outcome] | None:
        return await BatchStatements(self.client).run(statements)

    async def items(self) -> dict[str, dict[str, Any]]:
        """The items without their keys, by key."""
        return {item.pop("emailId")["S"]: item for item in await items(self.client, self.name)}


@pytest.fixture
async def table(endpoint: str) -> AsyncIterator[Table]:
    async with opened("dynamodb", endpoint) as client:
        yield Table(client, await make_table(client, "emailId"))


# -- what DynamoDB does --------------------------------------------------------------------------------------


async def test_an_insert_is_done_where_the_key_is_free_and_not_where_it_is_taken(table: Table) -> None:
    assert await table.run(table.insert("e1", n=1), table.insert("e2", n=2)) == [True, True]
    assert await table.run(table.insert("e3", n=3), table.insert("e1", n=9)) == [True, False]
    assert await table.items() == {"e1": {"n": {"N": "1"}}, "e2": {"n": {"N": "2"}}, "e3": {"n": {"N": "3"}}}


async def test_a_whole_row_is_written_as_put_item_writes_it(table: Table) -> None:
    row = TrackingRow(
        email_id="e1",
        to_email="o'brien@example.com",
        ttl=1_803_283_200,
        lease_until=1764000000.123456,
        metadata={'quote"d': "it's {{x}} ? \\", "ключ": "значение"},
        tags={},
        moves=frozenset({"a", "b"}),
    )
    await table.run(insert(table.name, to_item(row)), table.insert("e2"))
    await table.client.put_item(TableName=table.name, Item=to_item(row) | {"emailId": {"S": "e3"}})
    written = await table.items()
    assert written["e1"] == written["e3"]


async def test_an_update_is_done_where_the_rank_is_below(table: Table) -> None:
    await table.run(
        table.insert("e1", statusRank=0, leaseUntil=1.5, kept="k"),
        table.insert("e2", statusRank=1, leaseUntil=1.5),
        table.insert("e3", statusRank=5),
    )
    moves = [table.update(key, 1, statusRank=1, status="sent") for key in ("e1", "e2", "e3")]
    assert await table.run(*moves) == [True, False, False]
    assert await table.items() == {
        "e1": {"statusRank": {"N": "1"}, "status": {"S": "sent"}, "kept": {"S": "k"}},
        "e2": {"statusRank": {"N": "1"}, "leaseUntil": {"N": "1.5"}},
        "e3": {"statusRank": {"N": "5"}},
    }


async def test_an_update_makes_no_item_and_needs_nothing_to_remove(table: Table) -> None:
    await table.run(table.insert("e1", statusRank=0), table.insert("e2", status="sending"))
    moves = [table.update(key, 5, statusRank=5) for key in ("e1", "e2", "missing")]
    assert await table.run(*moves) == [True, False, False]
    assert await table.items() == {"e1": {"statusRank": {"N": "5"}}, "e2": {"status": {"S": "sending"}}}


async def test_more_than_a_call_takes_go_in_several_with_outcomes_in_order(table: Table) -> None:
    keys = [f"e{number:03}" for number in range(2 * STATEMENT_LIMIT + 10)]
    taken = keys[::7]
    await table.run(*(table.insert(key) for key in taken))
    assert await table.run(*(table.insert(key) for key in keys)) == [key not in taken for key in keys]


async def test_a_statement_that_can_not_be_done_does_not_keep_the_others(table: Table) -> None:
    there, missing = table.insert("e1"), insert("no-such-table", {"emailId": {"S": "e2"}})
    done, failed = await table.run(there, missing) or []
    assert done is True
    assert isinstance(failed, ServiceUnavailable)
    assert (await table.items()).keys() == {"e1"}


# -- answers that fall short ---------------------------------------------------------------------------------

STATEMENTS = [insert("table", {"emailId": {"S": f"e{number}"}}) for number in range(60)]
Answer = Callable[[Sequence[Any]], list[dict[str, Any]]]


class Scripted:
    """Answers calls in turn as it is told, and the rest with success."""

    def __init__(self, *script: Exception | Answer) -> None:
        self._script = list(script)
        self.asked: list[int] = []

    async def batch_execute_statement(self, *, Statements: Sequence[Any]) -> dict[str, Any]:  # noqa: N803 - AWS's name
        self.asked.append(len(Statements))
        step = self._script.pop(0) if self._script else all_done
        if isinstance(step, Exception):
            raise step
        return {"Responses": step(Statements)}


def all_done(statements: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"TableName": "table"} for _ in statements]


def all_but_first(code: str) -> Answer:
    return lambda statements: [{"Error": {"Code": code}}, *all_done(statements[1:])]


def scripted(*script: Exception | Answer) -> tuple[BatchStatements, list[int]]:
    client: Any = Scripted(*script)
    return BatchStatements(client), client.asked


def refused(code: str, status: int = 400) -> ClientError:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "BatchExecuteStatement")


PASSING = [
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "InternalServerError",
    "ServiceUnavailable",
    "ExpiredTokenException",
]
FOR_GOOD = ["AccessDeniedException", "UnknownOperationException", "ValidationException", "500"]


@pytest.mark.parametrize("error", [*map(refused, PASSING), ReadTimeoutError(endpoint_url="x")], ids=str)
async def test_a_call_that_fails_for_now_is_no_answer_for_its_own_statements_alone(error: Exception) -> None:
    statements, asked = scripted(error)
    outcomes = await statements.run(STATEMENTS) or []
    assert [isinstance(outcome, ServiceUnavailable) for outcome in outcomes] == [True] * 25 + [False] * 35
    assert outcomes[25:] == [True] * 35
    assert asked == [25, 25, 10]
    assert await statements.run(STATEMENTS[:2]) == [True, True]


@pytest.mark.parametrize("code", FOR_GOOD)
async def test_where_the_call_is_not_to_be_had_it_turns_itself_off(code: str) -> None:
    statements, asked = scripted(refused(code))
    assert await statements.run(STATEMENTS) is None
    assert asked == [25, 25, 10]
    assert await statements.run(STATEMENTS) is None
    assert len(asked) == 3


async def test_where_the_role_may_do_no_partiql_it_turns_itself_off() -> None:
    """DynamoDB answers such a call with 200, and AccessDenied for each statement."""
    statements, asked = scripted(all_but_first("AccessDenied"))
    assert await statements.run(STATEMENTS[:3]) is None
    assert await statements.run(STATEMENTS[:3]) is None
    assert asked == [3]


@pytest.mark.parametrize(
    "code", ["ThrottlingError", "ProvisionedThroughputExceeded", "InternalServerError", "TransactionConflict"]
)
async def test_a_statement_without_an_answer_stands_alone(code: str) -> None:
    statements, _ = scripted(all_but_first(code))
    failed, *others = await statements.run(STATEMENTS[:3]) or []
    assert others == [True, True]
    assert isinstance(failed, ServiceUnavailable)
    assert str(failed) == f"DynamoDB BatchExecuteStatement answered {code}"


async def test_an_answer_that_tells_of_too_few_is_none() -> None:
    statements, _ = scripted(lambda _: [{}])
    assert await statements.run(STATEMENTS[:3]) is None


@pytest.mark.parametrize("count", [0, 1])
async def test_a_batch_of_one_or_none_makes_no_call(count: int) -> None:
    statements, asked = scripted()
    assert await statements.run(STATEMENTS[:count]) is None
    assert not asked
