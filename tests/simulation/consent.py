"""What people may rely on who unsubscribe and come back: judged by what they asked for and were answered.

So may operators who suppress an address and free it: the key is the bare address then.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.simulation.cloud import STACK
from tests.simulation.dynamodb import Item
from tests.simulation.world import World

from engine.tracking.consent import UNSUBSCRIBE, opt_out_key, opt_out_keys

FOREVER: Final = float("inf")
Times = defaultdict[str, list[list[float]]]
"""From when to when, by key."""


def _times() -> Times:
    return defaultdict(list)


@dataclass
class Promises:
    """`gone`: from the answer that says so until a person asks to come back: no mail.

    `away`: from when a person asks to end it until the answer that they are back: a refusal has a reason.
    `freed`: for whom anybody ever asked to come back.
    """

    world: World
    gone: Times = field(default_factory=_times)
    away: Times = field(default_factory=_times)
    freed: set[str] = field(default_factory=set)
    _told: dict[tuple[str, bool], float] = field(default_factory=dict)  # the latest, by key

    def asks(self, key: str, *, subscribed: bool) -> float:
        """A person asks for a change; the answer is when."""
        now = self.world.time()
        if subscribed:
            _close(self.gone[key], now)
            self.freed.add(key)
        else:
            _open(self.away[key], now)
        return now

    def answered(self, key: str, *, subscribed: bool) -> None:
        """They were told that it is done."""
        now = self.world.time()
        if subscribed:
            _close(self.away[key], now)
        else:
            _open(self.gone[key], now)

    def judge_told(self, key: str, asked_at: float, *, subscribed: bool) -> None:
        """Once a change is confirmed."""
        if self._told.get((key, subscribed), -1) < asked_at:
            self.world.violate("untold", "", f"{key} was changed ({subscribed=}), and nobody was told")

    def heard(self, change: Mapping[str, Any]) -> None:
        key = opt_out_key(change["address"], change["topic"])
        self._told[key, change["subscribed"]] = self.world.time()
        self.world.log("", f"told: {key}, subscribed: {change['subscribed']}, via {change['via']}")

    def wrote(self, key: str, before: Item, after: Item, table: Mapping[str, Item]) -> None:
        """Nothing but a person's own wish changes an opt-out: no scanner that opens links, no other mail."""
        was, is_ = (row.get("suppressionType") == {"S": UNSUBSCRIBE} for row in (before, after))
        if "#" not in key:  # counts as every topic, and may move there
            key = opt_out_key(key)
            is_ = is_ or key in table
        if is_ and not was and not _is_open(self.away[key]):
            self.world.violate("consent", "", f"{key} was opted out, and nobody had asked for it")
        if was and not is_ and _is_open(self.gone[key]):
            self.world.violate("consent", "", f"{key} was opted in again, and nobody had asked for it")

    def judge_send(self, email_id: str, key: str, looked_at: float) -> None:
        if any(since < looked_at < until for since, until in self.gone[key]):
            invariant = "unsubscribed" if "#" in key else "suppressed"
            self.world.violate(invariant, email_id, f"{key} was confirmed before it was looked up")

    def judge_refusal(self, email_id: str, topic: str, address: str) -> None:
        """As it is recorded, by the invocation that decided it."""
        latest = self.world.time() - STACK.sender_timeout
        keys = opt_out_keys(topic, address) if topic else ()
        if not any(until > latest for key in keys for _, until in self.away[key]):
            why = f"who gets {topic}" if topic else "though it has no topic"
            self.world.violate("refused", email_id, f"is refused as unsubscribed to {address}, {why}")


def _open(times: list[list[float]], now: float) -> None:
    if not _is_open(times):
        times.append([now, FOREVER])


def _close(times: list[list[float]], now: float) -> None:
    if _is_open(times):
        times[-1][1] = now


def _is_open(times: list[list[float]]) -> bool:
    return bool(times) and times[-1][1] == FOREVER
