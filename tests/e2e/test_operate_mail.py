"""The commands that bring mail back, against the whole engine on the emulator."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.cloud import request_event, sns_event
from typer.testing import CliRunner

from engine.cli import app
from engine.local.cases import sample
from engine.local.environment import LocalEnvironment, running_environment
from engine.local.ses import events
from engine.local.ses.mail_object import MailObject
from engine.requests.email_job import email_id
from engine.schemas.request import EmailRequest
from engine.schemas.status import EmailStatusChanged

pytestmark = pytest.mark.e2e

HARD = "bounce+mistake@simulator.example.com"


@pytest.fixture
async def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalEnvironment]:
    async with running_environment(lambda _doing: None, inbox_port=0, folder=tmp_path) as running:
        for name, value in running.emulator.environment.items():
            monkeypatch.setenv(name, value)
        yield running


class Statuses:
    """The latest status of each email, as the bus tells it."""

    def __init__(self, local: LocalEnvironment) -> None:
        self._seen: dict[str, list[str]] = {}
        self._heard = asyncio.Event()
        local.listeners.append(self._hear)

    def _hear(self, event: EmailStatusChanged) -> None:
        self._seen.setdefault(event.email_id, []).append(event.status)
        self._heard.set()

    async def reached(self, own_id: str, status: str) -> None:
        async with asyncio.timeout(60):
            while status not in self._seen.get(own_id, []):
                self._heard.clear()
                await self._heard.wait()


def asking(**detail: Any) -> dict[str, Any]:
    return request_event(templateData=sample("welcome"), **detail)


async def operate(*words: str) -> Any:
    """A command's facts; it runs a loop of its own, so it needs another thread."""
    answer = await asyncio.to_thread(CliRunner().invoke, app, [*words, "--json"])
    assert not isinstance(answer.exception, Exception), answer.output
    facts = json.loads(answer.output)
    assert answer.exit_code == (0 if facts["verdict"]["good"] else 1)
    return facts


async def test_dead_letters_in_every_envelope_are_redriven_and_each_email_goes_once(
    local: LocalEnvironment,
) -> None:
    statuses = Statuses(local)
    keys = ("rule", "function", "queue")
    asked = {key: asking(idempotencyKey=key, to=f"{key}@example.com", templateName="welcome") for key in keys}
    async with local.client("sqs") as sqs, local.emails("shop") as emails:
        # This one has been sent: its dead letter is a duplicate.
        await emails.send(_as_request(asked["queue"]))
        await statuses.reached(email_id("shop", "queue"), "delivered")

        async def put(queue: str, body: object, error: str = "") -> None:
            url = (await sqs.get_queue_url(QueueName=f"sesmailengine-{queue}"))["QueueUrl"]
            attributes = {"ERROR_CODE": {"DataType": "String", "StringValue": error}} if error else {}
            await sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body), MessageAttributes=attributes)

        await put("EventBridgeDLQ", asked["rule"], "NO_PERMISSIONS")
        await put(
            "EventBridgeDLQ", {"requestPayload": asked["function"], "responsePayload": {"errorType": "Boom"}}
        )
        await put("BulkEmailDLQ", asked["queue"])
        opened = json.dumps(
            events.open_(MailObject(tags={"emailId": email_id("shop", "queue")}), MailObject().sent_at)
        )
        await put("FeedbackProcessorDLQ", {"Type": "Notification", "Message": opened})
        await put("FeedbackProcessorDLQ", {"requestPayload": sns_event(opened)})

    found = await operate("dlq")
    assert {each["queue"]: each["messages"]["visible"] for each in found["queues"]} == {
        "EventBridgeDLQ": 2,
        "BulkEmailDLQ": 1,
        "EmailRetryDLQ": 0,
        "FeedbackProcessorDLQ": 2,
        "ParkedEmailQueue": 0,
    }
    assert (await operate("dlq", "show", "bulk"))["groups"][0]["knownAsSent"] == 1
    for queue in ("event", "bulk", "feedback"):
        done = await operate("dlq", "redrive", queue, "--yes")
        assert done["verdict"]["good"], done
    for key in keys:
        await statuses.reached(email_id("shop", key), "delivered")
    await statuses.reached(email_id("shop", "queue"), "opened")
    assert (await operate("dlq"))["verdict"]["good"]
    to = [message.to[0] for message in local.simulator.messages]
    assert sorted(to) == sorted(f"{key}@example.com" for key in keys)


async def test_an_address_suppressed_by_mistake_gets_the_mail_that_was_refused(
    local: LocalEnvironment,
) -> None:
    statuses = Statuses(local)
    async with local.emails("shop") as emails:
        await emails.send(_as_request(asking(idempotencyKey="first", to=HARD)))
        await statuses.reached(email_id("shop", "first"), "bounced")
        await emails.send(_as_request(asking(idempotencyKey="second", to=HARD)))
        await statuses.reached(email_id("shop", "second"), "failed")
    shown = await operate("suppression", "show", HARD)
    assert (shown["entries"][0]["reason"], shown["ses"][0]["reason"]) == ("hard-bounce", "BOUNCE")
    done = await operate("suppression", "remove", HARD, "--resend", "--yes")
    assert (done["ours"], done["ses"]) == ([HARD], [HARD])
    again = email_id("shop", done["resent"])
    await statuses.reached(again, "bounced")  # SES has tried: this mailbox is never there
    assert local.simulator.events[-1].document()["bounce"]["bounceSubType"] == "General"
    assert (await operate("suppression", "sync"))["verdict"]["good"]

    held = await operate("person", "export", HARD)
    assert held["emails"] == 3
    receipt = await operate(
        "person", "forget", HARD, "--drop-opt-out", "--yes", "--to", str(local.emulator.log) + ".receipt"
    )
    assert receipt["emails"] == 3
    assert not (await operate("person", "export", HARD))["verdict"]["good"]


def _as_request(event: dict[str, Any]) -> EmailRequest:
    return msgspec.convert(event["detail"], EmailRequest)
