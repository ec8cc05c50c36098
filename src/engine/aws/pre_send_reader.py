"""What is asked before a send: suppression and quota."""

from collections.abc import Collection

from engine.aws.bounce_quota import DailyCounters
from engine.aws.suppression import SuppressionList
from engine.tracking.ports import PreSendChecks


class StateReader:
    """Implements `PreSendReader`."""

    def __init__(self, suppression: SuppressionList, quota: DailyCounters) -> None:
        self._suppression = suppression
        self._quota = quota

    async def read(self, addresses: Collection[str], date: str) -> PreSendChecks:
        return PreSendChecks(await self._suppression.find(addresses), await self._quota.read(date))
