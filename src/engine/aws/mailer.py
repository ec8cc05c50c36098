"""SES: each email in one call, and no second try.

Neither SendEmail nor SendBulkEmail has an idempotency token, so a try after a lost answer may send twice. The
client must be made with `total_max_attempts: 1`; what a failure means is said in `aws.error_codes`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.aws.error_codes import bulk_entry_error, is_not_offered, ses_error
from engine.aws.ses_requests import send_bulk_email_request, send_email_request
from engine.concurrency import concurrently
from engine.errors import OutcomeUnknown, SendFailure, SendRefused, SendThrottled
from engine.sending.compose import OutgoingMessage
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
        if len(messages) == 1 or not self._bulk_is_offered:
            return await concurrently(map(self._send_alone, messages))
        request = send_bulk_email_request(messages, self._configuration_set)
        try:
            answer = await self._client.send_bulk_email(**request)
            results = answer["BulkEmailEntryResults"]
        except Exception as error:  # noqa: BLE001 - only the table of errors may say that nothing went out
            failure = ses_error(error)
            if is_not_offered(error):
                # Nothing was sent. The role, or a service that stands in for SES, lacks the call.
                self._telemetry.record("bulk-calls-refused", problem=str(failure))
                self._bulk_is_offered = False
            elif not (
                isinstance(failure, SendRefused)
                or (isinstance(failure, SendThrottled) and failure.unexpected)
            ):
                return [failure for _ in messages]
            # Refused as a whole, with nothing sent: one bad email must not take the others with it.
            return await concurrently(map(self._send_alone, messages))
        if len(results) != len(messages):
            return [OutcomeUnknown("SES answered SendBulkEmail with another number of results")] * len(
                messages
            )
        return [
            result.get("MessageId")
            or bulk_entry_error(result.get("Status", "nothing"), result.get("Error", ""))
            for result in results
        ]

    async def _send_alone(self, message: OutgoingMessage) -> str | SendFailure:
        request = send_email_request(message, self._configuration_set)
        try:
            answer = await self._client.send_email(**request)
            return answer["MessageId"]  # a proxy's page may say 200 and hold none
        except Exception as error:  # noqa: BLE001 - as above
            return ses_error(error)
