"""The sender function at its real edges: AWS's APIs behind moto, SES behind the simulator."""

import asyncio
import base64
import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.header import decode_header
from typing import Any

import boto3  # type: ignore[import-untyped]  # a test looks at answers as plain JSON
import pytest
from tests.support.cloud import WELCOME, Cloud, queue_event, request_event, sns_event
from tests.support.unsubscribe import ADA, LINKS, make_secret

from engine.bootstrap.settings import SettingsError
from engine.handlers.email_sender import handler
from engine.handlers.feedback_processor import handler as feedback
from engine.local.ses.threaded import ThreadedSimulator
from engine.requests.email_job import UnreadableRecordError

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
        "emailId", "originalEmailId", "to", "templateName", "campaign", "status", "previousStatus", "reason",
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
            campaign="spring",
            tags={"kind": "news"},
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
    assert (message.tags["campaign"], message.tags["kind"]) == ("spring", "news")
    assert cloud.row()["campaign"] == "spring"
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


# -- odd input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_hand", ["user@bücher.example", "user@xn--bcher-kva.example"])
def test_a_suppression_row_by_hand_holds_however_its_domain_is_written(
    cloud: Cloud, ses: ThreadedSimulator, by_hand: str
) -> None:
    cloud.put("Suppression", email=by_hand, suppressionType="manual")
    for to in ("user@bücher.example", "User@xn--bcher-kva.example"):
        assert handler(request_event(to=to))["reason"]["code"] == "suppressed"
    assert not ses.messages


def test_an_address_that_is_named_again_as_a_copy_is_one_recipient(ses: ThreadedSimulator) -> None:
    handler(
        request_event(to="ada@bücher.example", cc=["ADA@xn--bcher-kva.example"], bcc=["ada@BÜCHER.example"])
    )
    (message,) = ses.messages
    assert message.recipients == ("ada@xn--bcher-kva.example",)


def test_a_sender_name_too_long_for_ses_is_shortened_and_the_email_leaves(ses: ThreadedSimulator) -> None:
    name = "中" * 64
    answer = handler(request_event(senderOverride={"email": "billing@shop.example", "name": name}))
    assert answer["status"] == "sent"
    (message,) = ses.messages
    assert len(message.sender) <= 320
    ((words, _), *_) = decode_header(message.sender.partition(" <")[0])
    assert len(words.decode()) > 20
    assert name.startswith(words.decode())


@pytest.mark.parametrize(
    "media_type",
    [
        'text/calendar; charset="utf-8"; method=REQUEST',
        "text/calendar;  charset=utf-8",
        "text/calendar; charset=utf-8;",
    ],
)
def test_a_media_type_with_parameters_reaches_ses_as_it_is(ses: ThreadedSimulator, media_type: str) -> None:
    file = {"fileName": "invite.ics", "contentType": media_type, "content": "QkVHSU4="}
    assert handler(request_event(attachments=[file]))["status"] == "sent"
    assert ses.messages[0].attachments[0].content_type == media_type


@pytest.mark.parametrize("character", ["\n", "\r\n", "\t", "\u2028"])
def test_a_line_break_of_the_data_is_a_space_in_the_subject_and_refused_in_a_header(
    ses: ThreadedSimulator, character: str
) -> None:
    text = f"Ada{character}Lovelace"
    assert handler(request_event(templateData={"name": text}))["status"] == "sent"
    assert ses.messages[0].subject == "Welcome, Ada Lovelace"
    assert handler(request_event(headers={"X-Name": text}))["reason"]["code"] == "validation"
    assert len(ses.messages) == 1


def test_mail_with_characters_that_sqs_refuses_is_deferred_and_leaves_whole(
    cloud: Cloud, ses: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "A\ufffe\uffffda"
    ses.faults.set(throttle_next=1)
    monkeypatch.setattr("engine.delivery.lanes.wait_before", lambda *_: 0)
    assert handler(request_event(templateData={"name": name}))["status"] == "deferred"
    (body,) = cloud.messages(cloud.retry_queue)
    assert not set(body) & set(name[1:3])
    assert handler(queue_event(body)) == {"batchItemFailures": []}
    assert ses.messages[0].subject == f"Welcome, {name}"


def test_what_ses_finds_wrong_with_one_email_is_no_configuration_alarm(
    ses: ThreadedSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    file = {"fileName": "setup.exe", "contentType": "application/octet-stream", "content": "TVo="}
    answer = handler(request_event(attachments=[file]))
    assert answer["reason"]["code"] == "rejected"
    assert "BadRequestException" in answer["reason"]["message"]
    assert "ses-configuration-wrong" not in caplog.text
    assert not ses.messages


@pytest.mark.parametrize(
    "odd",
    [
        {"time": "0001-01-01T00:00:00+23:59"},
        {"time": "9999-12-31T23:59:59-23:59"},
        {"id": "\ud800"},
        {"source": "shop\udfff"},
    ],
    ids=repr,
)
def test_an_odd_envelope_is_unreadable_and_its_neighbour_goes_on(
    ses: ThreadedSimulator, odd: dict[str, str]
) -> None:
    with pytest.raises(UnreadableRecordError):
        handler(request_event() | odd)
    answer = handler(queue_event(request_event() | odd, request_event()))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}
    assert [message.to for message in ses.messages] == [("ada@example.com",)]


def test_forty_files_of_the_bucket_in_one_email_are_refused_before_any_is_read(
    cloud: Cloud, ses: ThreadedSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.s3.put_object(Bucket=cloud.bucket, Key="attachments/large", Body=bytes(20_000_000))
    caplog.clear()
    file = {"fileName": "a.bin", "contentType": "application/octet-stream", "s3Key": "attachments/large"}
    refused = handler(request_event(attachments=[file] * 40))
    assert refused["reason"] == {"code": "validation", "message": "attachments are 40; expected at most 20"}
    too_large = handler(request_event(attachments=[file] * 20))
    assert "would have 547,434,014 bytes once encoded" in too_large["reason"]["message"]
    assert re.findall(r'"(\w+) \S+/attachments/large', caplog.text) == ["HEAD"]
    assert not ses.messages


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


def test_stopped_mail_is_parked_whole_and_goes_when_the_brake_is_gone(
    cloud: Cloud, ses: ThreadedSimulator
) -> None:
    cloud.put("State", pk="stop#campaign#spring", because="wrong price")
    event = request_event(campaign="spring")
    assert handler(event)["status"] == "parked"
    batch = queue_event(
        request_event(campaign="spring", priority="bulk"), queue_arn=cloud.arn("BulkEmailQueue")
    )
    assert handler(batch) == {"batchItemFailures": []}
    assert not ses.messages
    cloud.dynamodb.delete_item(TableName=cloud.name("State"), Key={"pk": {"S": "stop#campaign#spring"}})
    parked = cloud.messages(cloud.parked_queue)
    assert event in [json.loads(body) for body in parked]
    for body in parked:  # one at a time: moto inserts no batches
        assert handler(queue_event(body)) == {"batchItemFailures": []}
    assert len(ses.messages) == 2


def test_a_cancelled_campaign_fails_with_its_reason(cloud: Cloud, ses: ThreadedSimulator) -> None:
    cloud.put("State", pk="cancel#campaign#spring", because="wrong price", by="ops")
    answer = handler(request_event(campaign="spring"))
    assert (answer["status"], answer["reason"]["code"]) == ("failed", "cancelled")
    assert "wrong price" in cloud.row()["failureReason"]
    assert not ses.messages


def test_who_has_unsubscribed_gets_no_newsletter_and_every_password_reset(
    cloud: Cloud, ses: ThreadedSimulator
) -> None:
    cloud.put_template("letter", WELCOME | {"metadata.json": '{"subject": "News", "topic": "news"}'})
    cloud.put("Suppression", email="news#ada@example.com", suppressionType="unsubscribe")
    refused = handler(request_event(templateName="letter"))
    assert (refused["status"], refused["reason"]["code"]) == ("failed", "unsubscribed")
    again = handler(request_event(templateName="letter", topic="news"))
    assert again["reason"]["code"] == "unsubscribed"
    assert [row["topic"] for row in cloud.rows()] == ["news", "news"]
    assert handler(request_event())["status"] == "sent"
    assert handler(request_event(templateName="letter", topic="offers"))["status"] == "sent"
    assert len(ses.messages) == 2


def test_an_email_that_has_expired_is_not_sent(cloud: Cloud, ses: ThreadedSimulator) -> None:
    answer = handler(request_event(expiresAt="2026-11-24T08:00:00+01:00"))
    assert (answer["status"], answer["reason"]["code"]) == ("failed", "expired")
    assert cloud.row()["failureCode"] == "expired"
    assert not ses.messages


def test_over_the_bounce_rate_the_bulk_lane_is_stopped_where_that_is_the_policy(
    cloud: Cloud, ses: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOUNCE_RATE_ACTION", "hold-bulk")
    for days in (0, 1):  # as midnight may come any moment
        day = datetime.now(UTC).date() + timedelta(days=days)
        cloud.put("State", pk=f"quota#{day}#0", sends=100, bounces=6)
    for _ in range(2):
        assert handler(queue_event(request_event(priority="bulk"))) == {"batchItemFailures": []}
    assert len(cloud.messages(cloud.parked_queue)) == 2
    (told,) = cloud.status_events()
    assert (told["action"], told["scope"], told["by"]) == ("stop", "bulk", "engine")
    assert handler(request_event())["status"] == "sent"
    assert len(ses.messages) == 1


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


@pytest.mark.parametrize("secret", [None, "{}"], ids=["no secret", "a secret of another shape"])
def test_mail_with_a_topic_waits_for_what_signs_its_link_and_a_password_reset_does_not(
    cloud: Cloud, ses: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch, secret: str | None
) -> None:
    secrets = boto3.client("secretsmanager", endpoint_url=cloud.endpoint)
    if secret:
        secrets.create_secret(Name=cloud.name("Unsubscribe"), SecretString=secret)
    monkeypatch.setenv("UNSUBSCRIBE_URL", "https://page.example/")
    monkeypatch.setenv("UNSUBSCRIBE_SECRET_ARN", cloud.name("Unsubscribe"))
    newsletter = request_event(topic="news", idempotencyKey="newsletter")
    answer = handler(newsletter)
    assert (answer["status"], answer["reason"]) == ("deferred", "service-unavailable")
    assert handler(request_event(idempotencyKey="reset"))["status"] == "sent"
    if secret:
        secrets.delete_secret(SecretId=cloud.name("Unsubscribe"), ForceDeleteWithoutRecovery=True)
    make_secret(cloud)
    assert handler(queue_event(newsletter)) == {"batchItemFailures": []}
    link = dict(ses.messages[-1].headers)["List-Unsubscribe"].strip("<>")
    assert LINKS.read(link.partition("?t=")[2]) == ADA
