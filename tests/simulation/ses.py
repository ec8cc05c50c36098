"""SES: counts recipients, refuses, loses answers, and reports late, twice, in any order or not at all."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

from tests.simulation.connection import Connection, client_error
from tests.simulation.functions import Process
from tests.simulation.world import World
from tests.support.ses_notifications import as_notification

from engine.local.ses.account import Account, Usage
from engine.local.ses.errors import SesError, sending_paused
from engine.local.ses.mail_object import MailObject
from engine.local.ses.outcomes import RECOVERING, SENT, group_by_outcome, outcome_name

ALSO_AS_NOTIFICATION: Final = 0.1  # of duplicates: the identity's own notification of the same news


class SesReport(NamedTuple):
    """One piece of news: its kind, and about whom."""

    kind: str
    addresses: tuple[str, ...]


@dataclass
class Acceptance:
    """One email that SES took: from which environment, when, and what became of its reports."""

    email_id: str
    message_id: str
    at: float
    process: Process
    addresses: tuple[str, ...]
    outcomes: dict[str, str]  # by address; of the first recipient first
    unsubscribe: str = ""  # its header List-Unsubscribe
    answered: bool = False  # whether the sender has heard of it
    due: list[SesReport] = field(default_factory=list)  # what will be reported, once at least
    handled: list[tuple[float, SesReport]] = field(default_factory=list)  # and when feedback was done with it

    def has_handled(self, kind: str, address: str) -> bool:
        return any(report.kind == kind and address in report.addresses for _, report in self.handled)


class Ses:
    """The account. `publish` takes each report; `accepted` hears of each email as SES takes it."""

    def __init__(
        self,
        world: World,
        *,
        publish: Callable[[Acceptance, SesReport, str], None],
        accepted: Callable[[Acceptance], None],
    ) -> None:
        self.world = world
        self._publish = publish
        self._accepted = accepted
        account = Account(max_send_rate=world.plan.rate, daily_quota=world.plan.daily_quota, window="sliding")
        self._usage = Usage(account, world.now)
        self.acceptances: defaultdict[str, list[Acceptance]] = defaultdict(list)
        self.refused: defaultdict[str, list[float]] = defaultdict(list)
        self.paused = False
        self.too_fast: list[float] = []  # for each throttle, the seconds in which one recipient too many came
        self.taken: list[tuple[float, int]] = []
        self._received: Counter[str] = Counter()
        self._asked_at = -1.0

    def refuse_call(self, recipients: int, operation: str) -> None:
        """Raise what a whole call meets: a pause, the rate, the daily quota."""
        problem: SesError | None = sending_paused() if self.paused else self._usage.refusal(recipients)
        if problem is None:
            return
        if problem.code == "TooManyRequestsException":
            self.too_fast.append(self._seconds_of(self.world.plan.rate - recipients))
        raise client_error(problem.code, operation, status=problem.status, message=problem.message)

    def _seconds_of(self, most: float) -> float:
        """In how many seconds more than so many recipients were taken."""
        for at, recipients in reversed(self.taken):
            most -= recipients
            if most < 0:
                return self.world.time() - at
        return self.world.time()

    def take(
        self, process: Process, email_id: str, addresses: tuple[str, ...], source: str, unsubscribe: str
    ) -> Acceptance:
        """Accept one email, and let its reports begin."""
        world = self.world
        self._usage.take(len(addresses), counts_for_day=len(addresses))
        self.taken.append((world.time(), len(addresses)))
        message_id = f"0100{world.number():012x}-{email_id}-000000"
        outcomes = {address: self._outcome(address) for address in addresses}
        acceptance = Acceptance(email_id, message_id, world.time(), process, addresses, outcomes, unsubscribe)
        world.log(
            email_id, f"SES takes it from {process.name} as {message_id[:16]}, outcome {[*outcomes.values()]}"
        )
        self.acceptances[email_id].append(acceptance)
        self._accepted(acceptance)
        mail = MailObject(
            message_id=message_id,
            sent_at=world.now(),
            source=source,
            to=addresses[:1],
            cc=addresses[1:],
            tags={"emailId": email_id},
        )
        at = world.dice.uniform(0.2, 1.5)
        if not world.chance(world.plan.faults.send_report_missing):
            sent = SENT.build(mail, addresses, world.now())
            self._report(acceptance, SesReport(SENT.kind, addresses), sent, at)
        for outcome, recipients in group_by_outcome(addresses, self._received.__getitem__):
            after = at
            for step in outcome:
                after += world.dice.uniform(0.3, 8)
                event = step.build(mail, recipients, world.now())
                self._report(acceptance, SesReport(step.kind, recipients), event, after)
        self._received.update(addresses)
        return acceptance

    def _outcome(self, address: str) -> str:
        name = outcome_name(address)
        if name in RECOVERING:
            return "mailboxfull" if self._received[address] < RECOVERING[name] else "success"
        return name

    def _report(self, acceptance: Acceptance, report: SesReport, event: dict[str, Any], after: float) -> None:
        world, faults = self.world, self.world.plan.faults
        acceptance.due.append(report)
        delays = [after]
        if world.chance(faults.very_late):
            delays = [after + world.dice.uniform(120, 3600)]
        elif world.chance(faults.reordered):
            delays = [after + world.dice.uniform(1, 120)]
        if world.chance(faults.duplicated):
            delays.append(after + world.dice.uniform(0, 200))
        text = json.dumps(event)
        for number, delay in enumerate(delays):
            body = text
            if (
                number
                and report.kind in {"Bounce", "Complaint", "Delivery"}
                and world.chance(ALSO_AS_NOTIFICATION)
            ):
                body = json.dumps(as_notification(event))
            world.later(delay, self._publish, acceptance, report, body)

    def account(self) -> dict[str, Any]:
        """GetAccount, once a second for the whole account."""
        now = self.world.time()
        if now < self._asked_at + 1:
            raise client_error("TooManyRequestsException", "GetAccount", status=429)
        self._asked_at = now
        return {"SendQuota": {"MaxSendRate": self.world.plan.rate}}


class SesClient:
    """One environment's client."""

    def __init__(self, ses: Ses, process: Process, connection: Connection) -> None:
        self._ses = ses
        self._process = process
        self._connection = connection

    async def get_account(self) -> Any:
        return await self._connection.call("GetAccount", self._ses.account)

    async def send_email(self, **request: Any) -> Any:
        destination = request["Destination"]
        addresses = tuple(
            address
            for kind in ("ToAddresses", "CcAddresses", "BccAddresses")
            for address in destination.get(kind, ())
        )
        email_id = _email_id(request["EmailTags"])

        def do() -> Acceptance:
            self._ses.refuse_call(len(addresses), "SendEmail")
            if self._ses.world.chance(self._ses.world.plan.faults.refused):
                self._ses.refused[email_id].append(self._ses.world.time())
                raise client_error("MessageRejected", "SendEmail", message="Email content is not allowed")
            unsubscribe = _unsubscribe(request["Content"]["Simple"].get("Headers", ()))
            return self._ses.take(
                self._process, email_id, addresses, request["FromEmailAddress"], unsubscribe
            )

        acceptance = await self._connection.call("SendEmail", do)
        acceptance.answered = True
        return {"MessageId": acceptance.message_id}

    async def send_bulk_email(self, **request: Any) -> Any:
        entries = request["BulkEmailEntries"]

        def do() -> list[Acceptance | None]:
            self._ses.refuse_call(len(entries), "SendBulkEmail")
            return [self._entry(entry, request["FromEmailAddress"]) for entry in entries]

        answers = await self._connection.call("SendBulkEmail", do)
        return {"BulkEmailEntryResults": [_result(acceptance) for acceptance in answers]}

    async def get_suppressed_destination(self, EmailAddress: str) -> Any:
        await self._connection.call("GetSuppressedDestination", partial(_not_listed, EmailAddress))

    async def delete_suppressed_destination(self, EmailAddress: str) -> Any:
        await self._connection.call("DeleteSuppressedDestination", partial(_not_listed, EmailAddress))

    def _entry(self, entry: Any, sender: str) -> Acceptance | None:
        email_id = _email_id(entry["ReplacementTags"])
        if self._ses.world.chance(self._ses.world.plan.faults.refused):
            self._ses.refused[email_id].append(self._ses.world.time())
            return None
        addresses = tuple(entry["Destination"]["ToAddresses"])
        unsubscribe = _unsubscribe(entry.get("ReplacementHeaders", ()))
        return self._ses.take(self._process, email_id, addresses, sender, unsubscribe)


def _not_listed(address: str) -> None:
    """The account's own list is empty: its outcomes are the addresses'."""
    raise client_error("NotFoundException", "SuppressedDestination", status=404, message=address)


def _result(acceptance: Acceptance | None) -> dict[str, str]:
    if acceptance is None:
        return {"Status": "MESSAGE_REJECTED", "Error": "Email content is not allowed"}
    acceptance.answered = True
    return {"Status": "SUCCESS", "MessageId": acceptance.message_id}


def _email_id(tags: Sequence[dict[str, str]]) -> str:
    return next(tag["Value"] for tag in tags if tag["Name"] == "emailId")


def _unsubscribe(headers: Sequence[dict[str, str]]) -> str:
    return next((each["Value"] for each in headers if each["Name"] == "List-Unsubscribe"), "")
