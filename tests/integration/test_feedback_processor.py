"""The feedback function at its real edges: AWS's APIs behind moto, SES's reports from the simulator."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.support.cloud import Cloud, queue_event, request_event, sns_event
from tests.support.ses_notifications import TOPIC_VALIDATED, as_notification

from engine.feedback.pipeline import FeedbackFailed
from engine.handlers.email_sender import handler as send
from engine.handlers.feedback_processor import handler
from engine.local.ses import events
from engine.local.ses.mail_object import MailObject
from engine.local.ses.threaded import ThreadedSimulator

SIMULATOR = "simulator.amazonses.com"


def send_and_hear(ses: ThreadedSimulator, to: str, **more: Any) -> dict[str, Any]:
    """Send one email, and hand over all that SES reports of it; answers what the sender answered."""
    before = len(ses.events)
    answer: dict[str, Any] = send(request_event(to=to, **more))
    handler(sns_event(*(event.body for event in ses.events[before:])))
    return answer


@pytest.mark.parametrize(
    ("mailbox", "status", "suppressed"),
    [
        ("success", "delivered", None),
        ("open", "opened", None),
        ("click", "opened", None),
        ("bounce", "bounced", "hard-bounce"),
        ("suppressionlist", "bounced", "hard-bounce"),
        ("complaint", "complained", "complaint"),
        ("notspam", "delivered", None),
        ("ooto", "delivered", None),
        ("mailboxfull", "soft_bounced", None),
        ("undetermined", "soft_bounced", None),
        ("toolarge", "failed", None),
        ("reject", "failed", None),
        ("delay", "delivered", None),
        ("silent", "sent", None),
    ],
)
def test_what_ses_reports_moves_the_row_and_suppresses_whom_it_must(
    cloud: Cloud, ses: ThreadedSimulator, mailbox: str, status: str, suppressed: str | None
) -> None:
    send_and_hear(ses, f"{mailbox}+x@{SIMULATOR}")
    assert cloud.row()["status"] == status
    assert status in [event["status"] for event in cloud.status_events()]
    assert [item["reason"] for item in cloud.items("Suppression")] == ([suppressed] if suppressed else [])


@pytest.mark.usefixtures("cloud")
def test_a_hard_bounced_address_gets_no_more_mail(ses: ThreadedSimulator) -> None:
    send_and_hear(ses, "bounce@simulator.example.com")
    refused = send(request_event(to="Bounce@simulator.example.com"))
    assert refused["reason"]["code"] == "suppressed"
    assert len(ses.messages) == 1


def test_a_full_mailbox_is_tried_once_more_and_then_given_up(cloud: Cloud, ses: ThreadedSimulator) -> None:
    to = f"mailboxfull@{SIMULATOR}"
    first = send_and_hear(ses, to, cc=["bob@example.com"], metadata={"order": "7"})
    assert cloud.delayed(cloud.retry_queue) == 1
    message = {
        "originalEmailData": {
            "to": to,
            "templateName": "welcome",
            "templateData": {"name": "Ada"},
            "originalEmailId": first["emailId"],
            "metadata": {"order": "7"},
        },
        "retryAttempt": 1,
        "bounceHistory": [{"timestamp": "2026-11-24T08:00:00Z", "reason": "Transient MailboxFull"}],
    }
    before = len(ses.events)
    assert send(queue_event(message)) == {"batchItemFailures": []}
    handler(sns_event(*(event.body for event in ses.events[before:])))
    rows = {row["retryAttempt"]: row for row in cloud.rows()}
    assert rows[1]["diagnosticCode"].startswith("smtp; 552 5.2.2")
    assert (rows[0]["status"], rows[1]["status"]) == ("soft_bounced", "failed")
    assert rows[1]["failureCode"] == "soft-bounce-retry-failed"
    assert rows[1]["originalEmailId"] == first["emailId"]
    assert not cloud.items("Suppression")
    assert cloud.status_events()[-1]["metadata"] == {"order": "7"}
    assert send(request_event(to=to))["status"] == "sent"


def test_the_retry_message_is_the_one_of_the_description(
    cloud: Cloud, ses: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOFT_BOUNCE_RETRY_SECONDS", "0")
    first = send_and_hear(ses, f"mailboxfull@{SIMULATOR}", cc=["bob@example.com"])
    (body,) = cloud.messages(cloud.retry_queue)
    message = json.loads(body)
    assert message["retryAttempt"] == 1
    assert message["originalEmailData"]["originalEmailId"] == first["emailId"]
    assert message["originalEmailData"]["templateData"] == {"name": "Ada"}
    assert message["originalEmailData"]["cc"] == []
    assert message["bounceHistory"][0].keys() == {"timestamp", "reason"}


def test_the_fifteenth_soft_bounce_in_thirty_days_suppresses(cloud: Cloud, ses: ThreadedSimulator) -> None:
    to = f"mailboxfull@{SIMULATOR}"
    earlier = {f"earlier-{number}": int(time.time()) - number * 86_400 for number in range(14)}
    cloud.put("State", pk=f"soft-bounces#{to}", **earlier)
    send_and_hear(ses, to)
    (item,) = cloud.items("Suppression")
    assert (item["email"], item["reason"]) == (to, "soft-bounce-exceeded")
    assert cloud.delayed(cloud.retry_queue) == 0


def test_reports_without_our_tag_find_the_row_by_the_message_id(cloud: Cloud) -> None:
    send(request_event())
    mail = MailObject(message_id=cloud.row()["sesMessageId"], to=("ada@example.com",), configuration_set="")
    bounce = as_notification(events.bounce(mail, ["ada@example.com"], mail.sent_at))
    handler(sns_event(events.to_json(bounce)))
    assert cloud.row()["status"] == "bounced"


def test_a_bounce_of_mail_from_elsewhere_still_suppresses(cloud: Cloud) -> None:
    mail = MailObject(to=("a@example.com", "b@example.com"))
    handler(sns_event(events.to_json(events.bounce(mail, ["b@example.com"], mail.sent_at))))
    (item,) = cloud.items("Suppression")
    assert (item["email"], item["suppressionType"], item["reason"]) == (
        "b@example.com",
        "bounce",
        "hard-bounce",
    )
    assert (item["addedBy"], item["diagnosticCode"]) == ("feedback", "smtp; 550 5.1.1 user unknown")
    assert not cloud.rows()


@pytest.mark.usefixtures("cloud")
def test_what_ses_says_while_it_is_set_up_is_acknowledged() -> None:
    unheard_of = json.dumps({"eventType": "Teleported", "mail": {"messageId": "x"}})
    handler(sns_event(TOPIC_VALIDATED, unheard_of))


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("message", ["no JSON", '{"eventType": "Bounce", "mail": {"messageId": "x"}}'])
def test_what_cannot_be_read_raises_so_that_it_lands_in_the_dead_letter_queue(message: str) -> None:
    with pytest.raises(FeedbackFailed, match="1 of 1"):
        handler(sns_event(message))


def test_one_odd_value_of_a_report_does_not_take_the_good_recipients_along(
    cloud: Cloud, ses: ThreadedSimulator
) -> None:
    to, copy = "bounce+to@simulator.example.com", "bounce+copy@simulator.example.com"
    send(request_event(to=to, cc=[copy]))
    report = json.loads(ses.events[-1].body)
    report["mail"]["tags"]["number"] = 7
    report["bounce"]["bouncedRecipients"][:0] = [{"action": "failed"}, {"emailAddress": 7}]
    handler(sns_event(json.dumps(report)))
    assert {item["email"] for item in cloud.items("Suppression")} == {to, copy}
    assert cloud.row()["status"] == "bounced"


def on_failure(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What Lambda hands to the on-failure destination of the feedback function."""
    return {
        "version": "1.0",
        "timestamp": "2026-11-24T08:05:12.000Z",
        "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": payload,
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
    }


def undelivered(message: str) -> dict[str, Any]:
    """What SNS puts into the subscription's dead-letter queue: the notification it would have sent."""
    return {"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:1:topic", "Message": message}


@pytest.mark.parametrize(
    "brought_back",
    [
        lambda message: on_failure(sns_event(message)),
        undelivered,
        lambda message: queue_event(on_failure(sns_event(message))),
        lambda message: queue_event(undelivered(message)),
        queue_event,
    ],
    ids=["invoked with a record", "invoked with a notification", "a record", "a notification", "raw"],
)
def test_what_was_given_up_is_handled_when_it_is_brought_back_by_hand(
    cloud: Cloud, ses: ThreadedSimulator, brought_back: Callable[[str], dict[str, Any]]
) -> None:
    """By invoking the function, or by making the dead-letter queue its trigger."""
    send(request_event())
    handler(brought_back(ses.events[-1].body))
    assert cloud.row()["status"] == "delivered"


def test_a_dead_letter_that_can_not_be_read_keeps_no_other_back_and_fails_the_invocation(
    cloud: Cloud, ses: ThreadedSimulator
) -> None:
    send(request_event())
    letters = queue_event("no JSON", "[[[", {"requestPayload": None}, undelivered(ses.events[-1].body))
    with pytest.raises(FeedbackFailed, match="3 of 4"):
        handler(letters)
    assert cloud.row()["status"] == "delivered"


def test_a_failed_publish_raises_and_the_redelivery_publishes(
    cloud: Cloud, ses: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(request_event())
    cloud.status_events()
    notification: Mapping[str, Any] = sns_event(ses.events[-1].body)
    with monkeypatch.context() as broken:
        broken.setenv("EVENT_BUS_NAME", "no-such-bus")
        with pytest.raises(FeedbackFailed):
            handler(dict(notification))
    assert cloud.row()["status"] == "delivered"
    assert not cloud.status_events()
    handler(dict(notification))
    assert [event["status"] for event in cloud.status_events()] == ["delivered"]


def test_reports_of_another_topic_are_handled_and_noticed(
    cloud: Cloud, ses: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SES_FEEDBACK_TOPIC_ARN", "arn:aws:sns:eu-west-1:123456789012:ours")
    send(request_event())
    notification = sns_event(ses.events[-1].body)
    notification["Records"][0]["Sns"]["TopicArn"] = "arn:aws:sns:eu-west-1:123456789012:theirs"
    handler(notification)
    assert cloud.row()["status"] == "delivered"
    assert "foreign-topic" in caplog.text
