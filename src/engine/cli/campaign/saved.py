"""How far a campaign came, in a small file beside the recipients'; written whole, or not at all."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from engine.errors import EngineError


class SavedError(EngineError):
    """The file can't be read, or tells of another campaign; the message says what to do."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What must be the same for a campaign to go on where it stopped."""

    recipients: str  # SHA-256 of the file
    template: str
    bulk: bool
    bus: str
    source: str


class Saved(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Rows (counted from 0) below `through` are done, but for those in `left`; so are those in `beyond`."""

    identity: Identity
    prefix: str
    through: int = 0
    beyond: list[int] = []
    left: list[int] = []
    finished: bool = False


def digest(recipients: Path) -> str:
    with recipients.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(path: Path) -> Saved | None:
    """None where there is none. Raises SavedError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Saved)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise SavedError(
            f"{path} can't be read ({error}). It tells how far the campaign came: restore it, or delete it"
            " and go on with the same --idempotency-prefix."
        ) from None


def begin(path: Path, identity: Identity, prefix: str | None, new_prefix: str) -> Saved:
    """Where to go on, or a new campaign. `prefix`: the one asked for. Raises SavedError.

    With the prefix of a campaign whose file or options have changed, positions count no more, and the keys
    alone keep an unchanged row from going twice.
    """
    saved = load(path)
    if saved is None:
        return Saved(identity=identity, prefix=prefix or new_prefix)
    if saved.identity == identity and prefix in {None, saved.prefix}:
        return saved
    if prefix is not None:
        return Saved(identity=identity, prefix=prefix)
    changed = [name for name in Identity.__struct_fields__ if _differs(saved.identity, identity, name)]
    raise SavedError(
        f"{path} is of a campaign with other {' and '.join(changed)}. To go on with it, give"
        f" --idempotency-prefix {saved.prefix}: what has not changed is not sent twice. For a new campaign,"
        " give it a prefix of its own, or delete that file."
    )


def _differs(one: Identity, other: Identity, name: str) -> bool:
    return bool(getattr(one, name) != getattr(other, name))


class Marks:
    """Which rows are done. Rows are marked about in order, so little is kept for many."""

    def __init__(self, saved: Saved) -> None:
        self._through = saved.through
        self._beyond = set(saved.beyond)
        self._left = set(saved.left)

    @property
    def count(self) -> int:
        return self._through + len(self._beyond) - len(self._left)

    def done(self, row: int) -> bool:
        return row not in self._left and (row < self._through or row in self._beyond)

    def mark(self, rows: Iterable[int], *, left: bool = False) -> None:
        """Note rows as done, or as tried and `left`."""
        for row in rows:
            if left:
                self._left.add(row)
            else:
                self._left.discard(row)
            if row >= self._through:
                self._beyond.add(row)
        while self._through in self._beyond:
            self._beyond.remove(self._through)
            self._through += 1

    def save(self, path: Path, saved: Saved, *, finished: bool = False) -> None:
        now = msgspec.structs.replace(
            saved,
            through=self._through,
            beyond=sorted(self._beyond),
            left=sorted(self._left),
            finished=finished and not self._left,
        )
        beside = path.with_name(f"{path.name}.new")
        beside.write_bytes(msgspec.json.encode(now))
        beside.replace(path)
