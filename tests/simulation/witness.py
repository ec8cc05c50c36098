"""Sees whatever leaves the engine, and holds the invariants that show at once."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from tests.simulation.applications import Fate, Fates
from tests.simulation.cloud import RECONCILE, Cloud
from tests.simulation.consent import Promises
from tests.simulation.dynamodb import STATE, SUPPRESSION, TRACKING, Item
from tests.simulation.functions import SKEW, Process
from tests.simulation.ses import Acceptance
from tests.simulation.workload import Asked
from tests.simulation.world import World

from engine.errors import FailureCode
from engine.requests.addresses import address_key
from engine.requests.email_job import retry_id
from engine.schemas.request import EmailRequest
from engine.schemas.times import parse_iso
from engine.tracking.brakes import CANCEL, STOP, brake_keys
from engine.tracking.consent import UNSUBSCRIBE, opt_out_keys

LONGEST: Final = 30 * 86_400.0  # seconds; what is still under way then will be for ever
# Seconds from the last look for a brake until the send is with SES: two, and its way there.
BRAKE_HOLDS: Final = 2.1
_YEARS: Final = 11 * 365 * 86_400  # seconds


@dataclass
class Witness:
    """Sees everything that leaves the engine, and judges it.

    `unsettled`: the ids of emails that went out again, or failed after they went out, because nothing had
    settled the first send. `settled` counts how emails ended; `waits` by lane (True for bulk).
    """

    world: World
    asked: list[Asked]
    # Seconds: how long after a send whose outcome is unknown nobody may send again, and how long a soft
    # bounce may wait for its retry.
    window: float = RECONCILE - 2 * SKEW
    retry_within: float = 900.0
    told: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    unsettled: list[str] = field(default_factory=list)
    settled: Counter[str] = field(default_factory=Counter)
    fates: Fates = field(default_factory=dict)
    waits: dict[bool, list[float]] = field(default_factory=lambda: {False: [], True: []})
    recorded: int = 0  # recipients of sends whose answer came in an invocation that ended well
    failed: int = 0  # invocations that did not
    _at_work: defaultdict[str, list[Acceptance]] = field(default_factory=lambda: defaultdict(list))
    reached: defaultdict[str, list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    suppressed: defaultdict[str, list[list[float]]] = field(default_factory=lambda: defaultdict(list))
    brakes: defaultdict[str, list[list[float]]] = field(default_factory=lambda: defaultdict(list))
    attempts: dict[str, tuple[Asked, int]] = field(default_factory=dict)
    cloud: Cloud = field(init=False)
    promises: Promises = field(init=False)

    def __post_init__(self) -> None:
        self.promises = Promises(self.world)
        for one in self.asked:
            for email_id in one.email_ids:
                self.attempts.setdefault(email_id, (one, 0))
            self.attempts.setdefault(retry_id(one.email_id, 1), (one, 1))

    def wrote(self, table: str, key: str, before: Item, after: Item) -> None:
        if "ttl" in after:
            ahead = int(after["ttl"]["N"]) - self.world.now().timestamp()
            # A report that is redriven days later is counted for the day of its email all the same.
            soonest = -LONGEST if key.startswith("quota#") else 0
            if not soonest < ahead < _YEARS:
                self.world.violate("seconds", key, f"{table} {key} expires in {ahead:.0f} s")
        if table == SUPPRESSION:
            self._note(self.suppressed[key], *(_stops(key, item) for item in (before, after)))
            self.promises.wrote(key, before, after, self.cloud.dynamodb.tables[SUPPRESSION])
        elif table == STATE and key.startswith((STOP, CANCEL)):
            self._note(self.brakes[key], before, after)
        elif table == TRACKING:
            old, new = (text(row, "status") for row in (before, after))
            if int(text(after, "statusRank")) < int(text(before, "statusRank") or 0):
                self.world.violate("rank", key, f"went from {old} back to {new}")
            if new not in {old, "sending"}:
                self.reached[key].append((self.world.time(), new))
                if text(after, "failureCode") == FailureCode.UNSUBSCRIBED:
                    detail = self.attempts[key][0].detail
                    self.promises.judge_refusal(key, detail.get("topic", ""), address_key(detail["to"]))
            self.world.log(key, f"row {old or 'new'} -> {new}, lease {text(after, 'leaseUntil') or '-'}")

    def _note(self, times: list[list[float]], before: object, after: object) -> None:
        """From when to when an item was there."""
        if after and not before:
            times.append([self.world.time(), float("inf")])
        elif not after and times:
            times[-1][1] = self.world.time()

    def sent_message(self, url: str, body: str) -> None:
        message = json.loads(body)
        if "originalEmailData" in message:
            original = message["originalEmailData"]["originalEmailId"]
            self.world.log(original, f"a retry is queued: attempt {message['retryAttempt']}")
            if message["retryAttempt"] != 1 or url.endswith("BulkEmailQueue"):
                self.world.violate(
                    "retry of a retry", original, f"attempt {message['retryAttempt']} is queued"
                )

    def heard(self, detail: Mapping[str, Any]) -> None:
        self.told[detail["emailId"]].add(detail["status"])
        self.world.log(
            detail["emailId"], f"told: {detail['status']} {(detail['reason'] or {}).get('code', '')}"
        )

    def accepted(self, acceptance: Acceptance) -> None:
        world, email_id = self.world, acceptance.email_id
        self._at_work[acceptance.process.name].append(acceptance)
        if email_id not in self.attempts:
            world.violate("lost", email_id, "SES took an email that nobody asked for")
            return
        for address in map(address_key, acceptance.addresses):
            looked_at = acceptance.process.checks.get(address)
            if looked_at is None:
                world.violate("suppressed", email_id, f"{address} was not looked up before the send")
            elif any(since < looked_at < until for since, until in self.suppressed[address]):
                world.violate("suppressed", email_id, f"{address} was suppressed before it was looked up")
            else:
                self.promises.judge_send(email_id, address, looked_at)
        self._judge_brakes(acceptance)
        self._judge_consent(acceptance)
        self._judge_schedule(email_id)
        if "failed" in self.told[email_id]:
            world.violate("contradicted", email_id, "was told as failed, and is sent all the same")
        *earlier, _ = self.cloud.ses.acceptances[email_id]
        if not earlier:
            asked, attempt = self.attempts[email_id]
            if not attempt:
                self.waits[asked.is_bulk].append(world.time() - (asked.due or asked.at))
        for one in earlier:
            if problem := self._settled_before(one):
                world.violate(
                    "doubled", email_id, f"sent twice, {world.time() - one.at:.0f} s apart: {problem}"
                )
            else:
                self.unsettled.append(email_id)

    def topic_of(self, email_id: str) -> str:
        return str(self.attempts[email_id][0].detail.get("topic", "")) if email_id in self.attempts else ""

    def _judge_brakes(self, acceptance: Acceptance) -> None:
        now = self.world.time()
        asked, _ = self.attempts[acceptance.email_id]
        looked = now - BRAKE_HOLDS - acceptance.process.stalled
        for key in brake_keys(msgspec.convert(asked.detail, EmailRequest)):
            if any(since < looked and now < until for since, until in self.brakes[key]):
                self.world.violate("stopped", acceptance.email_id, f"{key} was there, and it is sent")

    def _judge_consent(self, acceptance: Acceptance) -> None:
        """And expiry, by a clock that may be off."""
        email_id, process = acceptance.email_id, acceptance.process
        detail = self.attempts[email_id][0].detail
        for address in map(address_key, acceptance.addresses) if "topic" in detail else ():
            for key in opt_out_keys(detail["topic"], address):
                looked_at = process.checks.get(key)
                if looked_at is None:
                    self.world.violate("unsubscribed", email_id, f"{key} was not looked up before the send")
                elif any(since < looked_at < until for since, until in self.suppressed[key]):
                    self.world.violate("unsubscribed", email_id, f"{key} was there before it was looked up")
                else:
                    self.promises.judge_send(email_id, key, looked_at)
        expires = parse_iso(detail.get("expiresAt", ""))
        if expires and (self.world.now() - expires).total_seconds() > SKEW + 1 + process.stalled:
            self.world.violate("expired", email_id, f"is sent, and expired at {expires}")

    def _judge_schedule(self, email_id: str) -> None:
        asked, _ = self.attempts[email_id]
        if self.world.time() < asked.due - 1:
            self.world.violate("early", email_id, f"is scheduled for {asked.due:.0f}, and sent before")
        if self.fates.get(asked.email_id) is Fate.CANCELLED:
            self.world.violate("cancelled", email_id, "was taken back, and is sent all the same")

    def _settled_before(self, earlier: Acceptance) -> str:
        """Why the second send is not excused; empty where nobody could know of the first."""
        now = self.world.time()
        if now - earlier.at < self.window:
            return "within the reconcile window"
        known = [report.kind for at, report in earlier.handled if at < now - 30]
        return f"SES's {known[0]} had settled the first" if known else ""

    def ended(self, process: Process, well: bool) -> None:  # noqa: FBT001 - a callback's answer
        sent = self._at_work.pop(process.name, ())
        if well:
            self.recorded += sum(len(one.addresses) for one in sent if one.answered)
        else:
            self.failed += 1


def _stops(key: str, row: Item) -> bool:
    """Whether a row of Suppression stops what its key says; an opt-out under a bare address does not."""
    return bool(row) and ("#" in key or text(row, "suppressionType") != UNSUBSCRIBE)


def text(item: Item, name: str) -> str:
    attribute = item.get(name)
    return str(next(iter(attribute.values()))) if attribute else ""
