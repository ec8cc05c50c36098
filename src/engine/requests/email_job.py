"""From what arrived to what is asked: identity, request, and a refusal where the request is no good.

Nothing here raises for a bad request: a request that can be named is refused, tracked and told. Only a record
that can't be read at all raises, so that it ends whole in a dead-letter queue.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from engine.errors import EngineError, FailureCode, Refusal
from engine.requests.checks import check
from engine.requests.identity import email_id, encoded, hash_of, retry_id
from engine.schemas.envelopes import EventBridgeEvent
from engine.schemas.request import EmailRequest
from engine.schemas.retry import RetryMessage
from engine.schemas.status import REQUEST_DETAIL_TYPE
from engine.schemas.times import parse_iso

_LONGEST_TEXT: Final = 320  # characters that a row keeps of an unchecked address or name
_LONGEST_REASON: Final = 1_000  # characters; a bad name may be as long as the event
_MOST_TEXTS: Final = 8_192  # characters of metadata or tags that go out again with a refusal
# SQS carries 1 MiB, in which a deferral or a soft-bounce retry wraps the request:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
LARGEST_REQUEST: Final = 1_000_000  # bytes of JSON
_FIELDS: Final = tuple(field.encode_name for field in msgspec.structs.fields(EmailRequest))
_PATH: Final = re.compile(r"^(?P<problem>.*?)(?: - at (?P<key>key in )?`\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)


class _RequestEvent(EventBridgeEvent, frozen=True, kw_only=True):
    """An event whose detail is a request that can be read: nearly all of them, and read in one go."""

    detail: EmailRequest
    # Where it is there, this is a retry message, whatever else it may look like.
    original_email_data: msgspec.Raw | msgspec.UnsetType = msgspec.field(
        name="originalEmailData", default=msgspec.UNSET
    )


_request_decoder = msgspec.json.Decoder(_RequestEvent)
_event_decoder = msgspec.json.Decoder(EventBridgeEvent)
_retry_decoder = msgspec.json.Decoder(RetryMessage)
_NO_REQUEST: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)


class UnreadableRecordError(EngineError):
    """What arrived is neither an event of a bus nor a retry message. The message holds no content of it."""


class EmailJob(msgspec.Struct, frozen=True, kw_only=True):
    """One email that is asked for. `request` and `refusal`: exactly one of them is set."""

    email_id: str
    original_email_id: str
    source: str
    to: str
    template_name: str
    requested_at: datetime
    request_hash: str
    retry_attempt: int = 0
    request: EmailRequest | None = None
    refusal: Refusal | None = None
    metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    dry_run: bool = False


def read_event(event: object) -> EventBridgeEvent:
    """The event that a rule handed over. Raises UnreadableRecordError."""
    try:
        return _email_request(msgspec.convert(event, EventBridgeEvent))
    except msgspec.ValidationError as error:
        raise UnreadableRecordError(f"this is no EventBridge event: {error}") from None


def read_body(body: str) -> EventBridgeEvent | RetryMessage:
    """The event or retry message in a queue record. Raises UnreadableRecordError."""
    try:
        event = _request_decoder.decode(body)
    except _NO_REQUEST:
        return _read_with_care(body)
    return _email_request(event) if event.original_email_data is msgspec.UNSET else _read_with_care(body)


def _read_with_care(body: str) -> EventBridgeEvent | RetryMessage:
    """What is no plain request: a retry message, a request to refuse, or a record to complain about."""
    try:
        keys = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if "originalEmailData" in keys:
            return _retry_decoder.decode(body)
        return _email_request(_event_decoder.decode(body))
    except _NO_REQUEST as error:
        problem = str(error) if isinstance(error, msgspec.ValidationError) else type(error).__name__
        raise UnreadableRecordError(
            f"the body is neither an EventBridge event nor a retry message: {problem}"
        ) from None


def _email_request(event: EventBridgeEvent) -> EventBridgeEvent:
    """The event, if it is one that asks for an email: a rule that matches too much must not start a loop."""
    if event.detail_type not in {"", REQUEST_DETAIL_TYPE}:
        raise UnreadableRecordError(f"this is no {REQUEST_DETAIL_TYPE!r} but another detail-type")
    return event


def from_event(event: EventBridgeEvent, now: datetime) -> EmailJob:
    """The email that an Email Request asks for; `now` stands in where the event has no readable time."""
    requested_at = parse_iso(event.time) or now
    request = _decode(event.detail)
    if isinstance(request, Refusal):
        return _refused_event(event, requested_at, request)
    own_id = email_id(event.source, request.idempotency_key or event.id)
    return _checked(request, own_id, own_id, event.source, requested_at, 0)


def from_retry(message: RetryMessage, now: datetime) -> EmailJob:
    """The next attempt at an email that bounced softly."""
    data = message.original_email_data
    fields = {name: getattr(data, name) for name in EmailRequest.__struct_fields__}
    attempt = message.retry_attempt
    own_id = retry_id(data.original_email_id, attempt)
    return _checked(
        EmailRequest(**fields), own_id, data.original_email_id, data.original_source, now, attempt
    )


def _checked(  # noqa: PLR0917 - the parts of one identity, from two callers
    request: EmailRequest, own_id: str, original_id: str, source: str, at: datetime, attempt: int
) -> EmailJob:
    text = encoded(request)
    checked = _too_large(len(text)) or check(request)
    good, refusal = (request, _bounded_reason(checked)) if isinstance(checked, Refusal) else (checked, None)
    return EmailJob(
        email_id=own_id,
        original_email_id=original_id,
        source=source,
        # Lower-cased: it is what soft bounces are counted by, and one mailbox has many spellings.
        to=_bounded(good.to) if refusal else good.to.lower(),
        template_name=request.template_name,
        requested_at=at,
        request_hash=hash_of(text),
        retry_attempt=attempt,
        request=None if refusal else good,
        refusal=refusal,
        metadata=_texts(request.metadata) if refusal else request.metadata,
        tags=_texts(request.tags) if refusal else request.tags,
        dry_run=request.dry_run,
    )


def _too_large(size: int) -> Refusal | None:
    if size <= LARGEST_REQUEST:
        return None
    return Refusal(
        FailureCode.VALIDATION,
        f"detail: has {size:,} bytes, over {LARGEST_REQUEST:,}; put attachments into the template bucket and"
        " name them by s3Key",
    )


def _bounded_reason(refusal: Refusal) -> Refusal:
    if len(refusal.message) <= _LONGEST_REASON:
        return refusal
    return Refusal(refusal.code, refusal.message[:_LONGEST_REASON] + " …")


def _decode(detail: object) -> EmailRequest | Refusal:
    try:
        request = detail if isinstance(detail, EmailRequest) else msgspec.convert(detail, EmailRequest)
        encoded(request)  # fails where the text is no valid Unicode
    except msgspec.ValidationError as error:
        return Refusal(FailureCode.VALIDATION, _explain(str(error)))
    except UnicodeEncodeError:
        return Refusal(FailureCode.VALIDATION, "detail: holds text that is not valid Unicode")
    except RecursionError:
        return Refusal(FailureCode.VALIDATION, "templateData: is nested too deeply")
    return request


def _explain(error: str) -> str:
    """Msgspec's message, with the field in front: `senderOverride.email: Expected str, got int`."""
    match = _PATH.match(error)
    path, problem = (match["path"] or "", match["problem"]) if match else ("", error)
    if path == "templateName" and "regex" in problem:
        problem = "must be 1 to 64 of A-Z a-z 0-9 . _ - without '..', the name of a template and never a path"
    if "unknown field" in problem and not path:
        problem += f"; the fields of an Email Request are {', '.join(_FIELDS)}"
    problem = problem.removeprefix("Object contains ").removeprefix("Object ").replace("`", "'")
    return f"{path or 'detail'}: {problem}"


def _refused_event(event: EventBridgeEvent, at: datetime, refusal: Refusal) -> EmailJob:
    detail = _as_mapping(event.detail)
    key = detail.get("idempotencyKey")
    usable = isinstance(key, str) and 1 <= len(key) <= 256
    own_id = email_id(event.source, str(key).encode(errors="replace").decode() if usable else event.id)
    return EmailJob(
        email_id=own_id,
        original_email_id=own_id,
        source=event.source,
        to=_text(detail.get("to")),
        template_name=_text(detail.get("templateName")),
        requested_at=at,
        request_hash=_hash_of_anything(event.detail),
        refusal=_bounded_reason(refusal),
        metadata=_texts(detail.get("metadata")),
        tags=_texts(detail.get("tags")),
        dry_run=detail.get("dryRun") is True,
    )


def _as_mapping(detail: object) -> Mapping[str, Any]:
    """What a refusal tells of a detail, whatever that is; a request that was read can still be refused."""
    if isinstance(detail, EmailRequest):
        names = zip(detail.__struct_fields__, detail.__struct_encode_fields__, strict=True)
        return {encoded: getattr(detail, name) for name, encoded in names}
    return detail if isinstance(detail, Mapping) else {}


def _hash_of_anything(detail: object) -> str:
    try:
        text = json.dumps(detail, sort_keys=True, default=str)
    except (RecursionError, TypeError, ValueError):
        text = "unhashable"
    return hashlib.sha256(text.encode()).hexdigest()


def _text(value: object) -> str:
    return _bounded(value.encode(errors="replace").decode()) if isinstance(value, str) else ""


def _bounded(text: str) -> str:
    return text[:_LONGEST_TEXT]


def _texts(value: Any) -> dict[str, str]:
    """A string-to-string object as far as it is one: it goes out again with the refusal."""
    if not isinstance(value, Mapping):
        return {}
    kept: dict[str, str] = {}
    room = _MOST_TEXTS
    for key, item in value.items():
        room -= len(key) + len(item) if isinstance(item, str) else 0
        if room < 0:
            break
        if isinstance(item, str):
            kept[_text(key)] = _text(item)
    return kept
