"""Decoding what AWS hands over: msgspec, json with pydantic (Powertools Parser), and json with plain dicts.

Lambda's runtime client has read the outer JSON before any handler sees it, so every way begins with dicts;
the bodies of SQS records and the messages of SNS are text that each way decodes itself. How much of it is
reading JSON, which no types make faster, the way without types tells.
"""

import gc
import json
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np
from aws_lambda_powertools.utilities.parser import envelopes, parse
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from benchmarks.fake_aws import events
from benchmarks.report import Measure, Section, Table, Target, noise
from benchmarks.run import Run
from engine.requests.email_job import read_body, read_event
from engine.schemas.envelopes import EventBridgeEvent, SnsEvent, SqsEvent
from engine.schemas.request import EmailRequest
from engine.schemas.retry import RetryMessage
from engine.schemas.ses_events import decode

# What reading the text alone takes: plain dicts by msgspec, and nothing checked.
BARE: Final = "msgspec, JSON alone"
_ROUNDS: Final = 60
_BATCH: Final = 100


class _Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


class Sender(_Camel):
    email: str
    name: str | None = None


class Request(_Camel):
    """The Email Request, as pydantic says it."""

    to: str
    template_name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    template_data: dict[str, Any] = {}
    sender_override: Sender | None = None
    idempotency_key: str | None = None
    priority: str = "transactional"
    cc: list[str] = []
    bcc: list[str] = []
    reply_to: list[str] = []
    headers: dict[str, str] = {}
    tags: dict[str, str] = {}
    metadata: dict[str, str] = {}
    dry_run: bool = False


class BusEvent(BaseModel):
    """An event of a bus in a queue record."""

    id: str
    source: str
    time: str
    detail_type: str = Field(alias="detail-type")
    detail: Request


class Header(BaseModel):
    name: str
    value: str


class Mail(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    timestamp: str
    source: str
    message_id: str
    destination: list[str]
    headers: list[Header] = []
    tags: dict[str, list[str]] = {}


class Delivery(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    timestamp: str
    processing_time_millis: int
    recipients: list[str]
    smtp_response: str
    reporting_mta: str = Field(alias="reportingMTA")


class Notification(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    event_type: str
    mail: Mail
    delivery: Delivery


Way = Callable[[Any], object]


def _event_dicts(event: Any) -> object:
    detail = event["detail"]
    return detail["to"], detail["templateName"], detail.get("templateData", {}), event["id"]


def _event_parser(event: Any) -> object:
    return parse(event=event, model=Request, envelope=envelopes.EventBridgeEnvelope)


def _event_msgspec(event: Any) -> object:
    return msgspec.convert(read_event(event).detail, EmailRequest)


def _queue_msgspec(event: Any) -> object:
    return [_request(read_body(record.body)) for record in msgspec.convert(event, SqsEvent).records]


def _request(body: EventBridgeEvent | RetryMessage) -> EmailRequest | None:
    """As the engine does: the request was read with the event, unless something is wrong with it."""
    detail = body.detail if isinstance(body, EventBridgeEvent) else None
    return detail if isinstance(detail, EmailRequest) else msgspec.convert(detail, EmailRequest | None)


WAYS: Final[dict[str, dict[str, Way]]] = {
    "EventBridge event": {
        "msgspec (engine)": _event_msgspec,
        "json + pydantic (Powertools)": _event_parser,
        "json + dicts": _event_dicts,
    },
    f"SQS batch of {_BATCH}": {
        "msgspec (engine)": _queue_msgspec,
        "json + pydantic (Powertools)": lambda event: parse(
            event=event, model=BusEvent, envelope=envelopes.SqsEnvelope
        ),
        "json + dicts": lambda event: [
            _event_dicts(json.loads(record["body"])) for record in event["Records"]
        ],
        BARE: lambda event: [msgspec.json.decode(record["body"]) for record in event["Records"]],
    },
    "SNS notification of SES": {
        "msgspec (engine)": lambda event: [
            decode(record.sns.message) for record in msgspec.convert(event, SnsEvent).records
        ],
        "json + pydantic (Powertools)": lambda event: parse(
            event=event, model=Notification, envelope=envelopes.SnsEnvelope
        ),
        "json + dicts": lambda event: [
            json.loads(record["Sns"]["Message"])["mail"]["tags"] for record in event["Records"]
        ],
        BARE: lambda event: [msgspec.json.decode(record["Sns"]["Message"]) for record in event["Records"]],
    },
}


def payloads() -> dict[str, Any]:
    """As Lambda hands them over; the notification carries what Powertools's model insists on besides."""
    notification = events.delivery()
    notification["Records"][0]["Sns"] |= {
        "Subject": "Amazon SES Email Event Notification",
        "SignatureVersion": "1",
        "Signature": "EXAMPLE",
        "SigningCertUrl": "https://sns.eu-west-1.amazonaws.com/cert.pem",
        "UnsubscribeUrl": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
        "MessageAttributes": {},
    }
    return dict(zip(WAYS, (events.request(), events.bulk(_BATCH), notification), strict=True))


async def measure(run: Run) -> Section:
    """With collection off, as in timeit: this process holds far more to go through than a function does."""
    gc.collect()
    gc.disable()
    try:
        return _measure(run)
    finally:
        gc.enable()


def _measure(run: Run) -> Section:
    found: dict[tuple[str, str], list[float]] = {}
    for number, (name, payload) in enumerate(payloads().items()):
        run.tell(name, number / len(WAYS))
        ways = WAYS[name]
        repeat = 2 if "batch" in name else 50
        for way in ways.values():
            way(payload)
        for _ in range(run.times(_ROUNDS, 5)):  # in turns
            for label, way in ways.items():
                began = time.perf_counter()
                for _ in range(repeat):
                    way(payload)
                found.setdefault((name, label), []).append((time.perf_counter() - began) / repeat)
    run.take_pace()
    return section(found)


def section(found: dict[tuple[str, str], list[float]]) -> Section:
    medians = {key: float(np.median(took)) for key, took in found.items()}
    rows, measures, targets = [], [], []
    for (payload, way), took in medians.items():
        factor = took / medians[payload, "msgspec (engine)"]
        rows.append(
            [f"{payload} · {way}", f"{took * 1e6:.1f}", f"{factor:.1f}", f"±{noise(found[payload, way]):.0%}"]
        )
        measures.append(
            Measure(
                section="decoding",
                name=f"{payload} · {way}",
                value=took * 1e6,
                unit="µs",
                noise=noise(found[payload, way]),
                scales=True,
            )
        )
        if "pydantic" in way:
            targets.append(
                Target(
                    name=f"{payload}: json + pydantic by msgspec",
                    value=factor,
                    unit="x",
                    at_least=5,
                    note=_most(took, medians.get((payload, BARE))),
                )
            )
    table = Table(
        title="Decoding, microseconds a payload (medians)",
        columns=["", "µs", "by msgspec", "noise"],
        rows=rows,
        note="Dicts check nothing: no type, no missing or unknown field.",
    )
    return Section(name="decoding", measures=measures, targets=targets, tables=[table])


def _most(pydantic: float, bare: float | None) -> str:
    """What the factor could be if types cost nothing."""
    return f"at most {pydantic / bare:.1f} x: the JSON alone takes msgspec that long" if bare else ""
