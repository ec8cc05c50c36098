"""What goes wrong in a run, how often, and how large the run is."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct
from tests.processes.proxy import Fault
from tests.simulation.plan import Plan

# An email takes about ten calls to AWS and one to SES; its feedback six.
AWS_ODDS: Final[Mapping[Fault, float]] = {
    "cut before": 0.004,
    "cut after": 0.004,
    "truncated": 0.003,
    "corrupted": 0.003,
    "late request": 0.002,
    "late answer": 0.002,
    "killed before": 0.001,
    "killed after": 0.001,
}
SES_ODDS: Final[Mapping[Fault, float]] = {
    "cut before": 0.02,
    "cut after": 0.02,
    "truncated": 0.01,
    "corrupted": 0.01,
    "late request": 0.01,
    "late answer": 0.01,
    "killed before": 0.01,
    "killed after": 0.01,
}
FINE: Final[dict[str, Any]] = {
    "event_copies": 1,
    "event_late_seconds": 0.0,
    "events_reversed": False,
    "events_lost": (),
    "sending_paused": False,
}
# What SES itself does for some seconds, or with its next request.
WEATHER: Final[tuple[dict[str, Any], ...]] = (
    {},
    {},
    {"event_copies": 2},
    {"event_late_seconds": 5.0},
    {"events_reversed": True},
    {"events_lost": ("Send",)},
    {"throttle_next": 3},
    {"server_error_next": 1},
    {"refuse_next": 1},
    {"reset_before_next": 1},
    {"reset_after_next": 1},
    {"hang_after_next": 1},
    {"get_account_error_next": 1},
    {"bulk_statuses": {0: "MESSAGE_REJECTED", 1: "ACCOUNT_THROTTLED", 2: "TRANSIENT_FAILURE", 3: "FAILED"}},
)


class Size(Struct, frozen=True, kw_only=True):
    """`emails` are published over `seconds`; a `blackout` kills every environment at once.

    `odds`: how many times as likely as usual a fault of a call is. `reconcile`: RECONCILE_SECONDS.
    `patience`: seconds for what is still under way after the last fault.
    """

    emails: int
    seconds: float
    restarts: int
    blackouts: int
    pauses: int = 0
    odds: float = 1.0
    reconcile: float = 20.0
    patience: float = 300.0

    def plan(self, seed: int) -> Plan:
        suppressions = max(1, self.emails // 100)
        return Plan(seed=seed, emails=self.emails, seconds=self.seconds, suppressions=suppressions)
