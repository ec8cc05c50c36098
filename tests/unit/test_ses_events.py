"""The events SES publishes: their form, who gets which, when and how often."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.support.ses_notifications import as_notification
from tests.support.ses_requests import ManualClock, simple

from engine.local.ses import Account, Message, Simulator, events, lifelike, on_release
from engine.local.ses.mail_object import MailObject
from engine.local.ses.message import bare_address, domain_of
from engine.local.ses.outcomes import OUTCOMES, SIMULATOR_DOMAINS, outcome_name
from engine.local.ses.outgoing import at_once
from engine.local.ses.wire import SendEmailRequest

MAIL = MailObject(tags={"emailId": "e-1"})
NOW = datetime(2026, 1, 12, 1, 0, 20, tzinfo=UTC)
TO = ("Ann <ann@example.org>",)


class Topic:
    """Keeps what was published, as SNS would."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    async def publish(self, message: str) -> None:
        self.messages.append(message)


class Arrivals:
    """Waits, by being told, for an event to be published."""

    def __init__(self, ses: Simulator) -> None:
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        ses.listen(self._take)

    def _take(self, news: Any) -> None:
        if not isinstance(news, Message):
            self._queue.put_nowait(news.event_type)

    async def until(self, kind: str) -> None:
        while await self._queue.get() != kind:
            pass


def request(*to: str, **changes: Any) -> SendEmailRequest:
    return msgspec.convert(simple(Destination={"ToAddresses": list(to)}, **changes), SendEmailRequest)


def kinds(happened: Sequence[Any]) -> list[str]:
    return [event.event_type for event in happened]


def test_a_bounce_has_every_field_that_ses_documents() -> None:
    assert events.bounce(MAIL, TO, NOW) == {
        "eventType": "Bounce",
        "bounce": {
            "feedbackId": "0100019bafb7d8a0-777bc8de-afa7-4970-92b0-f515137b1497-000001",
            "bounceType": "Permanent",
            "bounceSubType": "General",
            "bouncedRecipients": [
                {
                    "emailAddress": "ann@example.org",
                    "action": "failed",
                    "status": "5.1.1",
                    "diagnosticCode": "smtp; 550 5.1.1 user unknown",
                }
            ],
            "timestamp": "2026-01-12T01:00:20.000Z",
            "reportingMTA": "dns; a8-70.smtp-out.amazonses.com",
        },
        "mail": {
            "timestamp": "2026-01-12T01:00:14.340Z",
            "source": "Sender Name <sender@example.com>",
            "sourceArn": "arn:aws:ses:us-east-1:123456789012:identity/example.com",
            "sendingAccountId": "123456789012",
            "messageId": "0100017e4bccb684-777bc8de-afa7-4970-92b0-f515137b1497-000000",
            "destination": ["recipient@example.com"],
            "headersTruncated": False,
            "headers": [
                {"name": "From", "value": "Sender Name <sender@example.com>"},
                {"name": "To", "value": "recipient@example.com"},
                {"name": "Subject", "value": "Message sent from Amazon SES"},
                {"name": "MIME-Version", "value": "1.0"},
            ],
            "commonHeaders": {
                "from": ["Sender Name <sender@example.com>"],
                "to": ["recipient@example.com"],
                "messageId": "0100017e4bccb684-777bc8de-afa7-4970-92b0-f515137b1497-000000",
                "subject": "Message sent from Amazon SES",
            },
            "tags": {
                "ses:operation": ["SendEmail"],
                "ses:configuration-set": ["ConfigSet"],
                "ses:source-ip": ["192.0.2.0"],
                "ses:from-domain": ["example.com"],
                "ses:caller-identity": ["ses_user"],
                "emailId": ["e-1"],
            },
        },
    }


@pytest.mark.parametrize(
    ("event", "kind", "body"),
    [
        (events.send(MAIL), "Send", {"send": {}}),
        (events.reject(MAIL), "Reject", {"reject": {"reason": "Bad content"}}),
        (
            events.delivery(MAIL, TO, NOW),
            "Delivery",
            {
                "delivery": {
                    "timestamp": "2026-01-12T01:00:20.000Z",
                    "processingTimeMillis": 5660,
                    "recipients": ["ann@example.org"],
                    "smtpResponse": "250 2.6.0 Message received",
                    "reportingMTA": "a8-70.smtp-out.amazonses.com",
                }
            },
        ),
        (
            events.complaint(MAIL, TO, NOW),
            "Complaint",
            {
                "complaint": {
                    "feedbackId": "0100019bafb7d8a0-777bc8de-afa7-4970-92b0-f515137b1497-000000",
                    "complaintSubType": None,
                    "complainedRecipients": [{"emailAddress": "ann@example.org"}],
                    "timestamp": "2026-01-12T01:00:20.000Z",
                    "userAgent": "Amazon SES Mailbox Simulator",
                    "complaintFeedbackType": "abuse",
                    "arrivalDate": "2026-01-12T01:00:20.000Z",
                }
            },
        ),
        (
            events.rendering_failure(MAIL, error="Attribute 'a' is not present.", template="T"),
            "Rendering Failure",
            {"failure": {"errorMessage": "Attribute 'a' is not present.", "templateName": "T"}},
        ),
        (
            events.delivery_delay(MAIL, TO, NOW),
            "DeliveryDelay",
            {
                "deliveryDelay": {
                    "timestamp": "2026-01-12T01:00:20.000Z",
                    "delayType": "TransientCommunicationFailure",
                    "expirationTime": "2026-01-12T15:00:20.000Z",
                    "delayedRecipients": [
                        {
                            "emailAddress": "ann@example.org",
                            "status": "4.4.1",
                            "diagnosticCode": "smtp; 421 4.4.1 Unable to connect to remote host",
                        }
                    ],
                }
            },
        ),
        (
            events.subscription(MAIL, NOW),
            "Subscription",
            {
                "subscription": {
                    "contactList": "ContactList",
                    "timestamp": "2026-01-12T01:00:20.000Z",
                    "source": "UnsubscribeHeader",
                    "newTopicPreferences": {
                        "unsubscribeAll": True,
                        "topicSubscriptionStatus": [{"topicName": "Topic", "subscriptionStatus": "OptOut"}],
                    },
                    "oldTopicPreferences": {
                        "unsubscribeAll": False,
                        "topicSubscriptionStatus": [{"topicName": "Topic", "subscriptionStatus": "OptIn"}],
                    },
                }
            },
        ),
    ],
)
def test_each_event_type_names_its_body_as_ses_does(event: Any, kind: str, body: Any) -> None:
    assert event["eventType"] == kind
    assert {name: value for name, value in event.items() if name not in {"eventType", "mail"}} == body
    assert event["mail"]["tags"]["emailId"] == ["e-1"]


def test_opens_and_clicks_say_who_read_and_what_was_followed() -> None:
    opened = events.open_(MAIL, NOW)["open"]
    assert set(opened) == {"ipAddress", "timestamp", "userAgent"}
    clicked = events.click(MAIL, NOW, link="https://x.io/a", link_tags={"where": ["footer"]})["click"]
    assert (clicked["link"], clicked["linkTags"]) == ("https://x.io/a", {"where": ["footer"]})
    assert events.click(MAIL, NOW)["click"]["linkTags"] is None


def test_feedback_may_come_without_a_report_from_the_other_side() -> None:
    bounce = events.bounce(MAIL, TO, NOW, bounce_type="Transient", status=None)["bounce"]
    assert bounce["bouncedRecipients"] == [{"emailAddress": "ann@example.org"}]
    assert "reportingMTA" not in bounce
    complaint = events.complaint(MAIL, TO, NOW, feedback_type=None, subtype="OnAccountSuppressionList")
    assert set(complaint["complaint"]) == {
        "feedbackId",
        "complaintSubType",
        "complainedRecipients",
        "timestamp",
    }
    assert complaint["complaint"]["complaintSubType"] == "OnAccountSuppressionList"


def test_the_mail_object_lists_all_recipients_and_custom_headers() -> None:
    mail = MailObject(cc=("C <c@x.io>",), bcc=("b@x.io",), reply_to=("r@x.io",), headers=(("X-A", "1"),))
    sent = events.send(mail)["mail"]
    assert sent["destination"] == ["recipient@example.com", "c@x.io", "b@x.io"]
    assert sent["commonHeaders"]["cc"] == ["C <c@x.io>"]
    assert sent["commonHeaders"]["replyTo"] == ["r@x.io"]
    assert {"name": "X-A", "value": "1"} in sent["headers"]
    assert not [header for header in sent["headers"] if header["name"] == "Bcc"]


@pytest.mark.parametrize("with_headers", [False, True])
def test_an_identity_notification_has_no_tags_and_headers_only_on_request(*, with_headers: bool) -> None:
    notification = as_notification(events.bounce(MAIL, TO, NOW), with_headers=with_headers)
    assert notification["notificationType"] == "Bounce"
    assert "eventType" not in notification
    assert "tags" not in notification["mail"]
    assert ("headers" in notification["mail"]) is with_headers
    assert notification["mail"]["sourceIp"] == "192.0.2.0"
    assert notification["bounce"]["remoteMtaIp"] == "127.0.2.0"


def test_a_complaint_notification_does_not_know_the_remote_server() -> None:
    notification = as_notification(events.complaint(MAIL, TO, NOW))
    assert "remoteMtaIp" not in notification["complaint"]


def test_identities_have_no_notification_for_opens() -> None:
    with pytest.raises(ValueError, match="only Bounce, Complaint and Delivery"):
        as_notification(events.open_(MAIL, NOW))


@pytest.mark.parametrize(
    ("name", "happens"),
    [
        ("success", ["Delivery"]),
        ("bounce", ["Bounce Permanent/General"]),
        ("ooto", ["Delivery", "Bounce Transient/General"]),
        ("complaint", ["Delivery", "Complaint abuse"]),
        ("suppressionlist", ["Bounce Permanent/Suppressed"]),
        ("open", ["Delivery", "Open"]),
        ("click", ["Delivery", "Open", "Click"]),
        ("unsubscribe", ["Delivery", "Subscription"]),
        ("notspam", ["Delivery", "Complaint not-spam"]),
        ("noemail", ["Bounce Permanent/NoEmail"]),
        ("accountsuppressed", ["Bounce Permanent/OnAccountSuppressionList"]),
        ("softbounce", ["Bounce Transient/General"]),
        ("mailboxfull", ["Bounce Transient/MailboxFull"]),
        ("toolarge", ["Bounce Transient/MessageTooLarge"]),
        ("timeout", ["Bounce Transient/CustomTimeoutExceeded"]),
        ("contentrejected", ["Bounce Transient/ContentRejected"]),
        ("attachmentrejected", ["Bounce Transient/AttachmentRejected"]),
        ("undetermined", ["Bounce Undetermined/Undetermined"]),
        ("delay", ["DeliveryDelay", "Delivery"]),
        ("reject", ["Reject"]),
        ("silent", []),
    ],
)
@pytest.mark.parametrize("domain", sorted(SIMULATOR_DOMAINS))
async def test_the_address_decides_the_fate_with_any_label(
    name: str, happens: list[str], domain: str
) -> None:
    ses = Simulator(now=ManualClock())
    await ses.send_email(request(f"{name}+Label-1@{domain}"))
    assert [described(event.document()) for event in ses.events] == ["Send", *happens]


def described(event: Any) -> str:
    kind = str(event["eventType"])
    if kind == "Bounce":
        return f"Bounce {event['bounce']['bounceType']}/{event['bounce']['bounceSubType']}"
    return f"Complaint {event['complaint']['complaintFeedbackType']}" if kind == "Complaint" else kind


def test_every_fate_is_reached_by_its_name() -> None:
    assert {outcome_name(f"{name}@simulator.example.com") for name in OUTCOMES} == set(OUTCOMES)


@pytest.mark.parametrize("address", ["bounce@example.org", "nobody@simulator.amazonses.com"])
async def test_every_other_address_is_delivered(address: str) -> None:
    ses = Simulator()
    await ses.send_email(request(address))
    assert kinds(ses.events) == ["Send", "Delivery"]


@pytest.mark.parametrize(("name", "failures"), [("recovers", 1), ("fulltwice", 2)])
async def test_a_recovering_address_fails_at_first(name: str, failures: int) -> None:
    ses = Simulator()
    for _ in range(failures + 1):
        await ses.send_email(request(f"{name}+a@simulator.example.com"))
    await ses.send_email(request(f"{name}+b@simulator.example.com"))
    assert kinds(ses.events) == [*["Send", "Bounce"] * failures, "Send", "Delivery", "Send", "Bounce"]


async def test_a_full_mailbox_is_a_soft_bounce_with_a_permanent_code() -> None:
    ses = Simulator()
    await ses.send_email(request("mailboxfull@simulator.example.com"))
    bounce = ses.events[-1].document()["bounce"]
    assert (bounce["bounceType"], bounce["bounceSubType"]) == ("Transient", "MailboxFull")
    assert bounce["bouncedRecipients"][0]["status"] == "5.2.2"


async def test_recipients_with_one_fate_share_an_event() -> None:
    ses = Simulator()
    everyone = ("a@x.io", "bounce@simulator.example.com", "Bea <b@x.io>")
    await ses.send_email(request(*everyone))
    sent, delivered, bounced = [event.document() for event in ses.events]
    assert sent["mail"]["destination"] == ["a@x.io", "bounce@simulator.example.com", "b@x.io"]
    assert delivered["delivery"]["recipients"] == ["a@x.io", "b@x.io"]
    assert [one["emailAddress"] for one in bounced["bounce"]["bouncedRecipients"]] == [
        "bounce@simulator.example.com"
    ]


async def test_without_a_configuration_set_nothing_is_published() -> None:
    ses = Simulator()
    await ses.send_email(request("a@x.io", ConfigurationSetName=""))
    assert (len(ses.messages), ses.events) == (1, ())


async def test_events_carry_the_message_the_account_and_rising_times() -> None:
    topic = Topic()
    ses = Simulator(
        Account(account_id="000000000000", region="eu-west-1"), publish=topic.publish, now=ManualClock()
    )
    message_id = await ses.send_email(request("open@simulator.example.com"))
    published = [json.loads(message) for message in topic.messages]
    assert {event["mail"]["messageId"] for event in published} == {message_id}
    arn = "arn:aws:ses:eu-west-1:000000000000:identity/example.com"
    assert {event["mail"]["sourceArn"] for event in published} == {arn}
    assert published[1]["delivery"]["timestamp"] < published[2]["open"]["timestamp"]
    assert [event.body for event in ses.events] == topic.messages


async def test_a_topic_out_of_reach_does_not_lose_the_message(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_message: str) -> None:
        raise ConnectionError("no topic")

    ses = Simulator(publish=broken)
    await ses.send_email(request("a@x.io"))
    assert kinds(ses.events) == ["Send", "Delivery"]
    assert "The Send event of" in caplog.text


async def test_events_may_wait_for_their_release_in_either_order() -> None:
    ses = Simulator(schedule=on_release)
    await ses.send_email(request("open@simulator.example.com"))
    assert (kinds(ses.events), kinds(ses.held)) == ([], ["Send", "Delivery", "Open"])
    assert await ses.release(1) == 1
    assert await ses.release(newest_first=True) == 2
    assert await ses.release() == 0
    assert kinds(ses.events) == ["Send", "Open", "Delivery"]


async def test_faults_repeat_reverse_lose_and_hold_events() -> None:
    ses = Simulator(now=ManualClock())
    ses.faults.set(event_copies=2, events_reversed=True, events_lost=["Open"])
    await ses.send_email(request("open@simulator.example.com"))
    assert kinds(ses.events) == ["Delivery", "Delivery", "Send", "Send"]
    assert ses.events[0].body == ses.events[1].body
    assert ses.events[0].at > ses.events[2].at
    ses.faults.set(event_copies=1, events_held=True)
    await ses.send_email(request("a@x.io"))
    assert kinds(ses.held) == ["Delivery", "Send"]


async def test_delayed_events_come_by_themselves() -> None:
    ses = Simulator(schedule=lambda kind: 0.001 if kind == "Delivery" else 0.0, now=ManualClock())
    arrived = Arrivals(ses)
    await ses.send_email(request("a@x.io"))
    assert kinds(ses.events) == ["Send"]
    await arrived.until("Delivery")
    assert ses.events[1].at - ses.events[0].at == timedelta(milliseconds=2)


async def test_a_late_event_keeps_its_own_time() -> None:
    ses = Simulator(now=ManualClock())
    ses.faults.set(event_late_seconds=0.001)
    arrived = Arrivals(ses)
    await ses.send_email(request("a@x.io"))
    assert kinds(ses.events) == []
    await arrived.until("Delivery")
    assert ses.events[0].at == ManualClock()()


async def test_closing_forgets_events_that_were_still_to_come() -> None:
    ses = Simulator(schedule=lambda _kind: 3600.0)
    await ses.send_email(request("a@x.io"))
    await ses.aclose()
    assert ses.events == ()


async def test_any_fate_can_be_reported_for_a_message_later() -> None:
    ses = Simulator()
    message_id = await ses.send_email(request("a@x.io"))
    await ses.report(message_id, "mailboxfull")
    await ses.report(message_id, "complaint")
    await ses.report(message_id, "success")
    assert kinds(ses.events) == ["Send", "Delivery", "Bounce", "Complaint", "Delivery"]
    with pytest.raises(KeyError):
        await ses.report(message_id, "teleport")
    with pytest.raises(KeyError):
        await ses.report("unknown", "bounce")


def test_delays_for_people_keep_a_plausible_order() -> None:
    order = [lifelike(kind) for kind in ("Send", "Delivery", "Complaint", "Open", "Click")]
    assert order == sorted(order, key=lambda delay: delay or 0)
    assert (at_once("Send"), on_release("Send")) == (0.0, None)


@pytest.mark.parametrize(
    ("mailbox", "address"),
    [("a@x.io", "a@x.io"), ('"A, B" <a@X.io>', "a@X.io"), (" a@x.io ", "a@x.io"), ("<>", "<>")],
)
def test_addresses_are_taken_out_of_mailboxes(mailbox: str, address: str) -> None:
    assert bare_address(mailbox) == address


def test_domains_are_compared_in_lower_case() -> None:
    assert domain_of("A <a@Example.COM>") == "example.com"
