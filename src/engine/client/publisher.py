"""One PutEvents call, retried with growing waits until each of its entries is taken or refused."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParserError
from msgspec import Struct

from engine.client.backoff import Backoff
from engine.client.report import NotAccepted
from engine.types import Sleep

if TYPE_CHECKING:
    from types_aiobotocore_events import EventBridgeClient
    from types_aiobotocore_events.type_defs import PutEventsRequestEntryTypeDef

NO_ANSWER: Final = "NoAnswer"
NOT_TRIED: Final = "NotTried"

# Error codes of an entry that another try does not help.
# Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html
_ENTRY_REFUSED: Final = frozenset(
    {
        "AccessDeniedException",
        "InvalidAccountIdException",
        "InvalidArgument",
        "MalformedDetail",
        "NotAuthorizedForDetailTypeException",
        "NotAuthorizedForSourceException",
        "RedactionFailure",
    }
)
# Error codes of a call that is refused for the content of one of its entries.
_CONTENT_REFUSED: Final = frozenset(
    {"ValidationException", "ValidationError", "RequestEntityTooLarge", "413"}
)
# Raised by the SDK before the call leaves.
_REFUSED_BY_SDK: Final = (
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)


class PublishResult(Struct, frozen=True):
    """`left`: the entries that were not taken. `stop`: why the next call would fail as well, if it would."""

    left: list[NotAccepted]
    stop: str | None = None


class _FailedCall(Struct, frozen=True, kw_only=True):
    """A call that failed as a whole. `is_transient`: another try may succeed."""

    code: str
    message: str
    is_transient: bool

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def of(self, entries: "Mapping[int, PutEventsRequestEntryTypeDef]") -> list[NotAccepted]:
        return [NotAccepted(index, self.code, self.message) for index in entries]


@dataclass(frozen=True)
class RetryingPublisher:
    """Publishes up to ten entries a call. `jitter` draws a wait between its two arguments, in seconds."""

    client: "EventBridgeClient"
    backoff: Backoff
    sleep: Sleep
    jitter: Callable[[float, float], float]

    async def put(self, entries: "dict[int, PutEventsRequestEntryTypeDef]") -> PublishResult:
        """Publish entries that fit into one call. Returns AWS's errors, never raises them."""
        waits = self.backoff.waits()
        refused: list[NotAccepted] = []
        pending, number = entries, len(entries)
        while True:
            answer = await self._call(pending)
            if isinstance(answer, _FailedCall) and not answer.is_transient:
                return await self._give_up(pending, refused, answer)
            left = answer.of(pending) if isinstance(answer, _FailedCall) else answer
            refused += [entry for entry in left if entry.code in _ENTRY_REFUSED]
            pending = {e.index: entries[e.index] for e in left if e.code not in _ENTRY_REFUSED}
            wait = next(waits, None)
            if not pending or wait is None:
                break
            await self.sleep(self.jitter(*wait))
        exhausted = [entry for entry in left if entry.index in pending]
        none_taken = exhausted and len(refused) + len(exhausted) == number
        stop = f"{exhausted[0].code}: {exhausted[0].message}" if none_taken else None
        return PublishResult(refused + exhausted, stop)

    async def _give_up(
        self,
        entries: "dict[int, PutEventsRequestEntryTypeDef]",
        refused: list[NotAccepted],
        failure: _FailedCall,
    ) -> PublishResult:
        """End a call that no retry helps; if it was refused for its content, send each entry by itself."""
        if failure.code not in _CONTENT_REFUSED:
            return PublishResult(refused + failure.of(entries), str(failure))
        if len(entries) == 1:
            return PublishResult(refused + failure.of(entries))
        stop: str | None = None
        for index, entry in entries.items():
            if stop is not None:
                refused.append(NotAccepted(index, NOT_TRIED, stop))
                continue
            alone = await self.put({index: entry})
            stop, refused = alone.stop, refused + alone.left
        return PublishResult(refused, stop)

    async def _call(
        self, entries: "dict[int, PutEventsRequestEntryTypeDef]"
    ) -> "list[NotAccepted] | _FailedCall":
        """The entries that were not taken, in order: EventBridge answers 200 even when it took only some."""
        try:
            answer = await self.client.put_events(Entries=list(entries.values()))
        except ClientError as error:
            return _failed_call(error)
        except _REFUSED_BY_SDK as error:
            return _FailedCall(code=type(error).__name__, message=str(error), is_transient=False)
        except (BotoCoreError, ResponseParserError, aiohttp.ClientError, OSError) as error:
            return _FailedCall(
                code=NO_ANSWER,
                message=f"EventBridge could not be reached: {type(error).__name__}",
                is_transient=True,
            )
        return [
            NotAccepted(index, result["ErrorCode"], result.get("ErrorMessage", ""))
            for index, result in zip(entries, answer["Entries"], strict=True)
            if result.get("ErrorCode")
        ]


def _failed_call(error: ClientError) -> _FailedCall:
    """Throttles and 5xx are transient; any other error (credentials, permissions, content) is not."""
    code = error.response.get("Error", {}).get("Code", "unknown")
    message = error.response.get("Error", {}).get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    throttled = status == 429 or "Throttl" in code or code in {"TooManyRequestsException", "LimitExceeded"}
    is_transient = throttled or status >= 500 or code in {"InternalException", "InternalFailure"}
    return _FailedCall(code=code, message=message, is_transient=is_transient)
