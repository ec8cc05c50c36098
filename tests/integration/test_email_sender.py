"""The sender function at its real edges: AWS's APIs behind moto, SES behind the simulator."""

import asyncio
import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.support.cloud import Cloud, queue_event, request_event, sns_event

from engine.bootstrap.settings import SettingsError
from engine.handlers.email_sender import handler
from engine.handlers.feedback_processor import handler as feedback
from engine.local.ses.threaded import ThreadedSimulator

pytestmark = pytest.mark.usefixtures("cloud")


class Context:
    """Lambda's context, as far as the engine reads it."""

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def test_an_event_becomes_an_email_a_row_and_a_status_event(cloud: Cloud, ses: ThreadedSimulator) -> None:
    answer = handler(request_event(metadata={"order": "7"}, idempotencyKey="order-7"), Context())
    (message,) = ses.messages
    assert (message.to, message.subject) == (("ada@example.com",), "Welcome, Ada")
    assert (message.html, message.text) == ("<h1>Hello Ada</h1>", "Hello Ada")
    assert message.configuration_set == cloud.name("ConfigSet")
    assert message.tags["emailId"] == answer["emailId"]
    row = cloud.row()
    assert row["emailId"] == answer["emailId"]
    assert (row["status"], row["statusRank"], row["sesMessageId"]) == ("sent", 1, message.message_id)
    assert (row["idempotencyKey"], len(row["templateVersion"])) == ("order-7", 16)
    assert "leaseUntil" not in row
    (event,) = cloud.status_events()
    assert event == answer
    assert set(event) == {
        "emailId", "originalEmailId", "to", "templateName", "status", "previousStatus", "reason",
        "sesMessageId", "originalSource", "retryAttempt", "timestamp", "metadata", "tags",
    }  # fmt: skip
    assert event["metadata"] == {"order": "7"}


def test_everything_a_request_may_say_reaches_ses(cloud: Cloud, ses: ThreadedSimulator) -> None:
    cloud.s3.put_object(Bucket=cloud.bucket, Key="attachments/logo.png", Body=b"PNG")
    handler(
        request_event(
            cc=["bob@example.com"],
            bcc=["cy@example.com"],
            replyTo=["help@shop.example"],
            headers={"X-Order": "7"},
            tags={"campaign": "spring"},
            senderOverride={"email": "billing@shop.example", "name": "Bílling"},
            unsubscribe={"url": "https://shop.example/u/1", "mailto": "leave@shop.example"},
            attachments=[
                {
                    "fileName": "invoice.pdf",
                    "contentType": "application/pdf",
                    "content": base64.b64encode(b"PDF").decode(),
                },
                {
                    "fileName": "logo.png",
                    "contentType": "image/png",
                    "s3Key": "attachments/logo.png",
                    "contentId": "logo",
                },
            ],
        )
    )
    (message,) = ses.messages
    assert (message.cc, message.bcc) == (("bob@example.com",), ("cy@example.com",))
    assert message.reply_to == ("help@shop.example",)
    assert message.sender == "=?utf-8?q?B=C3=ADlling?= <billing@shop.example>"
    assert dict(message.headers) == {
        "X-Order": "7",
        "List-Unsubscribe": "<https://shop.example/u/1>, <mailto:leave@shop.example>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    assert message.tags["campaign"] == "spring"
    assert [(file.file_name, file.content) for file in message.attachments] == [
        ("invoice.pdf", b"PDF"),
        ("logo.png", b"PNG"),
    ]


def test_deliveries_of_one_event_in_many_threads_send_one_email(cloud: Cloud, ses: ThreadedSimulator) -> None:
    event = request_event()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(handler, [event] * 8))
    assert len(ses.messages) == 1
    assert {answer["status"] for answer in answers} <= {"sent", "deferred"}
    assert cloud.row()["status"] == "sent"


async def test_a_caller_may_be_inside_a_running_loop(ses: ThreadedSimulator) -> None:
    await asyncio.to_thread(handler, request_event())
    assert handler(request_event(to="bob@example.com"))["status"] == "sent"
    assert len(ses.messages) == 2


@pytest.mark.parametrize(
    "fault", [{"throttle_next": 1}, {"sending_paused": True}, {"daily_quota_used_up": True}]
)
def test_mail_that_ses_will_not_take_now_waits_whole_in_the_retry_queue(
    cloud: Cloud, ses: ThreadedSimulator, fault: dict[str, Any]
) -> None:
    ses.faults.set(**fault)
    event = request_event()
    assert handler(event)["status"] == "deferred"
    assert cloud.delayed(cloud.retry_queue) == 1
    ses.faults.clear()
    assert handler(queue_event(event)) == {"batchItemFailures": []}
    assert len(ses.messages) == 1


def test_an_answer_that_never_comes_is_settled_by_the_send_event(
    cloud: Cloud, ses: ThreadedSimulator
) -> None:
    ses.faults.set(reset_after_next=1)
    event = request_event()
    answer = handler(event)
    assert (answer["status"], answer["reason"]) == ("deferred", "outcome-unknown")
    assert cloud.row()["status"] == "sending"
    feedback(sns_event(*(reported.body for reported in ses.events)))
    assert cloud.row()["status"] == "delivered"
    assert handler(queue_event(event)) == {"batchItemFailures": []}
    assert len(ses.messages) == 1


def test_a_received_message_is_hidden_in_the_queue_it_came_from(cloud: Cloud, ses: ThreadedSimulator) -> None:
    ses.faults.set(account_suspended=True)
    cloud.sqs.send_message(QueueUrl=cloud.bulk_queue, MessageBody=json.dumps(request_event()))
    (message,) = cloud.sqs.receive_message(QueueUrl=cloud.bulk_queue, VisibilityTimeout=0)["Messages"]
    record = queue_event(message["Body"], queue_arn=cloud.arn("BulkEmailQueue"))
    record["Records"][0]["receiptHandle"] = message["ReceiptHandle"]
    assert len(handler(record)["batchItemFailures"]) == 1
    assert not cloud.messages(cloud.bulk_queue)


def test_a_day_with_too_many_bounces_stops_sending(
    cloud: Cloud, ses: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOUNCE_RATE_MIN_SENDS", "2")
    handler(request_event(to="ada@example.com"))
    handler(request_event(to="bob@example.com"))
    ses.report(ses.messages[0].message_id, "bounce")
    feedback(sns_event(*(event.body for event in ses.events)))
    refused = handler(request_event(to="cy@example.com"))
    assert refused["reason"]["code"] == "bounce-rate-exceeded"
    assert len(ses.messages) == 2
    assert {row["toEmail"]: row["status"] for row in cloud.rows()}["ada@example.com"] == "bounced"


def test_a_wrong_environment_stops_the_first_invocation_with_all_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TRACKING_TABLE")
    monkeypatch.delenv("STATE_TABLE")
    monkeypatch.setenv("BOUNCE_RATE_THRESHOLD", "lots")
    with pytest.raises(SettingsError, match=r"TRACKING_TABLE is missing; .*STATE_TABLE is missing") as caught:
        handler(request_event())
    assert "BOUNCE_RATE_THRESHOLD must be a percentage" in str(caught.value)
    monkeypatch.undo()


def test_no_address_and_no_template_data_reach_the_log(
    ses: ThreadedSimulator, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    ses.faults.set(throttle_next=1)
    secret = {"name": "Topsecret"}
    handler(request_event(to="private@example.com", templateData=secret))
    handler(request_event(to="private@example.com", templateData=secret))
    handler(request_event(to="private@", templateData=secret))
    handler(queue_event('{"to": "private@example.com"', request_event(to="private@example.com", surprise=1)))
    said = capsys.readouterr().out + caplog.text
    assert "email-settled" in said
    assert "private" not in said
    assert "Topsecret" not in said
