"""The local environment's status events: all go to the listeners, and one that can't be read is skipped."""

import asyncio
import json
from typing import Any

import pytest

from engine.local.environment import poll_status_events
from engine.schemas.status import EmailStatusChanged

GOOD = {
    "emailId": "e-1",
    "originalEmailId": "e-1",
    "to": "ann@example.org",
    "templateName": "welcome",
    "status": "delivered",
    "previousStatus": "sent",
    "reason": None,
    "sesMessageId": None,
    "originalSource": "shop",
    "retryAttempt": 0,
    "timestamp": "2026-03-01T12:00:01.000Z",
}


class Queue:
    """Hands out its messages one by one, then none until the poller is cancelled."""

    def __init__(self, *bodies: str) -> None:
        self._bodies = list(bodies)
        self.deleted: list[str] = []
        self.empty = asyncio.Event()

    async def receive_message(self, **_: Any) -> dict[str, Any]:
        if not self._bodies:
            self.empty.set()
            await asyncio.Event().wait()
        body = self._bodies.pop(0)
        return {"Messages": [{"Body": body, "ReceiptHandle": body[:20]}]}

    async def delete_message(self, *, ReceiptHandle: str, **_: Any) -> None:
        self.deleted.append(ReceiptHandle)


async def listened(queue: Queue, fails_on: str = "") -> list[str]:
    """The statuses that a listener was called with until the queue was empty."""
    statuses: list[str] = []

    def listen(event: EmailStatusChanged) -> None:
        if event.status == fails_on:
            raise ZeroDivisionError
        statuses.append(event.status)

    poller = asyncio.create_task(poll_status_events(queue, "url", [listen]))
    await asyncio.wait_for(queue.empty.wait(), timeout=10)
    poller.cancel()
    return statuses


def body(**changes: Any) -> str:
    return json.dumps({"detail-type": "Email Status Changed", "detail": GOOD | changes})


@pytest.mark.parametrize(
    "forged",
    [
        "{",
        "[]",
        "{}",
        '{"detail": null}',
        body(status="teleported"),
        body(emailId=7),
        body(timestamp=None),
        '{"detail": ' + "[" * 5000 + "]" * 5000 + "}",
    ],
)
async def test_a_status_event_that_cannot_be_read_is_skipped_and_logged(
    forged: str, caplog: pytest.LogCaptureFixture
) -> None:
    queue = Queue(body(status="sent"), forged, body())
    assert await listened(queue) == ["sent", "delivered"]
    assert len(queue.deleted) == 3
    assert "Skipped a status event" in caplog.text


async def test_a_status_event_that_a_listener_fails_on_is_skipped_as_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue = Queue(body(status="failed"), body())
    assert await listened(queue, fails_on="failed") == ["delivered"]
    assert "could not be shown" in caplog.text
