"""One PutEvents call at a time, tried again with growing waits, until each of its entries has its answer."""

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

# What EventBridge says of an entry that no further try will help.
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
# A call that is refused for what one of its entries holds.
_CONTENT_REFUSED: Final = frozenset(
    {"ValidationException", "ValidationError", "RequestEntityTooLarge", "413"}
)
# What the SDK refuses before anything leaves.
_OURS: Final = (
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)


class Outcome(Struct, frozen=True):
    """`left`: the entries that were not taken. `stop`: why the next call would end as this one did."""

    left: list[NotAccepted]
    stop: str | None = None


class _Trouble(Struct, frozen=True, kw_only=True):
    """A call without an answer for its entries. `passes`: whether another try may help."""

    code: str
    message: str
    passes: bool

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def of(self, entries: "Mapping[int, PutEventsRequestEntryTypeDef]") -> list[NotAccepted]:
        return [NotAccepted(index, self.code, self.message) for index in entries]


@dataclass(frozen=True)
class RetryingPublisher:
    """`vary` draws a number between two others."""

    client: "EventBridgeClient"
    backoff: Backoff
    sleep: Sleep
    vary: Callable[[float, float], float]

    async def put(self, entries: "dict[int, PutEventsRequestEntryTypeDef]") -> Outcome:
        """Never raises for what AWS answers; `entries` fit into one call."""
        waits = self.backoff.waits()
        refused: list[NotAccepted] = []
        open_, number = entries, len(entries)
        while True:
            answer = await self._call(open_)
            if isinstance(answer, _Trouble) and not answer.passes:
                return await self._give_up(open_, refused, answer)
            left = answer.of(open_) if isinstance(answer, _Trouble) else answer
            refused += [entry for entry in left if entry.code in _ENTRY_REFUSED]
            open_ = {entry.index: entries[entry.index] for entry in left if entry.code not in _ENTRY_REFUSED}
            wait = next(waits, None)
            if not open_ or wait is None:
                break
            await self.sleep(self.vary(*wait))
        again = [entry for entry in left if entry.index in open_]
        nothing_went = again and len(refused) + len(again) == number
        return Outcome(refused + again, f"{again[0].code}: {again[0].message}" if nothing_went else None)

    async def _give_up(
        self,
        entries: "dict[int, PutEventsRequestEntryTypeDef]",
        refused: list[NotAccepted],
        trouble: _Trouble,
    ) -> Outcome:
        """A call that no further try helps; where one entry may be to blame, the others go without it."""
        if trouble.code not in _CONTENT_REFUSED:
            return Outcome(refused + trouble.of(entries), str(trouble))
        if len(entries) == 1:
            return Outcome(refused + trouble.of(entries))
        stop: str | None = None
        for index, entry in entries.items():
            if stop is not None:
                refused.append(NotAccepted(index, NOT_TRIED, stop))
                continue
            alone = await self.put({index: entry})
            stop, refused = alone.stop, refused + alone.left
        return Outcome(refused, stop)

    async def _call(
        self, entries: "dict[int, PutEventsRequestEntryTypeDef]"
    ) -> "list[NotAccepted] | _Trouble":
        """Those that were left, in order; EventBridge answers 200 even when it took only some."""
        try:
            answer = await self.client.put_events(Entries=list(entries.values()))
        except ClientError as error:
            return _trouble(error)
        except _OURS as error:
            return _Trouble(code=type(error).__name__, message=str(error), passes=False)
        except (BotoCoreError, ResponseParserError, aiohttp.ClientError, OSError) as error:
            return _Trouble(
                code=NO_ANSWER,
                message=f"EventBridge could not be reached: {type(error).__name__}",
                passes=True,
            )
        return [
            NotAccepted(index, result["ErrorCode"], result.get("ErrorMessage", ""))
            for index, result in zip(entries, answer["Entries"], strict=True)
            if result.get("ErrorCode")
        ]


def _trouble(error: ClientError) -> _Trouble:
    """Throttles and 5xx pass; any other no (credentials, permissions, the request itself) stays one."""
    code = error.response.get("Error", {}).get("Code", "unknown")
    message = error.response.get("Error", {}).get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    throttled = status == 429 or "Throttl" in code or code in {"TooManyRequestsException", "LimitExceeded"}
    passes = throttled or status >= 500 or code in {"InternalException", "InternalFailure"}
    return _Trouble(code=code, message=message, passes=passes)
