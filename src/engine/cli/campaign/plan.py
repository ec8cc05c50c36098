"""What is asked for: from a line of the file to a checked request with its key."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from engine.cli.campaign.recipients import Line, read_lines
from engine.requests.email_job import from_event
from engine.requests.identity import request_hash
from engine.schemas.envelopes import EventBridgeEvent
from engine.schemas.request import EmailRequest

LONGEST_KEY: Final = 256  # as in the schema of a request
_DIGEST: Final = 32
LONGEST_PREFIX: Final = LONGEST_KEY - _DIGEST - 1
_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)  # the checks don't ask for it


class Asked(Struct, frozen=True):
    """A line and its request, or what is wrong with it."""

    line: Line
    request: EmailRequest | None = None
    problem: str = ""


class Plan(Struct, frozen=True, kw_only=True):
    """A campaign. `prefix` begins every idempotency key, and so tells it from other campaigns."""

    recipients: Path
    template: str
    prefix: str
    bulk: bool = False
    engine_dry_run: bool = False

    def requests(self) -> Iterator[Asked]:
        """Every row of the file, checked as the engine will. Raises RecipientsError."""
        return map(self._ask, read_lines(self.recipients))

    def _ask(self, line: Line) -> Asked:
        if line.detail is None:
            return Asked(line, problem=line.problem)
        detail = {"templateName": self.template} | line.detail
        if self.bulk:
            detail = {"priority": "bulk"} | detail
        if self.engine_dry_run:
            detail |= {"dryRun": True}
        job = from_event(EventBridgeEvent(id="", detail=detail), _ANY_TIME)
        if job.request is None:
            return Asked(line, problem=job.refusal.message if job.refusal else "is refused")
        return self._keyed(line, job.request)

    def _keyed(self, line: Line, request: EmailRequest) -> Asked:
        """The key is of the row's content: the same row is the same email, wherever it stands."""
        key = f"{self.prefix}:{request.idempotency_key or request_hash(request)[:_DIGEST]}"
        if len(key) > LONGEST_KEY:
            return Asked(line, problem=f"idempotencyKey: is longer than {LONGEST_KEY} with its prefix")
        return Asked(line, replace(request, idempotency_key=key))
