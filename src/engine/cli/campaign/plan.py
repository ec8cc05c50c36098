"""From a row of the recipients' file to a checked request with its idempotency key."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from engine.cli.campaign.columns import trimmed
from engine.cli.campaign.recipients import RecipientRow
from engine.requests.email_job import from_event, request_hash
from engine.schemas.envelopes import EventBridgeEvent
from engine.schemas.request import EmailRequest

LONGEST_KEY: Final = 256  # as in the schema of a request
_DIGEST: Final = 32
LONGEST_PREFIX: Final = LONGEST_KEY - _DIGEST - 1
_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)  # the checks don't look at it


class CheckedRow(Struct, frozen=True):
    """A row with its request, or with what is wrong with it."""

    row: RecipientRow
    request: EmailRequest | None = None
    problem: str = ""


class Plan(Struct, frozen=True, kw_only=True):
    """A campaign. `prefix` begins every idempotency key, so that campaigns differ in all keys."""

    recipients: Path
    template: str
    prefix: str
    bulk: bool = False
    campaign: str | None = None
    topic: str | None = None
    engine_dry_run: bool = False

    def check(self, rows: Iterable[RecipientRow]) -> Iterator[CheckedRow]:
        """Every row, checked as the engine will check it, and against the rows before it.

        Keys are compared within one pass, which takes about 200 bytes for each row that has one.
        """
        seen: dict[int, tuple[int, int]] = {}  # by hash of the key: line, and hash of the request
        for row in rows:
            checked = self._check(row)
            key = checked.request.idempotency_key if checked.request else None
            if checked.request is None or key is None:
                yield self._with_key(checked)
                continue
            content = hash(request_hash(checked.request))
            line, first = seen.setdefault(hash(key), (row.line, content))
            if first == content:
                yield self._with_key(checked)
            else:
                problem = f"idempotencyKey: {key!r} is the key of line {line}, which is for another email"
                yield CheckedRow(row, problem=problem)

    def _check(self, row: RecipientRow) -> CheckedRow:
        if row.detail is None:
            return CheckedRow(row, problem=row.problem)
        detail = {"templateName": self.template} | _with_trimmed_addresses(row.detail)
        if self.bulk:
            detail = {"priority": "bulk"} | detail
        if self.campaign:
            detail = {"campaign": self.campaign} | detail
        if self.topic:
            detail = {"topic": self.topic} | detail
        if self.engine_dry_run:
            detail |= {"dryRun": True}
        job = from_event(EventBridgeEvent(id="", detail=detail), _ANY_TIME)
        if job.request is None:
            return CheckedRow(row, problem=job.refusal.message if job.refusal else "is refused")
        if _holds_nul(job.request.template_data):
            problem = "templateData: holds the character NUL, which the engine does not render"
            return CheckedRow(row, problem=problem)
        return CheckedRow(row, job.request)

    def _with_key(self, checked: CheckedRow) -> CheckedRow:
        """Key a request by its content: the same row is the same email, wherever it stands in the file."""
        request = checked.request
        if request is None:
            return checked
        key = f"{self.prefix}:{request.idempotency_key or request_hash(request)[:_DIGEST]}"
        if len(key) > LONGEST_KEY:
            problem = f"idempotencyKey: is longer than {LONGEST_KEY} with its prefix"
            return CheckedRow(checked.row, problem=problem)
        return CheckedRow(checked.row, replace(request, idempotency_key=key))


def _with_trimmed_addresses(detail: dict[str, Any]) -> dict[str, Any]:
    """The fields without invisible characters around addresses; what is no text is left to the checks."""
    trimmed_detail = dict(detail)
    if isinstance(to := detail.get("to"), str):
        trimmed_detail["to"] = trimmed(to)
    for name in ("cc", "bcc", "replyTo"):
        if isinstance(addresses := detail.get(name), list):
            trimmed_detail[name] = [trimmed(one) if isinstance(one, str) else one for one in addresses]
    return trimmed_detail


def _holds_nul(data: Any) -> bool:
    """Whether a text anywhere in the data holds NUL. A loop, since the data may be deeply nested."""
    left = [data]
    while left:
        value = left.pop()
        if isinstance(value, str) and "\0" in value:
            return True
        if isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list):
            left += value
    return False
