"""From what arrived to what is asked: identity, request, and a refusal where the request is no good.

Nothing here raises for a bad request: a request that can be named is refused, tracked and published. Only a
record that can't be read at all raises, so that it ends whole in a dead-letter queue.
"""

import re
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec
from msgspec.structs import replace

from engine.errors import EngineError, Refusal
from engine.requests.addresses import address_key
from engine.requests.checks import TOO_DEEP, check, data_problem, invalid
from engine.schemas.envelopes import LONGEST_SOURCE, EventBridgeEvent
from engine.schemas.request import CAMPAIGN_PATTERN, EmailRequest
from engine.schemas.retry import RetryMessage
from engine.schemas.status import REQUEST_DETAIL_TYPE
from engine.schemas.times import parse_iso

_LONGEST_TEXT: Final = 320  # characters that a row keeps of an unchecked address or name
_MOST_TEXTS: Final = 8_192  # characters of metadata or tags that go out again with a refusal
# SQS carries 1 MiB, in which a deferral or a soft-bounce retry wraps the request:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
LARGEST_REQUEST: Final = 1_000_000  # bytes of JSON
_FIELDS: Final = tuple(field.encode_name for field in msgspec.structs.fields(EmailRequest))
_PATH: Final = re.compile(r"^(?P<problem>.*?)(?: - at (?:key in )?`\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
# The root of every email id. Never change it: a request in flight would be sent again under another id.
NAMESPACE: Final = UUID("5e5a11e4-91e6-5d0c-9b0e-2f6a7c1d3e5b")

_encoder = msgspec.json.Encoder(order="deterministic")


class UnreadableRecordError(EngineError):
    """What arrived is neither an event of a bus nor a retry message. The message holds no content of it."""


class EmailJob(msgspec.Struct, frozen=True, kw_only=True):
    """One email that is asked for. `request` and `refusal`: exactly one of them is set.

    `to` is the recipient's address key: it is what emails to one address are found by. `first_requested_at`:
    of a retry, when its original was asked for. `superseded`: a retry that was begun, and whose original has
    arrived after all.
    """

    email_id: str
    original_email_id: str
    source: str
    to: str
    template_name: str
    requested_at: datetime
    first_requested_at: datetime
    request_hash: str
    campaign: str | None = None
    idempotency_key: str | None = None
    retry_attempt: int = 0
    request: EmailRequest | None = None
    refusal: Refusal | None = None
    metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    dry_run: bool = False
    superseded: bool = False


def read_event(event: object) -> EventBridgeEvent:
    """The event that a rule handed over, also out of the on-failure record of a Lambda function.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    Raises UnreadableRecordError.
    """
    if isinstance(event, dict) and "requestPayload" in event:
        event = event["requestPayload"]
    try:
        read = msgspec.convert(event, EventBridgeEvent)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise UnreadableRecordError(f"this is no EventBridge event: {_without_content(error)}") from None
    # A rule that matches too much must not start a loop.
    if read.detail_type not in {"", REQUEST_DETAIL_TYPE}:
        raise UnreadableRecordError(f"this is no {REQUEST_DETAIL_TYPE!r} but another detail-type")
    if read.time and parse_iso(read.time) is None:
        raise UnreadableRecordError("`time` is no time; expected ISO 8601, as in 2026-11-24T08:15:30Z")
    if len(read.source) > LONGEST_SOURCE:
        raise UnreadableRecordError(f"`source` is longer than {LONGEST_SOURCE:,} characters")
    try:
        f"{read.id}{read.source}".encode()
    except UnicodeEncodeError:
        raise UnreadableRecordError("`id` or `source` is not valid Unicode") from None
    return read


def read_body(body: str) -> EventBridgeEvent | RetryMessage:
    """The event or retry message in a queue record. Raises UnreadableRecordError."""
    try:
        record = msgspec.json.decode(body)
        is_retry = isinstance(record, dict) and "originalEmailData" in record
        retry = msgspec.convert(record, RetryMessage) if is_retry else None
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        problem = _without_content(error)
        raise UnreadableRecordError(
            f"the body is neither an EventBridge event nor a retry message: {problem}"
        ) from None
    if retry is None:
        return read_event(record)
    if wrong := data_problem(retry.original_email_data.template_data):
        raise UnreadableRecordError(wrong)
    return retry


def _without_content(error: Exception) -> str:
    """What msgspec expected and where; anything else may quote a name or a value, and that an address."""
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return type(error).__name__
    if text.startswith(("Expected ", "Object missing required field ")):
        return text
    _, at, place = text.rpartition(" - at ")
    return f"a name or a value that is not allowed{at}{place if at else ''}"


def from_event(event: EventBridgeEvent, now: datetime) -> EmailJob:
    """The email that an Email Request asks for; `now` stands in where the event has no time."""
    detail = event.detail
    requested_at = parse_iso(event.time) or now
    try:
        request = msgspec.convert(_with_moment(detail), EmailRequest)
        problem = data_problem(request.template_data)
        text = b"" if problem else encoded(request)
    except msgspec.ValidationError as error:
        problem = _explain(str(error))
    except UnicodeEncodeError:
        problem = "detail: holds text that is not valid Unicode"
    except RecursionError:
        problem = TOO_DEEP
    if not problem:
        own_id = email_id(event.source, request.idempotency_key or event.id)
        return _checked(
            request, text, own_id=own_id, original_id=own_id, source=event.source, requested_at=requested_at
        )
    # Refused: named and told by as much of it as can be read.
    known = detail if isinstance(detail, dict) else {}
    to, template_name, refusal = _text(known.get("to")), _text(known.get("templateName")), invalid(problem)
    key = known.get("idempotencyKey")
    key = _text(key) if isinstance(key, str) and 1 <= len(key) <= 256 else None
    own_id = email_id(event.source, key or event.id)
    return EmailJob(
        email_id=own_id,
        original_email_id=own_id,
        source=event.source,
        to=address_key(to),
        template_name=template_name,
        requested_at=requested_at,
        first_requested_at=requested_at,
        request_hash=sha256(f"{to}\n{template_name}\n{refusal.message}".encode()).hexdigest(),
        idempotency_key=key,
        campaign=_campaign(known.get("campaign")),
        refusal=refusal,
        metadata=_texts(known.get("metadata")),
        tags=_texts(known.get("tags")),
        dry_run=known.get("dryRun") is True,
    )


def from_retry(message: RetryMessage, now: datetime) -> EmailJob:
    """The next attempt at an email that bounced softly."""
    data, attempt = message.original_email_data, message.retry_attempt
    request = EmailRequest(**{name: getattr(data, name) for name in EmailRequest.__struct_fields__})
    return _checked(
        request,
        encoded(request),
        own_id=retry_id(data.original_email_id, attempt),
        original_id=data.original_email_id,
        source=data.original_source,
        requested_at=now,
        attempt=attempt,
    )


def _checked(
    request: EmailRequest,
    text: bytes,
    *,
    own_id: str,
    original_id: str,
    source: str,
    requested_at: datetime,
    attempt: int = 0,
) -> EmailJob:
    if len(text) > LARGEST_REQUEST:
        answer: EmailRequest | Refusal = invalid(
            f"detail: has {len(text):,} bytes, over {LARGEST_REQUEST:,}; put attachments into the template"
            " bucket and name them by s3Key"
        )
    else:
        answer = check(request)
    good, refusal = (None, answer) if isinstance(answer, Refusal) else (answer, None)
    return EmailJob(
        email_id=own_id,
        original_email_id=original_id,
        source=source,
        to=address_key(good.to if good else _text(request.to)),
        template_name=request.template_name,
        requested_at=requested_at,
        first_requested_at=requested_at,
        campaign=request.campaign,
        # Of a bad request nothing is compared but the text: its addresses may be any number.
        request_hash=request_hash(request) if good else sha256(text).hexdigest(),
        idempotency_key=request.idempotency_key,
        retry_attempt=attempt,
        request=good,
        refusal=refusal,
        metadata=request.metadata if good else _texts(request.metadata),
        tags=request.tags if good else _texts(request.tags),
        dry_run=request.dry_run,
    )


def _with_moment(detail: Any) -> Any:
    """The detail, its `expiresAt` read from any form of ISO 8601: msgspec reads those of RFC 3339 alone."""
    text = detail.get("expiresAt") if isinstance(detail, dict) else None
    if isinstance(text, str):
        with suppress(ValueError):
            return {**detail, "expiresAt": datetime.fromisoformat(text)}
    return detail


def _explain(error: str) -> str:
    """Msgspec's message, with the field in front: `senderOverride.email: Expected str, got int`."""
    match = _PATH.match(error)
    path, problem = (match["path"] or "", match["problem"]) if match else ("", error)
    if path == "templateName" and "regex" in problem:
        problem = "must be 1 to 64 of A-Z a-z 0-9 . _ - without '..', the name of a template and never a path"
    if path == "campaign" and "regex" in problem:
        problem = "must be 1 to 64 of A-Z a-z 0-9 _ -"
    if path == "topic" and "regex" in problem:
        problem = "must be 1 to 64 of a-z 0-9 -"
    if path == "expiresAt":
        problem = "must be a time with its zone, as in 2026-11-24T08:15:30Z"
    if "unknown field" in problem and not path:
        problem += f"; the fields of an Email Request are {', '.join(_FIELDS)}"
    problem = problem.removeprefix("Object contains ").removeprefix("Object ").replace("`", "'")
    return f"{path or 'detail'}: {problem}"


def _text(value: object) -> str:
    """The beginning of a text, as far as it is Unicode; nothing of anything else."""
    return value[:_LONGEST_TEXT].encode(errors="replace").decode() if isinstance(value, str) else ""


def _campaign(value: object) -> str | None:
    return value if isinstance(value, str) and re.search(CAMPAIGN_PATTERN, value) else None


def _texts(value: object) -> dict[str, str]:
    """A string-to-string object as far as it is one and stays small: it goes out again with the refusal."""
    kept: dict[str, str] = {}
    room = _MOST_TEXTS
    for key, item in value.items() if isinstance(value, dict) else ():
        if isinstance(item, str) and (room := room - len(key) - len(item)) >= 0:
            kept[_text(key)] = _text(item)
    return kept


def email_id(source: str, key: str) -> str:
    """The id of a first attempt; `key` is the idempotency key, or the event id where there is none."""
    return str(uuid5(NAMESPACE, f"{source}\n{key}"))


def retry_id(original_email_id: str, attempt: int) -> str:
    return str(uuid5(NAMESPACE, f"{original_email_id}\n{attempt}"))


def conflict_id(taken_email_id: str, request_hash: str) -> str:
    """The id of a request whose own id is taken by another request with the same idempotency key."""
    return str(uuid5(NAMESPACE, f"{taken_email_id}\n{request_hash}"))


def encoded(request: EmailRequest) -> bytes:
    """The request's meaning as JSON: neither the order of keys nor a default spelled out matters.

    Defaults are left out, so that a field which a later version adds leaves mail under way what it was.
    """
    return _encoder.encode(request)


def request_hash(request: EmailRequest) -> str:
    """SHA-256 over the meaning of a good request, however its addresses and its time are spelled."""
    by_key = replace(
        request,
        to=address_key(request.to),
        cc=[address_key(address) for address in request.cc],
        bcc=[address_key(address) for address in request.bcc],
        expires_at=request.expires_at and request.expires_at.astimezone(UTC),
    )
    return sha256(encoded(by_key)).hexdigest()
