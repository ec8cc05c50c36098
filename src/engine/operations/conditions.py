"""Which dead letters are meant: conditions of the form `KEY=VALUE`, all of which must hold."""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from msgspec import Struct

from engine.errors import EngineError
from engine.operations.dead_letters import DeadLetter
from engine.schemas.rows import TrackingRow

KEYS: Final = ("cause", "template", "source", "campaign", "kind", "email")


class BadMatchError(EngineError, ValueError):
    """A condition that can't be meant."""


class Condition(Struct, frozen=True):
    """One `KEY=VALUE`. A cause need only contain the value, whatever the case; all else must be it."""

    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}"

    def fits(self, letter: DeadLetter) -> bool:
        if self.key == "cause":
            return self.value.lower() in letter.cause.lower()
        attribute = {"email": "email_id"}.get(self.key, self.key)
        return bool(getattr(letter, attribute) == self.value)

    @property
    def needs_row(self) -> bool:
        return self.key in {"template", "source", "campaign"}


def condition(text: str) -> Condition:
    """Raises BadMatchError."""
    key, equals, value = text.partition("=")
    if not equals or key not in KEYS:
        raise BadMatchError(f"{text!r} is no KEY=VALUE with a KEY of {', '.join(KEYS)}")
    return Condition(key, value)


def matches(letter: DeadLetter, conditions: Iterable[Condition]) -> bool:
    return all(each.fits(letter) for each in conditions)


class RowReader(Protocol):
    """`LedgerReader`, as far as it is needed here."""

    async def read(self, email_ids: Iterable[str]) -> dict[str, TrackingRow]: ...


async def is_meant(letter: DeadLetter, conditions: Sequence[Condition], ledger: RowReader) -> bool:
    """Whether all conditions hold. The ledger is asked where the message itself can't tell."""
    if letter.email_id and letter.kind == "report" and any(each.needs_row for each in conditions):
        letter = letter.with_row((await ledger.read([letter.email_id])).get(letter.email_id))
    return matches(letter, conditions)
