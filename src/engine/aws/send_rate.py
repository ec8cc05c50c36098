"""The send rate that SES grants the account (GetAccount)."""

from typing import TYPE_CHECKING

from engine.aws.error_codes import service_errors

if TYPE_CHECKING:
    from types_aiobotocore_sesv2 import SESV2Client


async def get_send_rate(client: "SESV2Client") -> float:
    """Recipients a second; 0 where the answer doesn't say. Raises ServiceUnavailable."""
    with service_errors("SES GetAccount"):
        account = await client.get_account()
    return account.get("SendQuota", {}).get("MaxSendRate", 0.0)
