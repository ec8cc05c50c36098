"""The emails to one address that bounced softly, as one item of the State table: `soft-bounces#<address>`.

Each email is an attribute of its own, named by its id, with the time of its report (epoch seconds): so a
report is one write, which answers with all that it must be counted with, and a report that comes again
writes what is there. The item holds no more than 20 emails, which stays within one write unit, and is gone
31 days after the last of them.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from engine.aws.dynamodb import conditional
from engine.aws.error_codes import service_errors
from engine.tracking.ports import SOFT_BOUNCE_WINDOW

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

MOST: Final = 20
_KEPT: Final = SOFT_BOUNCE_WINDOW + timedelta(days=1)
_SERVICE: Final = "DynamoDB (State)"


def soft_bounces_key(address: str) -> str:
    return f"soft-bounces#{address}"


class SoftBounceItems:
    """Implements `SoftBounceHistory`."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    async def add(self, address: str, email_id: str, at: datetime) -> int:
        with service_errors(_SERVICE):
            answer = await self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": soft_bounces_key(address)}},
                UpdateExpression="SET #email = if_not_exists(#email, :at), #ttl = :ttl",
                ExpressionAttributeNames={"#email": email_id, "#ttl": "ttl"},
                ExpressionAttributeValues={
                    ":at": {"N": str(int(at.timestamp()))},
                    ":ttl": {"N": str(int((at + _KEPT).timestamp()))},
                },
                ReturnValues="ALL_NEW",
            )
        emails = {name: value for name, value in answer["Attributes"].items() if name not in {"pk", "ttl"}}
        times = {name: float(value["N"]) for name, value in emails.items() if "N" in value}
        latest = sorted(times, key=times.__getitem__, reverse=True)
        for forgotten in latest[MOST : 2 * MOST]:  # one, unless another hand wrote more
            await self.remove(address, forgotten)
        since = (at - SOFT_BOUNCE_WINDOW).timestamp()
        return sum(times[email] >= since for email in latest[:MOST])

    async def remove(self, address: str, email_id: str) -> None:
        await conditional(
            _SERVICE,
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": soft_bounces_key(address)}},
                UpdateExpression="REMOVE #email",
                ConditionExpression="attribute_exists(#email)",  # or it would make an item that stays
                ExpressionAttributeNames={"#email": email_id},
            ),
        )
