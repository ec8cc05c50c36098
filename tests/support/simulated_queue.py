"""SQS as deferred mail sees it: visibility, receive counts, redrive. Time is the clock that it is given."""

import json
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.support.ports import FakeClock

from engine.delivery.retry_delay import RECEIVES

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
LONGEST_VISIBILITY = timedelta(hours=12)
OWN_VISIBILITY = timedelta(seconds=180)
RETENTION = timedelta(days=14)


@dataclass
class Message:
    body: str
    sent_at: datetime
    visible_at: datetime
    received_at: datetime | None = None
    receives: int = 0


@dataclass
class SimulatedQueue:
    """Hands out what is visible, in no order, as SQS does; after `RECEIVES` times it goes to `dead`."""

    clock: FakeClock
    messages: dict[str, Message] = field(default_factory=dict)
    dead: list[Message] = field(default_factory=list)
    most_receives: int = 0
    _sent: int = 0
    _dice: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - the same every time

    def send(self, body: object, delay: float = 0) -> None:
        now = self.clock()
        text = body if isinstance(body, str) else json.dumps(body)
        self._sent += 1
        self.messages[f"m{self._sent}"] = Message(text, now, now + timedelta(seconds=delay))

    def receive(self, most: int) -> dict[str, Any] | None:
        """The event of the function's trigger; None where nothing is visible."""
        now = self.clock()
        visible = [key for key, message in self.messages.items() if message.visible_at <= now]
        taken = self._dice.sample(visible, min(most, len(visible)))
        records = [self._hand_out(key, now) for key in taken]
        return {"Records": [record for record in records if record]} if any(records) else None

    def _hand_out(self, key: str, now: datetime) -> dict[str, Any] | None:
        message = self.messages[key]
        assert now - message.sent_at < RETENTION, "SQS has deleted the message: its email is lost"
        message.receives += 1
        self.most_receives = max(self.most_receives, message.receives)
        if message.receives > RECEIVES:
            self.dead.append(self.messages.pop(key))
            return None
        message.received_at, message.visible_at = now, now + OWN_VISIBILITY
        return {
            "messageId": key,
            "receiptHandle": key,
            "body": message.body,
            "attributes": {"ApproximateReceiveCount": str(message.receives)},
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:test-BulkEmailQueue",
        }

    def hide(self, key: str, seconds: float) -> None:
        message, until = self.messages[key], self.clock() + timedelta(seconds=seconds)
        assert message.received_at is not None
        assert until - message.received_at <= LONGEST_VISIBILITY, "SQS refuses so long a time"
        message.visible_at = until

    def delete(self, key: str) -> None:
        del self.messages[key]

    def next_at(self) -> datetime:
        """When the next message becomes visible."""
        return min(message.visible_at for message in self.messages.values())
