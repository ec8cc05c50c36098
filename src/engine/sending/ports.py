"""What only the sender needs of AWS. Every method may raise `ServiceUnavailable`."""

from collections.abc import Sequence
from typing import Protocol

from engine.errors import SendFailure
from engine.schemas.request import Lane
from engine.sending.message import OutgoingMessage
from engine.templating.template import Template


class TemplateStore(Protocol):
    async def load(self, name: str) -> Template:
        """The compiled template. Raises Refused (`template-not-found`, `template-error`)."""
        ...

    async def attachment_size(self, s3_key: str) -> int:
        """Bytes of an object of the template bucket. Raises Refused (`validation`)."""
        ...

    async def load_attachment(self, s3_key: str) -> bytes:
        """An object of the template bucket. Raises Refused (`validation`)."""
        ...


class RateGate(Protocol):
    """Hands out send slots, so that all environments together keep the account's rate."""

    async def reserve(self, recipients: int, lane: Lane, within: float) -> float:
        """Take slots for this many recipients; answers the seconds to wait before sending to them.

        An answer beyond `within` (seconds) means that no slot came in time and none was taken: come again.
        """
        ...

    async def burst(self) -> int:
        """How many recipients one call to SES may have at no loss of rate; SES counts them in one moment."""
        ...

    async def throttled(self) -> None:
        """SES threw a send back: the gate was too wide."""
        ...


class Mailer(Protocol):
    async def send(self, messages: Sequence[OutgoingMessage]) -> list[str | SendFailure]:
        """Send each once: its SES message id, or why there is none. Never tries twice.

        Several messages go in one call to SES; `sending.grouping` says which may.
        """
        ...
