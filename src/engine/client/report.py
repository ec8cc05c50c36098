"""What became of requests on their way to the bus."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from engine.errors import EngineError
from engine.schemas.request import EmailRequest

# How many of the requests that were not accepted a report names; it counts them all.
NAMED: Final = 1000


class NotAccepted(Struct, frozen=True):
    """A request that EventBridge did not confirm: its place among those given, and why.

    With the codes `ServiceUnavailable` and `NoAnswer` the call itself failed, and it may have been taken all
    the same.
    """

    index: int
    code: str
    message: str


class Accepted(Struct, frozen=True):
    """A request that EventBridge took: its place among those given, and the id of its email."""

    index: int
    email_id: str


class Progress(Struct, frozen=True, kw_only=True):
    """How far `send_many` is, and what its latest call brought."""

    accepted: int
    not_accepted: int
    newly_accepted: Sequence[Accepted]
    newly_not_accepted: Sequence[NotAccepted]


class Report(Struct, frozen=True, kw_only=True):
    """What became of all requests; `first_not_accepted` names up to a thousand of them.

    `stopped`: why `send_many` read no further, where the bus took nothing any more; what it did not read is
    not counted. Asking again for all requests is safe where each has an idempotency key of its own.
    """

    accepted: int
    not_accepted: int
    first_not_accepted: Sequence[NotAccepted] = ()
    stopped: str | None = None

    @property
    def complete(self) -> bool:
        return not self.not_accepted and self.stopped is None


class NotAcceptedError(EngineError):
    """Some requests are not known to have reached the bus, after every try; all others did.

    Asking again for `failed` is safe: the idempotency keys in `requests` keep an email from going out twice.
    """

    def __init__(self, failed: Sequence[NotAccepted], requests: Sequence[EmailRequest]) -> None:
        first = failed[0]
        super().__init__(
            f"{len(failed)} of {len(requests)} email requests were not accepted by EventBridge, the first is"
            f" number {first.index}: {first.code} {first.message}. Send those of `failed` again, out of"
            " `requests`."
        )
        self.failed = tuple(failed)
        self.requests = tuple(requests)


class NoSuchBusError(EngineError):
    """The bus is not there. EventBridge would accept requests for it all the same, and drop them.

    Source: https://github.com/aws/aws-cli/issues/9186
    """

    def __init__(self, bus: str) -> None:
        super().__init__(f"there is no event bus {bus!r} in this account and region; check both and its name")
