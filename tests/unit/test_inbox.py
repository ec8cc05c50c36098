"""What the inbox knows about an email: rows, status, timeline, attempts."""

from typing import Any

import msgspec
import pytest
from tests.support.ses_requests import ManualClock, simple

from engine.local.inbox import Inbox
from engine.local.inbox.mail import MailQuery
from engine.local.inbox.timeline import moment
from engine.local.ses import Simulator
from engine.local.ses.wire import SendEmailRequest
from engine.schemas.status import EmailStatusChanged

RETRY_FAILED = {"code": "soft-bounce-retry-failed", "message": "The second attempt bounced, too."}


@pytest.fixture
def ses() -> Simulator:
    return Simulator(now=ManualClock())


@pytest.fixture
def inbox(ses: Simulator) -> Inbox:
    return Inbox(ses)


async def send(ses: Simulator, to: str = "ann@example.org", email_id: str = "e-1", **changes: Any) -> str:
    request = simple(
        Destination={"ToAddresses": [to]}, EmailTags=[{"Name": "emailId", "Value": email_id}], **changes
    )
    return await ses.send_email(msgspec.convert(request, SendEmailRequest))


def change(status: str, email_id: str = "e-1", **changes: Any) -> EmailStatusChanged:
    detail: dict[str, Any] = {
        "emailId": email_id,
        "originalEmailId": email_id,
        "to": "ann@example.org",
        "templateName": "welcome",
        "status": status,
        "previousStatus": None,
        "reason": None,
        "sesMessageId": None,
        "originalSource": "shop",
        "retryAttempt": 0,
        "timestamp": "2026-03-01T12:00:01.000Z",
        "metadata": {},
        "tags": {},
    }
    return msgspec.convert({**detail, **changes}, EmailStatusChanged)


def told(inbox: Inbox, key: str) -> list[tuple[str, str, str]]:
    mail = inbox.email(key)
    assert mail is not None
    return [(entry.who, entry.title, entry.about) for entry in mail.entries]


async def test_ses_and_the_engine_tell_one_story(ses: Simulator, inbox: Inbox) -> None:
    message_id = await send(ses)
    inbox.record_status(change("sent", timestamp="2026-03-01T12:00:00.000500Z"))
    inbox.record_status(change("delivered"))
    assert told(inbox, message_id) == [
        ("SES", "Accepted", "SendEmail answered with a message id"),
        ("SES", "Send", ""),
        ("Engine", "Sent", ""),
        ("SES", "Delivery", "250 2.6.0 Message received"),
        ("Engine", "Delivered", ""),
    ]


@pytest.mark.parametrize(
    ("outcome", "title", "about", "tone"),
    [
        ("bounce", "Bounce", "Permanent / General · smtp; 550 5.1.1 user unknown", "bad"),
        (
            "mailboxfull",
            "Bounce",
            "Transient / MailboxFull · smtp; 552 5.2.2 The email account is over quota",
            "warn",
        ),
        ("undetermined", "Bounce", "Undetermined / Undetermined", "warn"),
        ("complaint", "Complaint", "Feedback type abuse", "bad"),
        ("open", "Open", "", "best"),
        ("click", "Click", "https://www.example.com/", "best"),
        ("reject", "Reject", "Bad content", "bad"),
        ("unsubscribe", "Subscription", "Contact list ContactList", "quiet"),
    ],
)
async def test_every_event_says_what_matters_about_it(
    ses: Simulator, outcome: str, title: str, about: str, tone: str
) -> None:
    inbox = Inbox(ses)
    mail = inbox.email(await send(ses, f"{outcome}@simulator.example.com"))
    assert mail is not None
    last = mail.entries[-1]
    assert (last.title, last.about, last.tone) == (title, about, tone)
    assert f'"eventType": "{title}"' in last.raw


async def test_a_delay_says_until_when_ses_tries(ses: Simulator, inbox: Inbox) -> None:
    entries = told(inbox, await send(ses, "delay@simulator.example.com"))
    about = "TransientCommunicationFailure · SES tries until 2026-03-02T02:00:00.001Z"
    assert ("SES", "DeliveryDelay", about) in entries


async def test_a_rendering_failure_names_what_was_missing(ses: Simulator, inbox: Inbox) -> None:
    content = {"Template": {"TemplateContent": {"Text": "{{name}}"}, "TemplateData": "{}"}}
    message_id = await send(ses, Content=content)
    assert told(inbox, message_id)[-1][2] == "Attribute 'name' is not present in the rendering data."
    assert inbox.rows()[0].status == "failed"


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("success", "delivered"),
        ("silent", "sent"),
        ("open", "opened"),
        ("click", "opened"),
        ("bounce", "bounced"),
        ("mailboxfull", "soft_bounced"),
        ("ooto", "delivered"),
        ("complaint", "complained"),
        ("reject", "failed"),
        ("delay", "delivered"),
        ("unsubscribe", "delivered"),
    ],
)
async def test_without_the_engines_word_the_status_follows_from_the_events(
    ses: Simulator, inbox: Inbox, outcome: str, status: str
) -> None:
    await send(ses, f"{outcome}@simulator.example.com")
    assert inbox.rows()[0].status == status


async def test_the_engines_word_counts_and_never_goes_back(ses: Simulator, inbox: Inbox) -> None:
    await send(ses)
    inbox.record_status(change("opened"))
    inbox.record_status(change("delivered"))
    assert inbox.rows()[0].status == "opened"


async def test_an_accepted_message_without_events_is_sending(ses: Simulator, inbox: Inbox) -> None:
    await send(ses, ConfigurationSetName="")
    assert (inbox.rows()[0].status, inbox.rows()[0].tone) == ("sending", "quiet")


def test_an_email_that_was_never_sent_is_listed_with_its_reason(inbox: Inbox) -> None:
    reason = {"code": "suppressed", "message": "ann@example.org is suppressed."}
    inbox.record_status(change("failed", reason=reason))
    (row,) = inbox.rows()
    assert (row.key, row.to, row.status, row.subject) == ("e-1", ("ann@example.org",), "failed", "")
    assert row.reason == "suppressed: ann@example.org is suppressed."
    mail = inbox.email("e-1")
    assert mail is not None
    assert mail.message is None
    assert told(inbox, "e-1") == [("Engine", "Failed", "suppressed: ann@example.org is suppressed.")]


def test_a_dry_run_is_listed_as_one(inbox: Inbox) -> None:
    inbox.record_status(change("dry_run"))
    assert (inbox.rows()[0].status, inbox.rows()[0].label) == ("dry_run", "dry run")


async def test_a_refusal_becomes_a_message_when_the_email_is_sent_after_all(
    ses: Simulator, inbox: Inbox
) -> None:
    inbox.record_status(change("sent"))
    message_id = await send(ses)
    assert [row.key for row in inbox.rows()] == [message_id]
    # A page that was opened before, and what EmailClient has answered, lead to it all the same.
    email = inbox.email("e-1")
    assert email is not None
    assert email.row.key == message_id
    assert [row.key for row in inbox.rows("e-1")] == [message_id]


async def test_two_copies_of_one_email_are_two_rows(ses: Simulator, inbox: Inbox) -> None:
    await send(ses)
    await send(ses)
    assert len(inbox.rows()) == 2


async def test_attempts_at_one_email_know_each_other(ses: Simulator, inbox: Inbox) -> None:
    first = await send(ses, "mailboxfull@simulator.example.com", "e-1")
    inbox.record_status(change("soft_bounced"))
    second = await send(ses, "mailboxfull@simulator.example.com", "e-2")
    inbox.record_status(change("failed", "e-2", originalEmailId="e-1", retryAttempt=1, reason=RETRY_FAILED))
    other = await send(ses, "mailboxfull@simulator.example.com", "e-3")
    inbox.record_status(change("sent", "e-3"))
    one, two, three = (inbox.email(key) for key in (first, second, other))
    assert one is not None
    assert two is not None
    assert three is not None
    assert [row.key for row in one.attempts] == [second]
    assert [(row.key, row.attempt) for row in two.attempts] == [(first, 1)]
    assert two.row.attempt == 2
    assert three.attempts == []
    assert two.entries[-1].about.startswith("Attempt 2 · soft-bounce-retry-failed")


async def test_a_search_finds_every_word_anywhere_in_the_row(ses: Simulator, inbox: Inbox) -> None:
    await send(ses, "ann@example.org", "e-1")
    await send(ses, "bob@example.org", "e-2", simple={"Subject": {"Data": "Your invoice"}})
    inbox.record_status(change("delivered", "e-2", templateName="bill"))
    for search in ("invoice BOB", "bill", "delivered example.org your"):
        assert [row.to[0] for row in inbox.rows(search)][:1] == ["bob@example.org"]
    assert inbox.rows("invoice ann") == []
    assert (await inbox.find(MailQuery())).counts == {"delivered": 2}


async def test_rows_are_newest_first() -> None:
    clock = ManualClock()
    ses = Simulator(now=clock)
    inbox = Inbox(ses)
    await send(ses, email_id="e-1")
    clock.turn(1)
    await send(ses, email_id="e-2", simple={"Subject": {"Data": "newer"}})
    assert [row.subject for row in inbox.rows()] == ["newer", "Hello"]


async def test_only_the_newest_emails_are_kept(ses: Simulator) -> None:
    inbox = Inbox(ses, keep=2)
    ids = [await send(ses, email_id=f"e-{number}") for number in range(3)]
    for number in range(3):
        inbox.record_status(change("sent", f"e-{number}"))
    assert {row.key for row in inbox.rows()} == set(ids[1:])
    assert inbox.email(ids[0]) is None
    await ses.report(ids[0], "bounce")
    assert inbox.email(ids[0]) is None


async def test_attempts_that_were_forgotten_are_left_out(ses: Simulator) -> None:
    inbox = Inbox(ses, keep=1)
    await send(ses, email_id="e-1")
    message_id = await send(ses, email_id="e-1")
    inbox.record_status(change("sent"))
    mail = inbox.email(message_id)
    assert mail is not None
    assert mail.attempts == []


async def test_watchers_are_told_of_messages_events_and_statuses(ses: Simulator, inbox: Inbox) -> None:
    with inbox.watchers.watch() as changed:
        await send(ses)
        assert changed.is_set()
        changed.clear()
        inbox.record_status(change("sent"))
        assert changed.is_set()
    changed.clear()
    inbox.watchers.wake()
    assert not changed.is_set()


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00+00:00"),
        ("2026-03-01T12:00:00", "2026-03-01T12:00:00+00:00"),
        ("2026-03-01T13:00:00+01:00", "2026-03-01T12:00:00+00:00"),
        ("yesterday", "1970-01-01T00:00:00+00:00"),
        ("0001-01-01T00:00:00+23:59", "1970-01-01T00:00:00+00:00"),
    ],
)
def test_times_are_read_leniently(text: str, iso: str) -> None:
    assert moment(text).isoformat() == iso
