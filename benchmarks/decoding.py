"""Decoding what AWS hands over: msgspec as the engine does, and json with pydantic (Powertools Parser).

Lambda's runtime client has read the outer JSON before any handler sees it, so both begin with dicts; the
bodies of SQS records and the messages of SNS are text that each decodes itself. What reading that text alone
takes, which no types make faster, stands beside them.
"""

import time
import timeit
from collections.abc import Callable
from typing import Any, Final

import msgspec
from aws_lambda_powertools.utilities.parser import envelopes, parse
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from benchmarks.fake_aws import events
from benchmarks.report import Measure, ResultTable, Section, median, noise
from benchmarks.run import Run
from engine.feedback.notifications import notifications
from engine.requests.email_job import read_body, read_event
from engine.schemas.envelopes import EventBridgeEvent, SqsEvent
from engine.schemas.request import EmailRequest
from engine.schemas.retry import RetryMessage
from engine.schemas.ses_events import decode

MSGSPEC: Final = "msgspec (engine)"
PYDANTIC: Final = "json + pydantic (Powertools)"
JSON_ALONE: Final = "msgspec, JSON alone"
_ROUNDS: Final = 40
_BATCH: Final = 100


class _Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class RequestModel(_Camel):
    """The Email Request, as pydantic says it."""

    model_config = ConfigDict(extra="forbid")
    to: str
    template_name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    template_data: dict[str, Any] = {}
    idempotency_key: str | None = None
    priority: str = "transactional"
    cc: list[str] = []
    bcc: list[str] = []
    reply_to: list[str] = []
    headers: dict[str, str] = {}
    tags: dict[str, str] = {}
    metadata: dict[str, str] = {}
    dry_run: bool = False


class EventModel(BaseModel):
    id: str
    source: str
    time: str
    detail_type: str = Field(alias="detail-type")
    detail: RequestModel


class MailModel(_Camel):
    timestamp: str
    source: str
    message_id: str
    destination: list[str]
    headers: list[dict[str, str]] = []
    tags: dict[str, list[str]] = {}


class DeliveryModel(_Camel):
    timestamp: str
    recipients: list[str]
    smtp_response: str


class NotificationModel(_Camel):
    event_type: str
    mail: MailModel
    delivery: DeliveryModel


def _request(body: EventBridgeEvent | RetryMessage) -> object:
    """As the engine does: the request was read with the event, unless something is wrong with it."""
    detail = body.detail if isinstance(body, EventBridgeEvent) else None
    return detail if isinstance(detail, EmailRequest) else msgspec.convert(detail, EmailRequest)


WAYS: Final[dict[str, dict[str, Callable[[Any], object]]]] = {
    "EventBridge event": {
        MSGSPEC: lambda event: _request(read_event(event)),
        PYDANTIC: lambda event: parse(event, RequestModel, envelopes.EventBridgeEnvelope),
    },
    f"SQS batch of {_BATCH}": {
        MSGSPEC: lambda event: [
            _request(read_body(record.body)) for record in msgspec.convert(event, SqsEvent).records
        ],
        PYDANTIC: lambda event: parse(event, EventModel, envelopes.SqsEnvelope),
        JSON_ALONE: lambda event: [msgspec.json.decode(record["body"]) for record in event["Records"]],
    },
    "SNS notification of SES": {
        MSGSPEC: lambda event: [decode(each.message) for each in notifications(event)],
        PYDANTIC: lambda event: parse(event, NotificationModel, envelopes.SnsEnvelope),
        JSON_ALONE: lambda event: [
            msgspec.json.decode(record["Sns"]["Message"]) for record in event["Records"]
        ],
    },
}


async def measure(run: Run) -> Section:
    found: dict[str, dict[str, list[float]]] = {}  # microseconds by payload and way
    payloads = (events.request(), events.bulk(_BATCH), events.delivery())
    for number, (name, payload) in enumerate(zip(WAYS, payloads, strict=True)):
        run.show(name, number / len(WAYS))
        repeat = 2 if "batch" in name else 50
        found[name] = {way: [] for way in WAYS[name]}
        for _ in range(run.times(_ROUNDS)):  # in turns
            for way, read in WAYS[name].items():
                # CPU time, which other processes don't stretch.
                timer = timeit.Timer(lambda: read(payload), timer=time.process_time)  # noqa: B023 - runs at once
                found[name][way].append(timer.timeit(repeat) / repeat * 1e6)
    rows, measures, summary = [], [], []
    for name, ways in found.items():
        own = median(ways[MSGSPEC])
        for way, took in ways.items():
            spread = noise(took)
            shown = [f"{median(took):.1f}", f"{median(took) / own:.1f}", f"±{spread:.0%}"]
            rows.append([f"{name} · {way}", *shown])
            measures.append(Measure(name=f"{name} · {way}", value=median(took), unit="µs", noise=spread))
        summary.append((f"decoding, {name}", f"{median(ways[PYDANTIC]) / own:.1f} x as fast", PYDANTIC))
    table = ResultTable(
        title="Decoding, microseconds of CPU a payload (medians)",
        columns=["", "µs", "by msgspec", "noise"],
        rows=rows,
    )
    return Section(name="decoding", measures=measures, summary=summary, tables=[table])
