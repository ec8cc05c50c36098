"""SES: each email in one call, and no second try.

Neither SendEmail nor SendBulkEmail has an idempotency token, so a try after a lost answer may send twice. The
client must be made with `total_max_attempts: 1`; what a failure means is said in `aws.errors`.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from engine.aws.error_codes import bulk_entry_error, is_not_offered, ses_error
from engine.aws.ses_requests import send_bulk_email_request, send_email_request
from engine.errors import OutcomeUnknown, SendFailure, SendRefused, SendThrottled
from engine.sending.message import OutgoingMessage
from engine.types import Telemetry

if TYPE_CHECKING:
    from types_aiobotocore_sesv2 import SESV2Client


class SesMailer:
    """Implements `Mailer`."""

    def __init__(self, client: "SESV2Client", configuration_set: str, telemetry: Telemetry) -> None:
        self._client = client
        self._configuration_set = configuration_set
        self._telemetry = telemetry
        self._bulk_is_offered = True

    async def send(self, messages: Sequence[OutgoingMessage]) -> list[str | SendFailure]:
        if len(messages) > 1 and self._bulk_is_offered:
            return await self._send_together(messages)
        return await self._send_apart(messages)

    async def _send_apart(self, messages: Sequence[OutgoingMessage]) -> list[str | SendFailure]:
        return list(await asyncio.gather(*map(self._send_one, messages)))

    async def _send_one(self, message: OutgoingMessage) -> str | SendFailure:
        request = send_email_request(message, self._configuration_set)
        try:
            answer = await self._client.send_email(**request)
            return answer["MessageId"]  # a proxy's page may say 200 and hold none
        except Exception as error:  # noqa: BLE001 - only the table of errors may say that nothing went out
            return ses_error(error)

    async def _send_together(self, messages: Sequence[OutgoingMessage]) -> list[str | SendFailure]:
        request = send_bulk_email_request(messages, self._configuration_set)
        try:
            answer = await self._client.send_bulk_email(**request)
            results = answer["BulkEmailEntryResults"]
        except Exception as error:  # noqa: BLE001 - as above
            if isinstance(error, ClientError) and is_not_offered(error):
                # Nothing was sent. A role or another SES lacks the call: one by one from here on.
                self._bulk_is_offered = False
                code = error.response.get("Error", {}).get("Code", "unknown")
                self._telemetry.record("bulk-calls-refused", problem=f"SES SendBulkEmail answered {code}")
                return await self._send_apart(messages)
            failure = ses_error(error)
            if _may_be_the_fault_of_one(failure):
                return await self._send_apart(messages)
            return [failure for _ in messages]
        if len(results) != len(messages):
            lost = OutcomeUnknown("SES answered SendBulkEmail with another number of results")
            return [lost for _ in messages]
        return [
            result.get("MessageId")
            or bulk_entry_error(result.get("Status", "nothing"), result.get("Error", ""))
            for result in results
        ]


def _may_be_the_fault_of_one(failure: SendFailure) -> bool:
    """Whether SES refused a whole call, with nothing sent: one bad email must not take the others with it."""
    return isinstance(failure, SendRefused) or (isinstance(failure, SendThrottled) and failure.unexpected)
