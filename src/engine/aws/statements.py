"""BatchExecuteStatement: up to 25 conditional writes in one call, each with its own outcome.

BatchWriteItem takes no conditions, and transactions cost double and fail together; PartiQL statements in a
batch do neither. INSERT fails on a key that exists, UPDATE takes conditions in its WHERE.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.multiplestatements.batching.html
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError
from msgspec import Struct

from engine.aws.batches import chunks
from engine.aws.dynamodb import attribute
from engine.aws.error_codes import service_errors
from engine.errors import ServiceUnavailable

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

STATEMENT_LIMIT: Final = 25
# What DynamoDB says of an INSERT on a key that exists, and of a WHERE that does not hold.
_NOT_DONE: Final = frozenset({"DuplicateItem", "ConditionalCheckFailed"})
# What passes; any other refusal of the call stands as long as this environment does.
_PASSING: Final = frozenset(
    {
        "ThrottlingException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "InternalServerError",
        "ServiceUnavailable",
        "ExpiredTokenException",
    }
)
# What a statement meets where the role may do no PartiQL: the call as such is answered with 200.
_FORBIDDEN: Final = "AccessDenied"


class Statement(Struct, frozen=True):
    """PartiQL with a `?` for each parameter, in DynamoDB's notation."""

    text: str
    parameters: list[Any]


Outcome = bool | ServiceUnavailable
"""Done; not done, because the key exists or the condition does not hold; or no answer."""


def insert(table: str, item: Mapping[str, Any]) -> Statement:
    fields = ", ".join(f"'{name}': ?" for name in item)
    return Statement(f'INSERT INTO "{table}" VALUE {{{fields}}}', list(item.values()))


def update(
    table: str, key: tuple[str, str], sets: Mapping[str, object], *, remove: str, rank_below: int
) -> Statement:
    """Set attributes and remove one, where the row's rank is below `rank_below`."""
    name, value = key
    assignments = " ".join(f'SET "{field}" = ?' for field in sets)
    text = f'UPDATE "{table}" {assignments} REMOVE "{remove}" WHERE "{name}" = ? AND "statusRank" < ?'
    return Statement(text, [*map(attribute, sets.values()), attribute(value), attribute(rank_below)])


class BatchStatements:
    """Runs statements in batches. Turns itself off where the API is not to be had.

    A role from an older version of the stack, or an emulator, may lack it; writing one by one is slower and
    just as right.
    """

    def __init__(self, client: "DynamoDBClient") -> None:
        self._client = client
        self.available = True

    async def run(self, statements: Sequence[Statement]) -> list[Outcome] | None:
        """An outcome for each in order, or None where one by one is the way."""
        if not self.available or len(statements) < 2:
            return None
        parts = await asyncio.gather(*map(self._run, chunks(statements, STATEMENT_LIMIT)))
        outcomes = [outcome for part in parts if part for outcome in part]
        return outcomes if len(outcomes) == len(statements) else None

    async def _run(self, statements: Sequence[Statement]) -> list[Outcome] | None:
        request: Any = [{"Statement": each.text, "Parameters": each.parameters} for each in statements]
        try:
            with service_errors("DynamoDB BatchExecuteStatement"):
                answer = await self._client.batch_execute_statement(Statements=request)
        except ServiceUnavailable as error:
            if not _is_missing(error):
                return [error for _ in statements]
            self.available = False
            return None
        errors = [response.get("Error") or {} for response in answer["Responses"]]
        if any(error.get("Code") == _FORBIDDEN for error in errors):
            self.available = False
            return None
        return [_outcome(error) for error in errors]


def _outcome(error: Mapping[str, Any]) -> Outcome:
    if not error:
        return True
    if error.get("Code") in _NOT_DONE:
        return False
    return ServiceUnavailable(f"DynamoDB BatchExecuteStatement answered {error.get('Code')}")


def _is_missing(error: ServiceUnavailable) -> bool:
    """Whether it failed for good: an answer that does not pass. A connection that broke says nothing."""
    cause = error.__cause__
    return isinstance(cause, ClientError) and cause.response["Error"]["Code"] not in _PASSING
