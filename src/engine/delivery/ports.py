"""The queues in which mail waits."""

from typing import Protocol


class DeferralQueues(Protocol):
    """Every method may raise `ServiceUnavailable`."""

    async def defer(self, body: str, seconds: int) -> None:
        """Put a request of the direct lane into EmailRetryQueue, whole, to come back after so long."""
        ...

    async def extend_visibility(self, queue_arn: str, receipt_handle: str, seconds: int) -> None:
        """Hide a received message of a queue for so long. Receives are counted on, so waits must grow."""
        ...
