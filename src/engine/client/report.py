"""The result of publishing requests: progress, report, and the client's errors."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from engine.errors import EngineError
from engine.schemas.request import EmailRequest

# How many of the requests that were not accepted a report names; it counts them all.
NAMED: Final = 1000


class NotAccepted(Struct, frozen=True):
    """A request that EventBridge did not confirm: its place among those given, and why.

    With the codes `ServiceUnavailable` and `NoAnswer` the call itself failed, and EventBridge may have taken
    the request all the same. `NotEncodable`: the request holds something that JSON can't carry.
    """

    index: int
    code: str
    message: str


class Accepted(Struct, frozen=True):
    """A request that EventBridge took: its place among those given, and the id of its email."""

    index: int
    email_id: str


class PublishProgress(Struct, frozen=True, kw_only=True):
    """Totals of a `send_many` under way, and what its latest call added."""

    accepted: int
    not_accepted: int
    newly_accepted: Sequence[Accepted]
    newly_not_accepted: Sequence[NotAccepted]


class PublishReport(Struct, frozen=True, kw_only=True):
    """The result of `send_many`; `first_not_accepted` names up to a thousand of those not accepted.

    `stopped`: why `send_many` read no further, where the bus no longer took anything; requests that it did
    not read are not counted. Repeating all requests is safe where each has an idempotency key of its own.
    """

    accepted: int
    not_accepted: int
    first_not_accepted: Sequence[NotAccepted] = ()
    stopped: str | None = None

    @property
    def complete(self) -> bool:
        """Whether EventBridge took every request."""
        return not self.not_accepted and self.stopped is None


class NotAcceptedError(EngineError):
    """EventBridge did not confirm some of the requests, after all tries; it took all others.

    Sending those of `failed` again is safe: `requests` has them with the idempotency keys that they left
    with.
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
    """The bus does not exist. EventBridge accepts events for such a bus all the same, and drops them.

    Source: https://github.com/aws/aws-cli/issues/9186
    """

    def __init__(self, bus: str) -> None:
        super().__init__(f"there is no event bus {bus!r} in this account and region; check both and its name")
