"""The mail of a history: requests of every kind, to addresses of every outcome."""

import random
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

import msgspec
from msgspec import Struct
from tests.simulation.plan import Plan
from tests.simulation.world import BEGIN, TOPICS

from engine.local.ses.outcomes import OUTCOMES, RECOVERING
from engine.requests.email_job import conflict_id, email_id, request_hash
from engine.schemas.request import EmailRequest
from engine.schemas.times import iso

SOURCE: Final = "shop"
CAMPAIGNS: Final = ("spring", "summer")
_TROUBLES: Final = (*sorted(set(OUTCOMES) - {"success"}), *RECOVERING)
_TERMS: Final = {"fileName": "terms.txt", "contentType": "text/plain", "s3Key": "attachments/terms.txt"}
# What is odd about a request, by its kind.
_ODDITY: Final[Mapping[str, Callable[[int], dict[str, Any]]]] = {
    "invalid": lambda number: {"to": f"no address {number}"},
    "unknown-field": lambda _: {"color": "red"},
    "no-template": lambda _: {"templateName": "missing"},
    "suppressed": lambda number: {"to": f"suppressed{number}@example.com"},
    "large": lambda number: {"templateData": {"name": "Ada", "text": _mixed_text(number)}},
    "copies": lambda number: {
        "cc": [f"copy{number}@example.com"],
        "bcc": [f"suppressed-copy{number}@example.com", f"bounce+c{number}@simulator.example.com"],
    },
    "attachment": lambda _: {"attachments": [_TERMS]},
    "dry-run": lambda _: {"dryRun": True},
}
_ODD: Final = (*_ODDITY, "repeated", "conflicting")
# The client's own types or its schedule's name would refuse them.
_UNSCHEDULED: Final = frozenset({"unknown-field", "repeated", "conflicting"})


class Asked(Struct, frozen=True, kw_only=True):
    """One request as an application makes it, `at` a time. `email_ids`: its answer comes under one of them.

    `due`: for when it is scheduled, `cancelled_at`: when that is taken back; 0 where it is not.
    """

    number: int
    at: float
    event_id: str
    detail: dict[str, Any]
    kind: str
    email_ids: tuple[str, ...]
    due: float = 0
    cancelled_at: float = 0

    @property
    def email_id(self) -> str:
        return self.email_ids[0]

    @property
    def is_bulk(self) -> bool:
        return self.detail.get("priority") == "bulk"


def requests(plan: Plan) -> Iterator[Asked]:
    """Every email has dice of its own, so that leaving some out changes nothing about the others."""
    for number in range(plan.emails):
        if plan.keep is not None and number not in plan.keep:
            continue
        dice = random.Random(f"{plan.seed} {number}")  # noqa: S311 - dice, and the same ones every time
        kind = dice.choice(_ODD) if dice.random() < plan.odd else "plain"
        detail = _detail(plan, number, kind, dice)
        spread = plan.bulk_seconds if detail.get("priority") else None
        at = dice.uniform(0, spread or plan.seconds)
        if plan.expiring and dice.random() < plan.expiring:
            detail["expiresAt"] = iso(BEGIN + timedelta(seconds=at + dice.uniform(0.5, 600)))
        if plan.scheduled and kind not in _UNSCHEDULED and dice.random() < plan.scheduled:
            yield _scheduled(number, at, kind, detail, dice)
            continue
        for place, one in enumerate(_as_often_as(kind, detail)):
            yield Asked(
                number=number,
                at=at + place * dice.choice((0.0, 1.0, 400.0)),
                event_id=f"request-{number}-{place}",
                detail=one,
                kind=kind,
                email_ids=_ids(one, f"request-{number}-{place}", kind),
            )


def _scheduled(number: int, at: float, kind: str, detail: dict[str, Any], dice: random.Random) -> Asked:
    due = at + 10 ** dice.uniform(1.3, 3.5)
    if "expiresAt" in detail:  # soon after it is due, or before
        detail["expiresAt"] = iso(BEGIN + timedelta(seconds=due + dice.uniform(-60, 600)))
    near = due + dice.uniform(-20, 90)
    cancelled_at = dice.choice((0.0, 0.0, dice.uniform(at, due), near))
    # As the client writes it.
    written = msgspec.to_builtins(msgspec.convert(detail, EmailRequest))
    own = email_id(SOURCE, detail["idempotencyKey"])
    return Asked(
        number=number,
        at=at,
        event_id=own,
        detail=written,
        kind=kind,
        email_ids=(own,),
        due=due,
        cancelled_at=cancelled_at,
    )


def _mixed_text(number: int) -> str:
    """Too much, and too mixed, to be kept beside a claim."""
    return "".join(sha256(f"{number} {n}".encode()).hexdigest() for n in range(40))


def _detail(plan: Plan, number: int, kind: str, dice: random.Random) -> dict[str, Any]:
    if plan.readers and dice.random() < 0.6:
        to = f"reader{dice.randrange(plan.readers)}@example.com"
    elif dice.random() < plan.one_address:
        to = "softbounce+one@simulator.example.com"
    elif dice.random() < plan.trouble:
        # Few enough that an address gets mail after it has bounced.
        outcome = dice.choice(plan.troubles or _TROUBLES)
        to = f"{outcome}+{dice.randrange(1 + plan.emails // 8)}@simulator.example.com"
    else:
        to = f"user{number}@example.com"
    detail: dict[str, Any] = {
        "to": to,
        "templateName": "welcome",
        "templateData": {"name": f"Ada {number}"},
        "idempotencyKey": f"key-{number}",
        "metadata": {"number": str(number)},
    }
    if dice.random() < plan.bulk:
        detail["priority"] = "bulk"
    if plan.campaigns and dice.random() < plan.campaigns:
        detail["campaign"] = dice.choice(CAMPAIGNS)
    topics = 0.8 if to.startswith("reader") else plan.topics
    if topics and dice.random() < topics:
        detail["topic"] = dice.choice(TOPICS)
    return detail | _ODDITY[kind](number) if kind in _ODDITY else detail


def _as_often_as(kind: str, detail: dict[str, Any]) -> list[dict[str, Any]]:
    match kind:
        case "repeated":
            return [detail, detail]
        case "conflicting":
            return [detail, {**detail, "templateData": {"name": "Eve"}}]
        case _:
            return [detail]


def _ids(detail: dict[str, Any], event_id: str, kind: str) -> tuple[str, ...]:
    own = email_id(SOURCE, detail.get("idempotencyKey") or event_id)
    if kind != "conflicting":
        return (own,)
    return own, conflict_id(own, request_hash(msgspec.convert(detail, EmailRequest)))


def suppressed_before(plan: Plan) -> Iterator[str]:
    """Addresses that an operator suppressed before the history began."""
    for asked in requests(plan):
        if asked.kind == "suppressed":
            yield asked.detail["to"]
        elif asked.kind == "copies":
            yield asked.detail["bcc"][0]


def opted_out_before(plan: Plan) -> list[str]:
    """Addresses with an opt-out of every topic under the bare address, and which bounce or complain."""
    topical = plan.topics and [one.detail["to"] for one in requests(plan) if one.kind == "plain"]
    return sorted(
        {
            to
            for to in topical or ()
            if to.startswith(("bounce+", "complaint+")) and to.endswith("1@simulator.example.com")
        }
    )
