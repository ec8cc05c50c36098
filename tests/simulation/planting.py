"""How a fault is put into the engine from outside."""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, NamedTuple
from unittest.mock import patch

from engine.errors import ServiceUnavailable

Plant = AbstractContextManager[Any]


class Planted(NamedTuple):
    """`plant` puts the fault in for as long as its context lasts. `seed`: one that is known to catch it."""

    plant: Callable[[], Plant]
    seed: int


async def nothing(*_: object, **__: object) -> None:
    """Done, as far as the caller can tell."""


async def says_done(true: Callable[..., Any], *arguments: Any) -> None:
    """Also where a service was away."""
    with suppress(ServiceUnavailable):
        await true(*arguments)


def method(owner: type, name: str, fault: Callable[..., Any]) -> Callable[[], Plant]:
    """`fault` gets the true method first, then what that would get."""
    true = getattr(owner, name)

    async def faulty(*arguments: Any, **named: Any) -> Any:
        return await fault(true, *arguments, **named)

    return lambda: patch.object(owner, name, faulty)


def name_in(module: Any, name: str, fault: object) -> Callable[[], Plant]:
    """What a module calls by this name is the fault."""
    return lambda: patch.object(module, name, fault)
