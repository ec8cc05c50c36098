"""What only the feedback processor needs of AWS."""

from typing import Protocol

from engine.schemas.retry import RetryMessage


class RetryScheduler(Protocol):
    async def schedule_retry(self, message: RetryMessage, seconds: int) -> None:
        """Try again after so long. Raises ServiceUnavailable."""
        ...
