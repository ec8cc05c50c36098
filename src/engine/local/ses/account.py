"""The SES account: its limits, and how much of them is used."""

import math
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from engine.local.ses.errors import SesError, daily_quota_exceeded, rate_exceeded
from engine.local.ses.message import bare_address, domain_of

_DAY = timedelta(hours=24)


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the simulated account. Rates and quotas count recipients, as SES does.

    With `identities` (addresses and domains) only these may send; with `configuration_sets` only these exist;
    None allows any. A `daily_quota` of -1 is none, as in GetAccount. `window` says what a second is:
    "calendar" counts from one full second to the next, "sliding" any 1,000 ms. AWS says only that short
    bursts may exceed the rate, so real SES lies on the lenient side of both. `suppressed_reasons`: for which
    reasons an address comes onto the account suppression list and gets no mail; empty in accounts of before
    2019-11-25 that never asked for the list. `feedback_topic` is the ARN that configuration sets are said to
    report to.
    """

    max_send_rate: float = 14
    daily_quota: float = 50_000
    window: Literal["calendar", "sliding"] = "calendar"
    identities: frozenset[str] | None = None
    configuration_sets: frozenset[str] | None = None
    suppressed_reasons: frozenset[Literal["BOUNCE", "COMPLAINT"]] = frozenset({"BOUNCE", "COMPLAINT"})
    account_id: str = "123456789012"
    region: str = "us-east-1"
    feedback_topic: str = ""

    def may_send_as(self, sender: str) -> bool:
        """Whether the sender's address or domain is verified."""
        known = self.identities
        return known is None or bare_address(sender).lower() in known or domain_of(sender) in known


class Usage:
    """Counts accepted recipients against the account's rate and daily quota."""

    def __init__(self, account: Account, now: Callable[[], datetime]) -> None:
        self.account = account
        self._now = now
        self._taken: deque[tuple[float, int]] = deque()
        self._in_window = 0
        self._by_hour: deque[tuple[datetime, int]] = deque()

    def refusal(self, recipients: int) -> SesError | None:
        """The error for `recipients` more at this moment, if they would exceed the rate or the quota.

        A message with more recipients than the rate itself passes if nothing else was sent in its second;
        otherwise SES could never accept it.
        """
        now = self._now()
        self._forget(now)
        quota = self.account.daily_quota
        if quota >= 0 and self.sent_last_24_hours() + recipients > quota:
            return daily_quota_exceeded()
        if self._in_window and self._in_window + recipients > self.account.max_send_rate:
            return rate_exceeded()
        return None

    def take(self, recipients: int, *, counts_for_day: int) -> None:
        """Record accepted recipients; those of the mailbox simulator count for the rate, not for the day."""
        now = self._now()
        self._taken.append((now.timestamp(), recipients))
        self._in_window += recipients
        hour = now.replace(minute=0, second=0, microsecond=0)
        if self._by_hour and self._by_hour[-1][0] == hour:
            counts_for_day += self._by_hour.pop()[1]
        self._by_hour.append((hour, counts_for_day))

    def sent_last_24_hours(self) -> int:
        """Recipients that count for the daily quota, to the hour."""
        oldest = self._now() - _DAY
        while self._by_hour and self._by_hour[0][0] < oldest:
            self._by_hour.popleft()
        return sum(count for _, count in self._by_hour)

    def _forget(self, now: datetime) -> None:
        second = now.timestamp()
        calendar = self.account.window == "calendar"
        oldest = math.floor(second) if calendar else math.nextafter(second - 1, math.inf)
        while self._taken and self._taken[0][0] < oldest:
            self._in_window -= self._taken.popleft()[1]
