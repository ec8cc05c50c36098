"""SES's account suppression list, of this account in this region.

Source: https://docs.aws.amazon.com/ses/latest/dg/sending-email-suppression-list.html
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Literal

from botocore.exceptions import ClientError
from msgspec import Struct

from engine.aws.clients import PATIENT_CONFIG
from engine.aws.error_codes import is_code
from engine.operations.stack import DeployedStack
from engine.schemas.times import iso

Reason = Literal["BOUNCE", "COMPLAINT"]
PAGE: Final = 1000
_NOT_THERE: Final = "NotFoundException"


class SesEntry(Struct, frozen=True, kw_only=True, rename="camel"):
    """`message_id`: SES's id of the email that it came of, where SES says so."""

    address: str
    reason: Reason
    since: str
    message_id: str | None = None


class SesList:
    """Every method may raise ClientError."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def read(self, address: str) -> SesEntry | None:
        try:
            answer = await self._client.get_suppressed_destination(EmailAddress=address)
        except ClientError as error:
            if is_code(error, _NOT_THERE):
                return None
            raise
        return _entry(answer["SuppressedDestination"])

    async def put(self, address: str, reason: Reason) -> None:
        await self._client.put_suppressed_destination(EmailAddress=address, Reason=reason)

    async def remove(self, address: str) -> bool:
        """Whether it was there."""
        try:
            await self._client.delete_suppressed_destination(EmailAddress=address)
        except ClientError as error:
            if is_code(error, _NOT_THERE):
                return False
            raise
        return True

    async def pages(self) -> AsyncIterator[list[SesEntry]]:
        more: dict[str, str] = {}
        while True:
            answer = await self._client.list_suppressed_destinations(PageSize=PAGE, **more)
            yield [_entry(found) for found in answer.get("SuppressedDestinationSummaries", [])]
            if not answer.get("NextToken"):
                return
            more = {"NextToken": answer["NextToken"]}


def _entry(found: Mapping[str, Any]) -> SesEntry:
    return SesEntry(
        address=found["EmailAddress"],
        reason=found["Reason"],
        since=iso(found["LastUpdateTime"]),
        message_id=found.get("Attributes", {}).get("MessageId"),
    )


async def open_ses_list(stack: DeployedStack) -> SesList:
    return SesList(await stack.client("sesv2", PATIENT_CONFIG))
