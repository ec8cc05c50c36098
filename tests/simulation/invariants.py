"""What must hold in every history: at every step where it can be seen (`witness`), else at the end.

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
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from tests.simulation.applications import Fate
from tests.simulation.dynamodb import STATE, SUPPRESSION, TRACKING
from tests.simulation.ses import Acceptance
from tests.simulation.witness import LONGEST, Witness, text
from tests.simulation.workload import Asked

from engine.requests.addresses import address_key
from engine.requests.email_job import retry_id
from engine.tracking.brakes import cancel_campaign
from engine.tracking.lifecycle import RANK, Status

# The gate keeps two percent of a second for what lies between a slot and SES's count, and its lead after idle
# seconds for a claim's own way. A file from S3 may take longer than both.
FULL_SECOND: Final = 0.99
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


class Ending:
    """Once nothing is under way any more."""

    def __init__(self, seen: Witness) -> None:
        self._seen = seen
        self.world = seen.world
        self.cloud = seen.cloud

    def judge(self) -> None:
        world = self.world
        for queue in (self.cloud.bulk, self.cloud.retry):
            for message in queue.expired:
                world.violate("lost", _id_in(message.body), f"{queue.name} deleted its message after 14 days")
        dead = self._dead_letters()
        for one in self._seen.asked:
            self._judge_request(one, dead)
        for email_id, (asked, attempt) in self._seen.attempts.items():
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
        by_event = {one.event_id: one for one in self._seen.asked}
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
        states = {email_id: text(rows.get(email_id, {}), "status") for email_id in asked.email_ids}
        fate = self._seen.fates.get(asked.email_id, Fate.SCHEDULED)
        if fate is Fate.CANCELLED and (any(states.values()) or f"request {asked.event_id}" in dead):
            self.world.violate("cancelled", asked.email_id, "was taken back, and came all the same")
        if fate is not Fate.SCHEDULED and not any(states.values()):
            self._seen.settled["never came, scheduled and " + fate] += 1
        elif f"request {asked.event_id}" in dead:
            self._seen.settled["in a dead-letter queue"] += 1
        elif asked.kind == "dry-run":
            if "dry_run" not in self._seen.told[asked.email_id]:
                self.world.violate("lost", asked.email_id, "a dry run without an answer")
        elif any(status not in {"", "sending"} for status in states.values()):
            self._seen.settled["answered"] += 1
        elif "sent" in self._seen.told[asked.email_id] and self._is_unreported(asked.email_id, dead):
            # Sent and told; what would move its row was given up, and waits for an operator's redrive.
            self._seen.settled["sent, its report in a dead-letter queue"] += 1
        elif "sent" in self._seen.told[asked.email_id] and self._is_silent(asked.email_id):
            self._seen.unsettled.append(asked.email_id)  # ... or SES never reported anything
        else:
            self.world.violate("lost", asked.email_id, f"ends as {[*states.values()]}")

    def _judge_email(self, email_id: str, asked: Asked, attempt: int, dead: set[str]) -> None:
        world = self.world
        row = self.cloud.dynamodb.tables[TRACKING].get(email_id, {})
        status = text(row, "status")
        messages = self.cloud.ses.acceptances[email_id]
        unreported = self._is_unreported(email_id, dead)
        for _, reached in self._seen.reached[email_id]:
            if reached not in self._seen.told[email_id] and not unreported and email_id not in dead:
                world.violate("untold", email_id, f"its row reached {reached}, and nobody was told")
        if not row or email_id in dead or unreported or (status == "sending" and self._is_silent(email_id)):
            return
        self._seen.settled[status] += 1
        if attempt and status == "sending":
            world.violate("lost", email_id, "a retry was begun, and its row ends as sending")
        code = text(row, "failureCode")
        if messages:
            self._judge_sent(email_id, attempt, status, messages)
        elif status != "sending" and code not in self._codes(email_id, asked):
            world.violate("wrong status", email_id, f"never sent, and {status} {code} all the same")
        if status == "soft_bounced" and not attempt and self._deserves_retry(messages):
            retried = retry_id(email_id, 1)
            there = retried in self.cloud.dynamodb.tables[TRACKING] or retried in dead
            if not there and messages[0].at < self.world.time() - self._seen.retry_within:
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
        if any(self._seen.suppressed[address_key(address)] for address in [asked.detail["to"]]):
            codes.add("suppressed")
        if self.cloud.ses.refused[email_id]:
            codes.add("rejected")
        if self._seen.brakes[cancel_campaign(asked.detail.get("campaign", ""))]:
            codes.add("cancelled")
        if "expiresAt" in asked.detail:
            codes.add("expired")
        if "topic" in asked.detail:
            codes.add("unsubscribed")  # why it was refused, was judged then
        original = self.cloud.dynamodb.tables[TRACKING].get(asked.email_id, {})
        if email_id != asked.email_id and int(text(original, "statusRank") or 0) > RANK[Status.SOFT_BOUNCED]:
            codes.add("superseded")
        return codes

    def _judge_sent(self, email_id: str, attempt: int, status: str, messages: list[Acceptance]) -> None:
        outcomes = {next(iter(one.outcomes.values())) for one in messages}
        allowed = {_STATUS[outcome] for outcome in outcomes}
        if attempt and outcomes & {*_SOFT, "ooto"}:
            # An out-of-office answer may overtake the delivery, and then looks like a bounce.
            allowed.add("failed")
            allowed.discard("soft_bounced")
        if status in allowed:
            return
        times = [at for at, reached in self._seen.reached[email_id] if reached == "failed"]
        if status == "failed" and times and times[0] > messages[0].at + self._seen.window:
            # Refused when it was tried again, for nobody knew of the first.
            self._seen.unsettled.append(email_id)
            return
        self.world.violate("wrong status", email_id, f"{status}, but SES reported {sorted(allowed)}")

    def _deserves_retry(self, messages: list[Acceptance]) -> bool:
        to = messages[0].addresses[0]
        return (
            next(iter(messages[0].outcomes.values())) in _SOFT and not self._seen.suppressed[address_key(to)]
        )

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
        freed = {
            address for address, times in self._seen.suppressed.items() if times and times[0][1] < LONGEST
        }
        for address in sorted(blamed - rows.keys() - freed - self._seen.promises.freed):
            self.world.violate("blame", "", f"{address} should be suppressed")
        for address, row in rows.items():
            if text(row, "addedBy") == "feedback" and address not in blamed and not self._unhandled(address):
                self.world.violate("blame", text(row, "emailId"), f"{address} is suppressed for nothing")

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
            sum(int(text(item, name) or 0) for item in counters) for name in ("sends", "bounces")
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
        if not self._seen.recorded - usage["lost sends"] <= sends <= took:
            said = f"{sends} sends are counted; SES took {took} and told the engine of {self._seen.recorded}"
            self.world.violate("counters", "", said)
        # A bounce is marked before it is counted: a mark whose answer is lost passes for another's.
        fewest = bounced - self._seen.failed - usage["lost bounces"] - usage["dynamodb.UpdateItem lost"]
        if not fewest <= bounces <= due:
            said = f"{bounces} bounces are counted, of {due} that SES had; {fewest} must be"
            self.world.violate("counters", "", said)

    def _acceptances(self) -> Iterator[Acceptance]:
        for messages in self.cloud.ses.acceptances.values():
            yield from messages


def _id_in(body: str) -> str:
    return str(json.loads(body).get("id", ""))
