"""What must hold in every history: at every step where it can be seen, else at the end.

| invariant | seen |
| --- | --- |
| lost: an accepted request ends with a settled row, or whole in a dead-letter queue | at the end |
| doubled: SES takes an email once, but for one whose outcome no report settled in time | at every send |
| suppressed: nothing goes to an address that was suppressed before it was looked up | at every send |
| stopped: nothing goes out that was stopped or cancelled for all of the two seconds before | at every send |
| unsubscribed: nothing with a topic goes to who opted out of it before that was looked up | at every send |
| refused: nobody is refused as unsubscribed who gets the topic, and no email that has none | at every write |
| consent: an opt-out changes only when its person has asked for it | at every write |
| early: nothing that is scheduled goes out before its time | at every send |
| cancelled: what was scheduled and taken back is never sent | at every send |
| expired: nothing goes out after it has expired | at every send |
| contradicted: an email that was told as failed is not sent after that | at every send |
| retry of a retry: an email is tried once more at most | at every message |
| rank: no row goes back | at every write |
| seconds: every `ttl` lies days ahead, not millennia | at every write |
| untold: every status of a row was published, and every change that the page has confirmed | at the end |
| wrong status: the row says what SES reported | at the end |
| blame: who bounced for good, complained or bounced softly 15 times is suppressed, no other | at the end |
| no retry: a soft bounce that deserves one got it | at the end |
| rate: no 990 ms hold more than a second's recipients, in a history without faults of AWS | at the end |
| counters: the day's counters say what SES took and what bounced, but for what faults cost | at the end |

Where everything is redriven at the end, no request is left in a dead-letter queue or at `sending`, but for an
email of which SES never reported anything: a redrive finishes what it holds. What it doubles, "doubled" sees.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
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
from engine.tracking.brakes import CANCEL, STOP, brake_keys, cancel_campaign
from engine.tracking.consent import UNSUBSCRIBE, opt_out_keys
from engine.tracking.lifecycle import RANK, Status

# The gate keeps two percent of a second for what lies between a slot and SES's count, and its lead after idle
# seconds for a claim's own way. A file from S3 may take longer than both.
FULL_SECOND: Final = 0.99
LONGEST: Final = 30 * 86_400.0  # seconds; what is still under way then will be for ever
# Seconds from the last look for a brake until the send is with SES: two, and its way there.
BRAKE_HOLDS: Final = 2.1
_YEARS: Final = 11 * 365 * 86_400  # seconds
# What CONTRACT says becomes of an email whose recipient has this outcome: a first attempt, a second one.
_HARD: Final = frozenset({"bounce", "noemail", "suppressionlist", "accountsuppressed"})
_UNCOUNTED: Final = frozenset({"accountsuppressed"})
_SOFT: Final = frozenset({"softbounce", "mailboxfull", "timeout"})
_STATUS: Final[Mapping[str, str]] = (
    dict.fromkeys(_HARD, "bounced")
    | dict.fromkeys(_SOFT | {"undetermined"}, "soft_bounced")
    | dict.fromkeys(("toolarge", "contentrejected", "attachmentrejected", "reject"), "failed")
    | dict.fromkeys(("success", "ooto", "delay", "unsubscribe", "notspam"), "delivered")
    | {"open": "opened", "click": "opened", "complaint": "complained", "silent": "sent"}
)
_REFUSALS: Final[Mapping[str, frozenset[str]]] = {
    "invalid": frozenset({"validation"}),
    "unknown-field": frozenset({"validation"}),
    "no-template": frozenset({"template-not-found"}),
    "suppressed": frozenset({"suppressed"}),
    "conflicting": frozenset({"idempotency-conflict"}),
}


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
    _recorded: int = 0  # recipients of sends whose answer came in an invocation that ended well
    _failed: int = 0  # invocations that did not
    _at_work: defaultdict[str, list[Acceptance]] = field(default_factory=lambda: defaultdict(list))
    _reached: defaultdict[str, list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    _suppressed: defaultdict[str, list[list[float]]] = field(default_factory=lambda: defaultdict(list))
    _brakes: defaultdict[str, list[list[float]]] = field(default_factory=lambda: defaultdict(list))
    _attempts: dict[str, tuple[Asked, int]] = field(default_factory=dict)
    cloud: Cloud = field(init=False)
    promises: Promises = field(init=False)

    def __post_init__(self) -> None:
        self.promises = Promises(self.world)
        for one in self.asked:
            for email_id in one.email_ids:
                self._attempts.setdefault(email_id, (one, 0))
            self._attempts.setdefault(retry_id(one.email_id, 1), (one, 1))

    # -- at every step -----------------------------------------------------------------------------------

    def wrote(self, table: str, key: str, before: Item, after: Item) -> None:
        if "ttl" in after:
            ahead = int(after["ttl"]["N"]) - self.world.now().timestamp()
            # A report that is redriven days later is counted for the day of its email all the same.
            soonest = -LONGEST if key.startswith("quota#") else 0
            if not soonest < ahead < _YEARS:
                self.world.violate("seconds", key, f"{table} {key} expires in {ahead:.0f} s")
        if table == SUPPRESSION:
            self._note(self._suppressed[key], *(_stops(key, item) for item in (before, after)))
            self.promises.wrote(key, before, after, self.cloud.dynamodb.tables[SUPPRESSION])
        elif table == STATE and key.startswith((STOP, CANCEL)):
            self._note(self._brakes[key], before, after)
        elif table == TRACKING:
            old, new = (_text(row, "status") for row in (before, after))
            if int(_text(after, "statusRank")) < int(_text(before, "statusRank") or 0):
                self.world.violate("rank", key, f"went from {old} back to {new}")
            if new not in {old, "sending"}:
                self._reached[key].append((self.world.time(), new))
                if _text(after, "failureCode") == FailureCode.UNSUBSCRIBED:
                    detail = self._attempts[key][0].detail
                    self.promises.judge_refusal(key, detail.get("topic", ""), address_key(detail["to"]))
            self.world.log(key, f"row {old or 'new'} -> {new}, lease {_text(after, 'leaseUntil') or '-'}")

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
        if email_id not in self._attempts:
            world.violate("lost", email_id, "SES took an email that nobody asked for")
            return
        for address in map(address_key, acceptance.addresses):
            looked_at = acceptance.process.checks.get(address)
            if looked_at is None:
                world.violate("suppressed", email_id, f"{address} was not looked up before the send")
            elif any(since < looked_at < until for since, until in self._suppressed[address]):
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
            asked, attempt = self._attempts[email_id]
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
        return str(self._attempts[email_id][0].detail.get("topic", "")) if email_id in self._attempts else ""

    def _judge_brakes(self, acceptance: Acceptance) -> None:
        now = self.world.time()
        asked, _ = self._attempts[acceptance.email_id]
        looked = now - BRAKE_HOLDS - acceptance.process.stalled
        for key in brake_keys(msgspec.convert(asked.detail, EmailRequest)):
            if any(since < looked and now < until for since, until in self._brakes[key]):
                self.world.violate("stopped", acceptance.email_id, f"{key} was there, and it is sent")

    def _judge_consent(self, acceptance: Acceptance) -> None:
        """And expiry, by a clock that may be off."""
        email_id, process = acceptance.email_id, acceptance.process
        detail = self._attempts[email_id][0].detail
        for address in map(address_key, acceptance.addresses) if "topic" in detail else ():
            for key in opt_out_keys(detail["topic"], address):
                looked_at = process.checks.get(key)
                if looked_at is None:
                    self.world.violate("unsubscribed", email_id, f"{key} was not looked up before the send")
                elif any(since < looked_at < until for since, until in self._suppressed[key]):
                    self.world.violate("unsubscribed", email_id, f"{key} was there before it was looked up")
                else:
                    self.promises.judge_send(email_id, key, looked_at)
        expires = parse_iso(detail.get("expiresAt", ""))
        if expires and (self.world.now() - expires).total_seconds() > SKEW + 1 + process.stalled:
            self.world.violate("expired", email_id, f"is sent, and expired at {expires}")

    def _judge_schedule(self, email_id: str) -> None:
        asked, _ = self._attempts[email_id]
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
            self._recorded += sum(len(one.addresses) for one in sent if one.answered)
        else:
            self._failed += 1

    # -- at the end --------------------------------------------------------------------------------------

    def judge(self) -> None:
        """Once nothing is under way any more."""
        world = self.world
        for queue in (self.cloud.bulk, self.cloud.retry):
            for message in queue.expired:
                world.violate("lost", _id_in(message.body), f"{queue.name} deleted its message after 14 days")
        dead = self._dead_letters()
        for one in self.asked:
            self._judge_request(one, dead)
        for email_id, (asked, attempt) in self._attempts.items():
            self._judge_email(email_id, asked, attempt, dead)
        self._judge_blame()
        if world.plan.faults == type(world.plan.faults)(
            duplicated=world.plan.faults.duplicated, reordered=world.plan.faults.reordered
        ):
            self._judge_rate()
        self._judge_counters()

    def _dead_letters(self) -> set[str]:
        """The ids of requests that lie whole in a dead-letter queue, and of emails whose report does."""
        found = set()
        by_event = {one.event_id: one for one in self.asked}
        for message in (message for queue in self.cloud.dead.values() for message in queue.messages.values()):
            body = json.loads(message.body)
            body = body.get("requestPayload", body)
            match body:
                case {"id": event_id, "detail": detail} if by_event[event_id].detail == detail:
                    found |= {f"request {event_id}", *by_event[event_id].email_ids}
                case {"originalEmailData": data}:
                    found.add(retry_id(data["originalEmailId"], body["retryAttempt"]))
                case {"Message": report} | {"Records": [{"Sns": {"Message": report}}]}:
                    found.add(f"report {json.loads(report)['mail']['messageId']}")
                case _:
                    self.world.violate(
                        "lost", "", f"a dead letter that nobody can bring back: {message.body}"
                    )
        return found

    def _judge_request(self, asked: Asked, dead: set[str]) -> None:
        rows = self.cloud.dynamodb.tables[TRACKING]
        states = {email_id: _text(rows.get(email_id, {}), "status") for email_id in asked.email_ids}
        fate = self.fates.get(asked.email_id, Fate.SCHEDULED)
        if fate is Fate.CANCELLED and (any(states.values()) or f"request {asked.event_id}" in dead):
            self.world.violate("cancelled", asked.email_id, "was taken back, and came all the same")
        if fate is not Fate.SCHEDULED and not any(states.values()):
            self.settled["never came, scheduled and " + fate] += 1
        elif f"request {asked.event_id}" in dead:
            self.settled["in a dead-letter queue"] += 1
        elif asked.kind == "dry-run":
            if "dry_run" not in self.told[asked.email_id]:
                self.world.violate("lost", asked.email_id, "a dry run without an answer")
        elif any(status not in {"", "sending"} for status in states.values()):
            self.settled["answered"] += 1
        elif "sent" in self.told[asked.email_id] and self._is_unreported(asked.email_id, dead):
            # Sent and told; what would move its row was given up, and waits for an operator's redrive.
            self.settled["sent, its report in a dead-letter queue"] += 1
        elif "sent" in self.told[asked.email_id] and self._is_silent(asked.email_id):
            self.unsettled.append(asked.email_id)  # ... or SES never reported anything
        else:
            self.world.violate("lost", asked.email_id, f"ends as {[*states.values()]}")

    def _judge_email(self, email_id: str, asked: Asked, attempt: int, dead: set[str]) -> None:
        world = self.world
        row = self.cloud.dynamodb.tables[TRACKING].get(email_id, {})
        status = _text(row, "status")
        messages = self.cloud.ses.acceptances[email_id]
        unreported = self._is_unreported(email_id, dead)
        for _, reached in self._reached[email_id]:
            if reached not in self.told[email_id] and not unreported and email_id not in dead:
                world.violate("untold", email_id, f"its row reached {reached}, and nobody was told")
        if not row or email_id in dead or unreported or (status == "sending" and self._is_silent(email_id)):
            return
        self.settled[status] += 1
        if attempt and status == "sending":
            world.violate("lost", email_id, "a retry was begun, and its row ends as sending")
        code = _text(row, "failureCode")
        if messages:
            self._judge_sent(email_id, attempt, status, messages)
        elif status != "sending" and code not in self._codes(email_id, asked):
            world.violate("wrong status", email_id, f"never sent, and {status} {code} all the same")
        if status == "soft_bounced" and not attempt and self._deserves_retry(messages):
            retried = retry_id(email_id, 1)
            there = retried in self.cloud.dynamodb.tables[TRACKING] or retried in dead
            if not there and messages[0].at < self.world.time() - self.retry_within:
                world.violate("no retry", email_id, "bounced softly, and was not tried again")

    def _is_unreported(self, email_id: str, dead: set[str]) -> bool:
        """Whether a report of SES about the email lies in the feedback function's dead-letter queue."""
        return any(f"report {one.message_id}" in dead for one in self.cloud.ses.acceptances[email_id])

    def _is_silent(self, email_id: str) -> bool:
        """Whether SES took the email and never reported anything about it."""
        messages = self.cloud.ses.acceptances[email_id]
        return bool(messages) and not any(one.due for one in messages)

    def _codes(self, email_id: str, asked: Asked) -> set[str]:
        """The failure codes that there is a reason for."""
        codes = set(_REFUSALS.get(asked.kind, frozenset()))
        if any(self._suppressed[address_key(address)] for address in [asked.detail["to"]]):
            codes.add("suppressed")
        if self.cloud.ses.refused[email_id]:
            codes.add("rejected")
        if self._brakes[cancel_campaign(asked.detail.get("campaign", ""))]:
            codes.add("cancelled")
        if "expiresAt" in asked.detail:
            codes.add("expired")
        if "topic" in asked.detail:
            codes.add("unsubscribed")  # why it was refused, was judged then
        original = self.cloud.dynamodb.tables[TRACKING].get(asked.email_id, {})
        if email_id != asked.email_id and int(_text(original, "statusRank") or 0) > RANK[Status.SOFT_BOUNCED]:
            codes.add("superseded")
        return codes

    def _judge_sent(self, email_id: str, attempt: int, status: str, messages: list[Acceptance]) -> None:
        outcomes = {next(iter(one.outcomes.values())) for one in messages}
        allowed = {_STATUS[outcome] for outcome in outcomes}
        if attempt and outcomes & {*_SOFT, "ooto"}:
            allowed.add(
                "failed"
            )  # an out-of-office answer may overtake the delivery, and then looks like a bounce
            allowed.discard("soft_bounced")
        if status in allowed:
            return
        times = [at for at, reached in self._reached[email_id] if reached == "failed"]
        if status == "failed" and times and times[0] > messages[0].at + self.window:
            self.unsettled.append(email_id)  # refused when it was tried again, for nobody knew of the first
            return
        self.world.violate("wrong status", email_id, f"{status}, but SES reported {sorted(allowed)}")

    def _deserves_retry(self, messages: list[Acceptance]) -> bool:
        to = messages[0].addresses[0]
        return next(iter(messages[0].outcomes.values())) in _SOFT and not self._suppressed[address_key(to)]

    def _judge_blame(self) -> None:
        softly: defaultdict[str, set[str]] = defaultdict(set)
        blamed: set[str] = set()
        for one in self._acceptances():
            for address, outcome in one.outcomes.items():
                key = address_key(address)
                if (outcome in _HARD and one.has_handled("Bounce", address)) or (
                    outcome == "complaint" and one.has_handled("Complaint", address)
                ):
                    blamed.add(key)
                if outcome in _SOFT and address == one.addresses[0] and one.has_handled("Bounce", address):
                    softly[key].add(one.email_id)
        blamed |= {address for address, emails in softly.items() if len(emails) >= 15}
        rows = self.cloud.dynamodb.tables[SUPPRESSION]
        freed = {address for address, times in self._suppressed.items() if times and times[0][1] < LONGEST}
        for address in sorted(blamed - rows.keys() - freed - self.promises.freed):
            self.world.violate("blame", "", f"{address} should be suppressed")
        for address, row in rows.items():
            if _text(row, "addedBy") == "feedback" and address not in blamed and not self._unhandled(address):
                self.world.violate("blame", _text(row, "emailId"), f"{address} is suppressed for nothing")

    def _unhandled(self, address: str) -> bool:
        """Whether a report about the address was handled in part, and then given up or lost its answer."""
        return any(
            address in map(address_key, one.addresses)
            and set(one.due) - {report for _, report in one.handled}
            for one in self._acceptances()
        )

    def _judge_rate(self) -> None:
        shortest = min(self.cloud.ses.too_fast, default=1.0)
        if shortest < FULL_SECOND:
            self.world.violate("rate", "", f"more than a second's recipients came in {shortest:.3f} s")

    def _judge_counters(self) -> None:
        """Exact without faults. A count may be lost, with its invocation or an answer, and never doubled."""
        items = self.cloud.dynamodb.tables[STATE].items()
        counters = [item for key, item in items if key.startswith("quota#")]
        sends, bounces = (
            sum(int(_text(item, name) or 0) for item in counters) for name in ("sends", "bounces")
        )
        took = sum(len(one.addresses) for one in self._acceptances())
        hard = [
            (one, address)
            for one in self._acceptances()
            for address, outcome in one.outcomes.items()
            if outcome in _HARD - _UNCOUNTED
        ]
        due, bounced = len(hard), sum(one.has_handled("Bounce", address) for one, address in hard)
        usage = self.world.usage
        if not self._recorded - usage["lost sends"] <= sends <= took:
            said = f"{sends} sends are counted; SES took {took} and told the engine of {self._recorded}"
            self.world.violate("counters", "", said)
        # A bounce is marked before it is counted: a mark whose answer is lost passes for another's.
        fewest = bounced - self._failed - usage["lost bounces"] - usage["dynamodb.UpdateItem lost"]
        if not fewest <= bounces <= due:
            said = f"{bounces} bounces are counted, of {due} that SES had; {fewest} must be"
            self.world.violate("counters", "", said)

    def _acceptances(self) -> Iterator[Acceptance]:
        for messages in self.cloud.ses.acceptances.values():
            yield from messages


def _stops(key: str, row: Item) -> bool:
    """Whether a row of Suppression stops what its key says; an opt-out under a bare address does not."""
    return bool(row) and ("#" in key or _text(row, "suppressionType") != UNSUBSCRIBE)


def _text(item: Item, name: str) -> str:
    attribute = item.get(name)
    return str(next(iter(attribute.values()))) if attribute else ""


def _id_in(body: str) -> str:
    return str(json.loads(body).get("id", ""))
