"""In-memory stand-ins for what the engine keeps in tables: small, and honest about conditions."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from msgspec.structs import replace
from tests.support.ports import Port

from engine.errors import FailureCode, Refusal, ServiceUnavailable
from engine.schemas.request import EmailRequest
from engine.schemas.rows import BrakeRow, SuppressionRow, TrackingRow
from engine.schemas.times import iso
from engine.tracking.bounce_quota import QuotaReading
from engine.tracking.ledger import Advance, Move
from engine.tracking.lifecycle import RANK, Status, can_transition
from engine.tracking.ports import SOFT_BOUNCE_WINDOW, PreSendChecks


@dataclass
class FakeLedger(Port):
    """The tracking table: `SenderLedger` and `FeedbackLedger` over one dict, each write one step.

    A claim for an id in `unanswered` gets no answer from the table, once.
    """

    rows: dict[str, TrackingRow] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)

    def put(self, *rows: TrackingRow) -> None:
        self.rows |= {row.email_id: row for row in rows}

    async def claim(self, rows: Sequence[TrackingRow]) -> list[TrackingRow | ServiceUnavailable | None]:
        async with self.effect("ledger.claim"):
            return [self._insert(row) for row in rows]

    def _insert(self, row: TrackingRow) -> TrackingRow | ServiceUnavailable | None:
        if row.email_id in self.unanswered:
            self.unanswered.remove(row.email_id)
            return ServiceUnavailable("ledger.claim is down")
        there = self.rows.get(row.email_id)
        if there is None:
            self.put(row)
        own = there is not None and there.claim_id is not None and there.claim_id == row.claim_id
        return None if own else there

    async def reclaim(self, row: TrackingRow, seen_lease: float | None) -> bool:
        async with self.effect("ledger.reclaim"):
            there = self.rows.get(row.email_id)
            if there is None or there.status != Status.SENDING:
                return False
            if there.lease_until != seen_lease and there.claim_id != row.claim_id:
                return False
            kept = row.kept_request
            self.put(replace(there, lease_until=row.lease_until, claim_id=row.claim_id, kept_request=kept))
            return True

    async def release(self, email_id: str, lease: float) -> None:
        async with self.effect("ledger.release"):
            there = self.rows.get(email_id)
            if there and there.status == Status.SENDING and there.lease_until == lease:
                self.put(replace(there, lease_until=None))

    async def record(self, moves: Sequence[Move]) -> None:
        async with self.effect("ledger.record"):
            for move in moves:
                told = {"template_version": move.template_version, "topic": move.topic}
                known = {name: value for name, value in told.items() if value}
                self._move(
                    move.email_id,
                    move.to,
                    move.at,
                    ses_message_id=move.ses_message_id,
                    refusal=move.refusal,
                    **known,
                )

    async def read(self, email_id: str) -> TrackingRow | None:
        async with self.effect("ledger.read"):
            return self.rows.get(email_id)

    async def find_by_ses_message_id(self, ses_message_id: str) -> TrackingRow | None:
        async with self.effect("ledger.find_by_ses_message_id"):
            found = (row for row in self.rows.values() if row.ses_message_id == ses_message_id)
            return next(found, None)

    async def advance(
        self,
        email_id: str,
        to: Status,
        *,
        at: datetime,
        fingerprint: str,
        ses_message_id: str | None = None,
        refusal: Refusal | None = None,
    ) -> Advance:
        async with self.effect("ledger.advance"):
            if email_id not in self.rows:
                raise LookupError(f"no tracking row {email_id}")
            before = self.rows[email_id]
            move = f"{to}:{fingerprint}"
            moved = self._move(
                email_id, to, at, ses_message_id=ses_message_id, refusal=refusal, moves=before.moves | {move}
            )
            told = not moved and move in before.moves
            return Advance(self.rows[email_id], Status(before.status), moved=moved, already_published=told)

    def _move(
        self,
        email_id: str,
        to: Status,
        at: datetime,
        *,
        ses_message_id: str | None = None,
        refusal: Refusal | None = None,
        **changes: Any,
    ) -> bool:
        """One conditional write: all of it, or nothing."""
        row = self.rows.get(email_id)
        if row is None or not can_transition(Status(row.status), to):
            return False
        changes |= {"status": to.value, "status_rank": RANK[to], f"{to}_at": iso(at), "lease_until": None}
        changes["ses_message_id"] = row.ses_message_id or ses_message_id
        suppressed = refusal is not None and refusal.code is FailureCode.SUPPRESSED
        if RANK[to] > RANK[Status.SOFT_BOUNCED] and not suppressed:
            changes["kept_request"] = None
        if refusal:
            changes |= {"failure_code": refusal.code.value, "failure_reason": refusal.message}
        self.put(replace(row, **changes))
        return True

    async def note(self, email_id: str, attributes: Mapping[str, str]) -> None:
        async with self.effect("ledger.note"):
            row = self.rows.get(email_id)
            if row is None:
                return
            fields = dict(zip(row.__struct_encode_fields__, row.__struct_fields__, strict=True))
            fresh = {fields[name]: value for name, value in attributes.items()}
            self.put(replace(row, **{k: v for k, v in fresh.items() if getattr(row, k) is None}))

    async def mark(self, email_id: str, what: str) -> bool:
        async with self.effect("ledger.mark"):
            row = self.rows.get(email_id)
            if row is None or what in row.moves:
                return False
            self.put(replace(row, moves=row.moves | {what}))
            return True


@dataclass
class FakeSuppression(Port):
    """A row that is there keeps its first reason."""

    rows: dict[str, SuppressionRow] = field(default_factory=dict)

    async def add(self, row: SuppressionRow) -> None:
        async with self.effect("suppression.add"):
            self.rows.setdefault(row.email, row)


@dataclass
class FakeQuota(Port):
    sends: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    bounces: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    async def count_sends(self, date: str, recipients: int) -> None:
        async with self.effect("quota.count_sends"):
            self.sends[date] += recipients

    async def count_bounce(self, date: str) -> None:
        async with self.effect("quota.count_bounce"):
            self.bounces[date] += 1


@dataclass
class FakePreSendReader(Port):
    """Reads what the two others hold."""

    suppression: FakeSuppression
    quota: FakeQuota
    brakes: dict[str, BrakeRow] = field(default_factory=dict)

    def stop(self, key: str, because: str = "wrong price") -> None:
        self.brakes[key] = BrakeRow(pk=key, because=because, by="ops", since="2026-03-02T09:00:00.000Z")

    async def read(
        self, addresses: Collection[str], date: str, brakes: Collection[str], opt_outs: Collection[str]
    ) -> PreSendChecks:
        async with self.effect("pre_send.read"):
            rows = self.suppression.rows
            found = {address: rows[address] for address in addresses if address in rows}
            suppressed = {key: row for key, row in found.items() if row.suppression_type != "unsubscribe"}
            bare = {f"*#{key}": row for key, row in found.items() if key not in suppressed}
            reading = QuotaReading(self.quota.sends.get(date, 0), self.quota.bounces.get(date, 0))
            return PreSendChecks(suppressed, reading, self._set(brakes), bare | self._opt_outs(opt_outs))

    async def read_opt_outs(self, keys: Collection[str]) -> Mapping[str, SuppressionRow]:
        async with self.effect("pre_send.read_opt_outs"):
            return self._opt_outs(keys)

    def _opt_outs(self, keys: Collection[str]) -> dict[str, SuppressionRow]:
        found = {key: self.suppression.rows[key] for key in keys if key in self.suppression.rows}
        return {key: row for key, row in found.items() if row.suppression_type == "unsubscribe"}

    async def read_brakes(self, keys: Collection[str]) -> Mapping[str, BrakeRow]:
        async with self.effect("pre_send.read_brakes"):
            return self._set(keys)

    def _set(self, keys: Collection[str]) -> dict[str, BrakeRow]:
        return {key: self.brakes[key] for key in keys if key in self.brakes}

    async def set_brake(self, brake: BrakeRow) -> bool:
        async with self.effect("pre_send.set_brake"):
            return self.brakes.setdefault(brake.pk, brake) is brake


@dataclass
class FakeSoftBounces(Port):
    """When each email to an address bounced softly, by address and email id."""

    bounced: dict[str, dict[str, datetime]] = field(default_factory=lambda: defaultdict(dict))

    async def add(self, address: str, email_id: str, at: datetime) -> int:
        async with self.effect("soft_bounces.add"):
            self.bounced[address].setdefault(email_id, at)
            since = at - SOFT_BOUNCE_WINDOW
            return min(sum(moment >= since for moment in self.bounced[address].values()), 20)

    async def remove(self, address: str, email_id: str) -> None:
        async with self.effect("soft_bounces.remove"):
            self.bounced[address].pop(email_id, None)


@dataclass
class FakePayloads(Port):
    """What was saved, by email id; `claims` holds under which claim."""

    saved: dict[str, EmailRequest] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)

    async def save(self, claim_id: str, requests: Mapping[str, EmailRequest]) -> None:
        async with self.effect("payloads.save"):
            self.saved |= requests
            self.claims |= dict.fromkeys(requests, claim_id)

    async def read(self, claim_id: str, email_id: str) -> EmailRequest | None:
        async with self.effect("payloads.read"):
            return self.saved.get(email_id) if self.claims.get(email_id, claim_id) == claim_id else None
