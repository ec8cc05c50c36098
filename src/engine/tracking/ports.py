"""What the pipelines share besides the ledger. Every method may raise `ServiceUnavailable`."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from engine.schemas.request import EmailRequest
from engine.schemas.rows import SuppressionRow
from engine.schemas.status import EmailStatusChanged
from engine.tracking.bounce_quota import QuotaReading


class PreSendChecks(Struct, frozen=True):
    """What decides whether an email may go out: suppressed addresses by key, and the day's bounce quota."""

    suppressed: Mapping[str, SuppressionRow]
    quota: QuotaReading


class PreSendReader(Protocol):
    async def read(self, addresses: Collection[str], date: str) -> PreSendChecks:
        """`addresses`: keys of addresses. `date`: the day of the quota, `YYYY-MM-DD`."""
        ...


class SuppressionWriter(Protocol):
    async def add(self, row: SuppressionRow) -> None:
        """Suppress the address; a row that is there already keeps its first reason."""
        ...


class BounceQuota(Protocol):
    async def count_sends(self, date: str, sends: int) -> None: ...

    async def count_bounce(self, date: str) -> None: ...


class Payloads(Protocol):
    """Requests kept for a possible soft-bounce retry, apart from the tracking row."""

    async def save(self, claim_id: str, requests: Mapping[str, EmailRequest]) -> None:
        """Keep the requests that one invocation claimed, by email id."""
        ...

    async def read(self, claim_id: str, email_id: str) -> EmailRequest | None:
        """The request of an email, by the claim in its row; None once it has expired."""
        ...


class StatusEvents(Protocol):
    async def publish(self, events: Sequence[EmailStatusChanged]) -> None:
        """Raises ServiceUnavailable unless every single event was taken."""
        ...
