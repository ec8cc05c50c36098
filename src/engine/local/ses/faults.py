"""Faults on request: one frozen plan of what goes wrong, changed by a test or over HTTP."""

import threading
from typing import Any

import msgspec

from engine.local.ses.errors import (
    BULK_STATUS,
    SesError,
    account_suspended,
    daily_quota_exceeded,
    internal_failure,
    rate_exceeded,
    sending_paused,
)


class FaultPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong. `*_next` count the sending requests that it happens to; the rest lasts until changed.

    Requests: `throttle_next` (TooManyRequestsException), `server_error_next` (500), `refuse_next`
    (`refuse_code`, `refuse_message`), `reset_before_next` (not accepted, connection reset),
    `reset_after_next` (accepted, `Send` published, connection reset), `hang_after_next` (accepted, `Send`
    published, no answer ever). `sending_paused`, `account_suspended`, `daily_quota_used_up` refuse every
    request. `answer_seconds` is added to every answer. `bulk_statuses` gives entries of the next bulk
    request, by position, a status other than SUCCESS.

    Events: `event_copies` of each, `event_late_seconds` on top of the schedule, `events_reversed` within a
    message, `events_held` until released, `events_lost` by type.
    """

    throttle_next: int = 0
    server_error_next: int = 0
    refuse_next: int = 0
    refuse_code: str = "MessageRejected"
    refuse_message: str = "The simulator was told to refuse this message."
    reset_before_next: int = 0
    reset_after_next: int = 0
    hang_after_next: int = 0
    get_account_error_next: int = 0
    sending_paused: bool = False
    account_suspended: bool = False
    daily_quota_used_up: bool = False
    answer_seconds: float = 0.0
    bulk_statuses: dict[int, str] = {}
    event_copies: int = 1
    event_late_seconds: float = 0.0
    events_reversed: bool = False
    events_held: bool = False
    events_lost: frozenset[str] = frozenset()


class Faults:
    """The plan in force. A test's thread may change it while the simulator's thread uses it."""

    def __init__(self) -> None:
        self._plan = FaultPlan()
        self._lock = threading.Lock()

    @property
    def plan(self) -> FaultPlan:
        """The plan in force now; counters go down as they are used."""
        return self._plan

    def set(self, **changes: Any) -> None:
        """Change fields of the plan. Raises ValidationError for a field or value that it does not have."""
        with self._lock:
            merged = {**msgspec.structs.asdict(self._plan), **changes}
            self._plan = msgspec.convert(merged, FaultPlan)

    def clear(self) -> None:
        """Return to a plan without faults."""
        with self._lock:
            self._plan = FaultPlan()

    def refusal(self) -> SesError | None:
        """The error for this sending request, if the plan has one; takes one off its counter."""
        plan = self._plan
        lasting = (
            (plan.account_suspended, account_suspended),
            (plan.sending_paused, sending_paused),
            (plan.daily_quota_used_up, daily_quota_exceeded),
        )
        counted = (
            ("throttle_next", rate_exceeded),
            ("server_error_next", internal_failure),
            ("refuse_next", lambda: SesError(plan.refuse_code, plan.refuse_message)),
        )
        for holds, error in lasting:
            if holds:
                return error()
        return next((error() for counter, error in counted if self._use(counter)), None)

    def resets_before(self) -> bool:
        """Whether this request's connection breaks before anything is accepted."""
        return self._use("reset_before_next")

    def resets_after(self) -> bool:
        """Whether this request's connection breaks after the message was accepted."""
        return self._use("reset_after_next")

    def hangs_after(self) -> bool:
        """Whether this request is accepted and gets no answer."""
        return self._use("hang_after_next")

    def account_fails(self) -> bool:
        """Whether this GetAccount fails."""
        return self._use("get_account_error_next")

    def take_bulk_statuses(self) -> dict[int, str]:
        """The failing entries of this bulk request."""
        statuses = self._plan.bulk_statuses
        if statuses:
            self.set(bulk_statuses={})
        return statuses

    def _use(self, counter: str) -> bool:
        if not getattr(self._plan, counter):  # most requests: no lock
            return False
        with self._lock:
            left = getattr(self._plan, counter)
            if left > 0:
                self._plan = msgspec.structs.replace(self._plan, **{counter: left - 1})
            return bool(left > 0)


def bulk_status(error: SesError) -> str:
    """The status of a bulk entry that met an error."""
    return BULK_STATUS.get(error.code, "FAILED")
