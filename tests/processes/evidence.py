"""What the processes have left, in the form in which the simulation's invariants read it.

The tables are looked at about once a second; SES's simulator, the bus's status events and the calls of the
functions are listened to; the dead-letter queues are read at the end. So one `Witness` judges real processes
and simulated ones.
"""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from tests.processes.proxy import Exchange
from tests.simulation.dynamodb import KEYS, TRACKING, Item
from tests.simulation.invariants import Ending
from tests.simulation.ses import Acceptance, SesReport
from tests.simulation.witness import Witness
from tests.simulation.workload import Asked
from tests.simulation.world import World

from engine.local.ses.message import Message
from engine.local.ses.outcomes import RECOVERING, outcome_name
from engine.local.ses.outgoing import SimulatedEvent
from engine.requests.addresses import address_key
from engine.schemas.status import EmailStatusChanged

# Seconds. As the stack is deployed here.
SENDER_TIMEOUT: Final = 15
RETRY_WITHIN: Final = 45.0
_LARGEST_BATCH: Final = 4 * 50  # recipients that one invocation counts at once
_CLOCKS: Final = 1.0  # between an acceptance and what is seen of it


class RealWorld(World):
    """Time is the clock's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._began = asyncio.get_running_loop().time()

    def time(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True)
class Caller:
    """The environment that a call came from, as far as it is known.

    `checks`: when it looked up whom. `stalled`: seconds that it stood still, which nobody knows here.
    """

    name: str = ""
    checks: Mapping[str, float] = field(default_factory=dict)
    stalled: float = 0.0


class Letter(msgspec.Struct, frozen=True):
    """A message of a queue."""

    body: str


@dataclass
class Queue:
    """A queue's messages by id. What SQS deletes for its age would be in `expired`."""

    name: str
    messages: dict[str, Letter] = field(default_factory=dict)
    expired: tuple[Letter, ...] = ()


@dataclass
class Tables:
    """Each table's items by key, as they were when last looked at."""

    tables: dict[str, dict[str, Item]] = field(default_factory=lambda: {table: {} for table in KEYS})


@dataclass
class SesLog:
    """What SES took, by email, and which emails it refused for good."""

    acceptances: defaultdict[str, list[Acceptance]] = field(default_factory=lambda: defaultdict(list))
    refused: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    too_fast: tuple[float, ...] = ()


class Evidence:
    """Collects what happens, and hands it to the witness. `happened` counts all of it, so silence shows."""

    def __init__(self, world: World, asked: list[Asked], reconcile: float) -> None:
        self.world = world
        self.dynamodb = Tables()
        self.ses = SesLog()
        self.dead: dict[str, Queue] = {}
        self.bulk = Queue("BulkEmailQueue")
        self.retry = Queue("EmailRetryQueue")
        self.happened = 0
        self._by_message: dict[str, Acceptance] = {}
        self._received: Counter[str] = Counter()
        self.witness = Witness(world, asked, window=reconcile - _CLOCKS, retry_within=RETRY_WITHIN)
        stands_in_for_the_cloud: Any = self
        self.witness.cloud = stands_in_for_the_cloud

    def ses_did(self, subject: Message | SimulatedEvent) -> None:
        """The simulator has taken an email, or published a report."""
        self.happened += 1
        if isinstance(subject, Message):
            self._accepted(subject)
        else:
            acceptance = self._by_message[subject.message_id]
            acceptance.due.append(SesReport(subject.event_type, subject.recipients))
            self.world.log(acceptance.email_id, f"SES reports its {subject.event_type}")

    def _accepted(self, message: Message) -> None:
        # Its sender looked the recipients up in the same invocation.
        earliest = self.world.time() - SENDER_TIMEOUT
        caller: Any = Caller(
            message.message_id, dict.fromkeys(map(address_key, message.recipients), earliest)
        )
        acceptance = Acceptance(
            email_id=message.tags["emailId"],
            message_id=message.message_id,
            at=self.world.time(),
            process=caller,
            addresses=message.recipients,
            outcomes={address: self._outcome(address) for address in message.recipients},
        )
        self._received.update(message.recipients)
        self._by_message[message.message_id] = acceptance
        self.ses.acceptances[acceptance.email_id].append(acceptance)
        self.world.log(acceptance.email_id, f"SES takes it, outcome {[*acceptance.outcomes.values()]}")
        self.witness.accepted(acceptance)

    def _outcome(self, address: str) -> str:
        name = outcome_name(address)
        if name in RECOVERING:
            return "mailboxfull" if self._received[address] < RECOVERING[name] else "success"
        return name

    def told(self, event: EmailStatusChanged) -> None:
        """A status event has come over the bus."""
        self.happened += 1
        self.witness.heard(msgspec.to_builtins(event))

    def called(self, exchange: Exchange) -> None:
        """A function has called AWS or SES."""
        self.happened += 1
        usage, operation = self.world.usage, exchange.operation.rpartition(".")[2]
        if exchange.fault:
            self.world.log("", f"{exchange.fault}: {operation}")
            caller: Any = Caller()
            self.witness.ended(caller, well=False)  # its invocation may fail
            if exchange.status is not None:
                usage[f"dynamodb.{operation} lost"] += 1
            if exchange.fault.startswith("killed") or operation == "UpdateItem":
                self.lost_counts(1)
        if "outbound" in operation and exchange.status is not None:
            self._answered(exchange)

    def lost_counts(self, batches: int) -> None:
        """So many environments died, or could not count: each may have taken the sends of a batch along."""
        self.world.usage["log count-lost"] += batches
        self.world.usage["lost sends"] += batches * _LARGEST_BATCH

    def _answered(self, exchange: Exchange) -> None:
        """SES's answer: who was refused for good, and of which emails the sender has heard."""
        for email_id, result in zip(_email_ids(exchange.request), _results(exchange), strict=False):
            if result.get("Status") == "MESSAGE_REJECTED" or exchange.status == 400:
                self.ses.refused[email_id].append(self.world.time())
            acceptance = self._by_message.get(result.get("MessageId", ""))
            if acceptance and exchange.fault is None:
                acceptance.answered = True
                self.witness.ended(acceptance.process, well=True)

    def looked(self, table: str, found: Mapping[str, Item]) -> None:
        """The items of a table, all of them, as they are now."""
        known = self.dynamodb.tables[table]
        for key in known.keys() | found.keys():
            before, after = known.get(key, {}), found.get(key, {})
            if before == after:
                continue
            self.happened += 1
            self.witness.wrote(table, key, before, after)
            if table == TRACKING and after.get("status") != before.get("status"):
                self._moved(key, after)
        self.dynamodb.tables[table] = dict(found)

    def _moved(self, email_id: str, row: Item) -> None:
        """Whatever moved a row: the engine knows from now on what became of the sends before."""
        if (status := row["status"]["S"]) != "sending":
            for acceptance in self.ses.acceptances[email_id]:
                report = SesReport(f"row ({status})", acceptance.addresses)
                acceptance.handled.append((self.world.time(), report))

    def open_requests(self) -> int:
        """How many requests have no answer yet, and how many rows no final status."""
        rows, told = self.dynamodb.tables[TRACKING].values(), self.witness.told
        sending = [row for row in rows if row["status"]["S"] == "sending"]
        untold = [one for one in self.witness.asked if not any(map(told.__getitem__, one.email_ids))]
        return len(sending) + len(untold)

    def judge(self) -> None:
        """Once nothing is under way. What was reported was handled, unless it is in a dead-letter queue."""
        given_up = "".join(letter.body for queue in self.dead.values() for letter in queue.messages.values())
        for message_id, acceptance in self._by_message.items():
            if message_id not in given_up:
                acceptance.handled += [(self.world.time(), report) for report in acceptance.due]
        Ending(self.witness).judge()


def _email_ids(request: bytes) -> Iterator[str]:
    asked = json.loads(request)
    entries = asked.get("BulkEmailEntries")
    for tags in [entry["ReplacementTags"] for entry in entries] if entries else [asked["EmailTags"]]:
        yield next(tag["Value"] for tag in tags if tag["Name"] == "emailId")


def _results(exchange: Exchange) -> list[dict[str, str]]:
    answer = json.loads(exchange.answer or b"{}")
    results: list[dict[str, str]] = answer.get("BulkEmailEntryResults", [answer])
    return results
