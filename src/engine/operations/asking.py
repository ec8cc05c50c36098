"""Questions that may go unanswered: one closed door must not hide what is behind the others."""

from collections.abc import Awaitable
from typing import TypeVar

from botocore.exceptions import ClientError
from msgspec import Struct

from engine.operations.sentences import TOLD, one_error, origin

T = TypeVar("T")

# What the emulators say of an operation that they lack.
_NOT_OFFERED = frozenset({"404", "501", "UnknownOperationException", "InvalidAction", "NotImplemented"})


class Unknown(Struct, frozen=True, kw_only=True, rename="camel"):
    """No answer, and why: a sentence without its full stop."""

    why: str


async def ask(question: Awaitable[T]) -> T | Unknown:
    """The answer; or why there is none, where the credentials may not ask or the service has none."""
    try:
        with one_error():
            return await question
    except TOLD as error:
        return Unknown(why=_why(error))


def known(answer: T | Unknown) -> T | None:
    return None if isinstance(answer, Unknown) else answer


def _why(error: Exception) -> str:
    error = origin(error)
    if not isinstance(error, ClientError):
        return str(error)
    code = error.response.get("Error", {}).get("Code", "unknown")
    if code in _NOT_OFFERED:
        return f"{error.operation_name} is not offered here"
    return f"{error.operation_name} answered {code}"
