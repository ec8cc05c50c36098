"""What the pipelines share besides the ledger. Every method may raise `ServiceUnavailable`."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from msgspec import Struct

from engine.schemas.operator_action import OperatorAction
from engine.schemas.request import EmailRequest
from engine.schemas.retry import RetryMessage
from engine.schemas.rows import BrakeRow, SuppressionRow
from engine.schemas.status import EmailStatusChanged
from engine.tracking.bounce_quota import QuotaReading

SOFT_BOUNCE_WINDOW: Final = timedelta(days=30)


class PreSendChecks(Struct, frozen=True):
    """What a batch must know before it sends.

    `suppressed`: those of its addresses that get no mail at all, by address. `brakes`: those that are set, by
    their keys. `opt_outs`: those that were found, by their keys (`tracking.consent`).
    """

    suppressed: Mapping[str, SuppressionRow]
    quota: QuotaReading
    brakes: Mapping[str, BrakeRow] = {}
    opt_outs: Mapping[str, SuppressionRow] = {}


class PreSendReader(Protocol):
    """Reads what was written last: what was suppressed or stopped before a read began is in its answer."""

    async def read(
        self, addresses: Collection[str], date: str, brakes: Collection[str], opt_outs: Collection[str]
    ) -> PreSendChecks:
        """What is known about the addresses, the day, the brakes and the opt-outs, each by its key.

        In one read for a whole batch.
        """
        ...

    async def read_opt_outs(self, keys: Collection[str]) -> Mapping[str, SuppressionRow]:
        """Those of the opt-outs that are there, by their keys."""
        ...

    async def read_brakes(self, keys: Collection[str]) -> Mapping[str, BrakeRow]:
        """Those of the brakes that are set, by their keys."""
        ...


class BrakeWriter(Protocol):
    async def set_brake(self, brake: BrakeRow) -> bool:
        """Set a brake unless it is set; answers whether it was not."""
        ...


class SuppressionWriter(Protocol):
    async def add(self, row: SuppressionRow) -> None:
        """Suppress the address; a row that is there already keeps its first reason."""
        ...


class BounceQuota(Protocol):
    async def count_sends(self, date: str, recipients: int) -> None:
        """Count recipients that were sent to that day."""
        ...

    async def count_bounce(self, date: str) -> None:
        """Count a hard bounce of one recipient, for the day of the send."""
        ...


class SoftBounceHistory(Protocol):
    """Which emails to an address bounced softly of late. Costs the same however many emails it got."""

    async def add(self, address: str, email_id: str, at: datetime) -> int:
        """Keep that the email bounced softly; a report that comes again changes nothing.

        Answers how many emails to the address have done so since `SOFT_BOUNCE_WINDOW` before `at`, this one
        included. It counts no further than 20.
        """
        ...

    async def remove(self, address: str, email_id: str) -> None:
        """Forget the email's soft bounce: it was delivered after all."""
        ...


class Payloads(Protocol):
    """Requests kept for a possible soft-bounce retry, where they don't fit into the tracking row."""

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


class OperatorActions(Protocol):
    async def tell(self, action: OperatorAction) -> None:
        """Publish what was done. Raises ServiceUnavailable."""
        ...


class RetryScheduler(Protocol):
    async def schedule_retry(self, message: RetryMessage, seconds: int) -> None:
        """Try again after so long. Raises ServiceUnavailable."""
        ...
