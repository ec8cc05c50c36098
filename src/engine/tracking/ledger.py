"""The tracking table, as the pipelines use it: `aws.ledger` implements it, tests hand in a fake.

Every method may raise `ServiceUnavailable`; anything more is said at the method. What the sender does for
each email of a batch takes the whole batch, so that emails share a call.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from engine.errors import Refusal, ServiceUnavailable
from engine.schemas.rows import TrackingRow
from engine.tracking.lifecycle import Status


class Move(Struct, frozen=True, kw_only=True):
    """What the sender did with an email: sent it (SES's message id, which template) or refused it.

    `topic`: the template's, where the row does not know it yet.
    """

    email_id: str
    to: Status
    at: datetime
    ses_message_id: str | None = None
    template_version: str | None = None
    topic: str | None = None
    refusal: Refusal | None = None


class Advance(Struct, frozen=True):
    """What became of a report: the row as it is now, and whether the report is news to it.

    `moved`: this call moved the row. `already_published`: this very report moved it earlier (redelivered), so
    its status event may not have gone out and must go again. Neither: the row is past it.
    """

    row: TrackingRow
    previous: Status
    moved: bool
    already_published: bool = False


class SenderLedger(Protocol):
    """The tracking table, as the sender uses it."""

    async def claim(self, rows: Sequence[TrackingRow]) -> list[TrackingRow | ServiceUnavailable | None]:
        """Insert each row where its id is free: None for a claim won, else the row that is there.

        Where the table did not answer for a row, the error stands in its place and the others stand.
        """
        ...

    async def reclaim(self, row: TrackingRow, seen_lease: float | None) -> bool:
        """Take over a `sending` row whose lease is still the one that was seen; `row` names the new claim."""
        ...

    async def release(self, email_id: str, lease: float) -> None:
        """Give a claim back: nothing was sent, whoever comes next may claim at once."""
        ...

    async def record(self, moves: Sequence[Move]) -> None:
        """Move claimed rows to `sent` or `failed`, each unless it is there or further; ends their claims.

        Raises ServiceUnavailable when any of them may be unwritten.
        """
        ...

    async def read(self, email_id: str) -> TrackingRow | None:
        """The row as it is now (a consistent read)."""
        ...


class FeedbackLedger(Protocol):
    """The tracking table, as feedback moves it."""

    async def read(self, email_id: str) -> TrackingRow | None:
        """The row as it is now (a consistent read)."""
        ...

    async def find_by_ses_message_id(self, ses_message_id: str) -> TrackingRow | None: ...

    async def advance(
        self,
        email_id: str,
        to: Status,
        *,
        at: datetime,
        fingerprint: str,
        ses_message_id: str | None = None,
        refusal: Refusal | None = None,
    ) -> Advance:
        """Move the row to `to` where `tracking.lifecycle.can_transition`, in one conditional write.

        Raises LookupError where there is no such row.
        """
        ...

    async def note(self, email_id: str, attributes: Mapping[str, str]) -> None:
        """Keep facts beside the status (first click, delay type), by attribute name as in the table.

        Each is written once and never again.
        """
        ...

    async def mark(self, email_id: str, what: str) -> bool:
        """Add to the row's `moves`, in one conditional write; answers whether it was not there yet."""
        ...
