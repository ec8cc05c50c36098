"""The saved progress of a campaign: a small file beside the recipients', replaced as a whole."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from engine.errors import EngineError


class ProgressError(EngineError):
    """The progress file can't be read, or is of another campaign; the message says what to do."""


class CampaignIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """What must not change for a campaign to be resumed where it stopped."""

    recipients: str  # SHA-256 of the file
    template: str
    bulk: bool
    bus: str
    source: str
    campaign: str | None = None
    topic: str | None = None


class SavedProgress(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Rows (counted from 0) below `through` and those in `beyond` are done, except for those in `left`.

    `day`: the last on which emails were asked for (UTC), and how many were. `first_done_at`: when the first
    emails of a run with --first were (epoch seconds).
    """

    identity: CampaignIdentity
    prefix: str
    through: int = 0
    beyond: list[int] = []
    left: list[int] = []
    finished: bool = False
    day: str = ""
    asked_that_day: int = 0
    first_done_at: float | None = None


def digest(recipients: Path) -> str:
    with recipients.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(path: Path) -> SavedProgress | None:
    """None where there is none. Raises ProgressError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=SavedProgress)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise ProgressError(
            f"{path} can't be read ({error}). It says which rows were accepted: restore it, or delete"
            " it and go on with the same --idempotency-prefix."
        ) from None


def begin(path: Path, identity: CampaignIdentity, prefix: str | None, new_prefix: str) -> SavedProgress:
    """The progress to resume from, or that of a new campaign. `prefix`: the option's value, if given.

    Where file or options have changed and the prefix is the same, positions no longer count, and the keys
    alone keep an unchanged row from being sent twice. Raises ProgressError.
    """
    saved = load(path)
    if saved is None:
        return SavedProgress(identity=identity, prefix=prefix or new_prefix)
    if saved.identity == identity and prefix in {None, saved.prefix}:
        return saved
    if prefix is not None:
        return SavedProgress(identity=identity, prefix=prefix)
    fields = CampaignIdentity.__struct_fields__
    changed = [name for name in fields if getattr(saved.identity, name) != getattr(identity, name)]
    raise ProgressError(
        f"{path} is of a campaign with other {' and '.join(changed)}. To go on with it, give"
        f" --idempotency-prefix {saved.prefix}: what has not changed is not sent twice. For a new campaign,"
        " give it a prefix of its own, or delete that file."
    )


class RowMarks:
    """Which rows are done. Rows are marked nearly in order, so few numbers stand for many rows."""

    def __init__(self, saved: SavedProgress) -> None:
        self._through = saved.through
        self._beyond = set(saved.beyond)
        self._left = set(saved.left)

    @property
    def count(self) -> int:
        return self._through + len(self._beyond) - len(self._left)

    def done(self, row: int) -> bool:
        return row not in self._left and (row < self._through or row in self._beyond)

    def mark(self, rows: Iterable[int], *, left: bool = False) -> None:
        """Mark rows as done, or with `left` as tried and not taken."""
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

    def save(self, path: Path, saved: SavedProgress, *, finished: bool = False) -> None:
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
