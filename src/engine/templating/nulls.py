"""Nulls of a request's data, as templates see them."""

from typing import Any

from jinja2 import StrictUndefined, Undefined


class Null(Undefined):
    """A null of the data: it counts as not given, but printing it is no mistake."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Undefined:  # type: ignore[override] # here and below: Undefined's fail
        return StrictUndefined(obj=None, name=key)

    def __int__(self) -> int:  # type: ignore[override]
        raise TypeError("null is no number")

    __float__ = __int__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, Null)

    __hash__ = Undefined.__hash__


def with_nulls(value: Any, name: str = "") -> Any:
    """A request's data with `Null` for every null, at any depth."""
    if value is None:
        return Null(f"{name!r} is null")
    if isinstance(value, dict):
        return {key: with_nulls(one, key) for key, one in value.items()}
    return [with_nulls(one, name) for one in value] if isinstance(value, list) else value
