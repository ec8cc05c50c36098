"""The SES account, as GetAccount tells of it."""

from typing import Any, Final

from msgspec import Struct

from engine.operations.stack import DeployedStack

HEALTHY: Final = "HEALTHY"

# Percent, from which on SES puts an account under review.
# https://docs.aws.amazon.com/ses/latest/dg/reputationdashboard-messages.html
MOST_BOUNCES: Final = 5.0
MOST_COMPLAINTS: Final = 0.1
ENOUGH: Final = 1_000
"""Emails that left, from which on these rates mean something: one bounce of ten is ten percent."""


class SesAccount(Struct, frozen=True, kw_only=True, rename="camel"):
    """Rates and quotas in recipients. `daily_quota`: -1 for none.

    `enforcement`: HEALTHY, PROBATION or SHUTDOWN.
    https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetAccount.html
    """

    sending_enabled: bool
    production: bool
    enforcement: str
    max_send_rate: float
    daily_quota: float
    sent_last_24_hours: float

    @property
    def left(self) -> float | None:
        """Recipients that may still be written to today; None without a quota."""
        return max(self.daily_quota - self.sent_last_24_hours, 0) if self.daily_quota >= 0 else None


async def ses_account(stack: DeployedStack) -> SesAccount:
    """May raise ClientError."""
    answer: dict[str, Any] = await (await stack.client("sesv2")).get_account()
    quota = answer.get("SendQuota", {})
    return SesAccount(
        sending_enabled=answer.get("SendingEnabled", False),
        production=answer.get("ProductionAccessEnabled", False),
        enforcement=answer.get("EnforcementStatus", HEALTHY),
        max_send_rate=quota.get("MaxSendRate", 0),
        daily_quota=quota.get("Max24HourSend", -1),
        sent_last_24_hours=quota.get("SentLast24Hours", 0),
    )
