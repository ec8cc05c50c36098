"""Which emails share one call to SES."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from engine.aws.mailer import send_bulk_email_request
from engine.requests.email_job import from_event
from engine.schemas.envelopes import EventBridgeEvent
from engine.schemas.request import EmailRequest, Lane
from engine.sending.compose import AttachedFile, OutgoingMessage
from engine.sending.grouping import LARGEST_DATA, fits_a_shared_call, group_into_calls
from engine.sending.ports import LARGEST_CALL
from engine.sending.results import Email, Ready, new_row
from engine.sending.streams import Stream
from engine.templating.template import Template
from engine.tracking.claim import Lease

NOW = datetime(2026, 3, 2, tzinfo=UTC)

FILE = AttachedFile("a.txt", "text/plain", b"a", 1)


def an_email(number: int = 0, lane: Lane = Lane.BULK, **changes: Any) -> Ready:
    fields: dict[str, Any] = {
        "email_id": f"e{number}",
        "sender": "The Shop <no-reply@shop.example>",
        "to": f"{number}@example.com",
        "subject": f"Hello {number}",
        "html": f"<p>{number}</p>",
        "text": f"{number}",
    }
    message = OutgoingMessage(**(fields | changes))
    request = EmailRequest(to=message.to, template_name="welcome", priority=lane.value)
    job = from_event(EventBridgeEvent(id=message.email_id, detail=request), NOW)
    email = Email(number, job, new_row(job, Lease("claim", 0), now=NOW, retention_days=90))
    return Ready(email, request, message, Template("welcome", "0123456789abcdef"))


def ids(calls: list[list[Ready]]) -> list[list[str]]:
    return [[item.message.email_id for item in call] for call in calls]


def test_emails_of_the_bulk_lane_share_calls_in_order() -> None:
    emails = [an_email(number) for number in range(7)]
    assert ids(group_into_calls(emails, 3)) == [["e0", "e1", "e2"], ["e3", "e4", "e5"], ["e6"]]


def test_a_call_carries_as_many_as_ses_takes() -> None:
    calls = group_into_calls([an_email(number) for number in range(120)], LARGEST_CALL)
    assert [len(call) for call in calls] == [50, 50, 20]


def test_a_transactional_email_waits_for_no_other() -> None:
    emails = [an_email(number, Lane.TRANSACTIONAL) for number in range(3)]
    assert ids(group_into_calls(emails, 50)) == [["e0"], ["e1"], ["e2"]]


def test_a_largest_call_of_one_sends_each_alone() -> None:
    assert ids(group_into_calls([an_email(0), an_email(1)], 1)) == [["e0"], ["e1"]]


def test_lanes_and_emails_that_must_go_alone_do_not_part_the_others() -> None:
    emails = [an_email(0), an_email(1, Lane.TRANSACTIONAL), an_email(2, attachments=(FILE,)), an_email(3)]
    assert ids(group_into_calls(emails, 50)) == [["e0", "e3"], ["e1"], ["e2"]]


@pytest.mark.parametrize(
    "change",
    [{"sender": "other@shop.example"}, {"reply_to": ("help@shop.example",)}, {"html": None}, {"text": None}],
)
def test_what_a_call_says_once_must_be_the_same_for_all_its_emails(change: dict[str, Any]) -> None:
    emails = [an_email(0), an_email(1, **change), an_email(2), an_email(3, **change)]
    assert ids(group_into_calls(emails, 50)) == [["e0", "e2"], ["e1", "e3"]]


def test_what_each_email_says_for_itself_may_differ() -> None:
    emails = [
        an_email(0, headers=(("X-A", "1"),)),
        an_email(1, tags=(("campaign", "spring"),)),
        an_email(2, html=""),
        an_email(3, subject="other", text=""),
    ]
    assert len(group_into_calls(emails, 50)) == 1


@pytest.mark.parametrize(
    "change", [{"cc": ("c@example.com",)}, {"bcc": ("b@example.com",)}, {"attachments": (FILE,)}]
)
def test_an_email_with_copies_or_files_goes_alone(change: dict[str, Any]) -> None:
    assert not fits_a_shared_call(an_email(**change).message)


@pytest.mark.parametrize("character", ["a", '"', "\\", "\n", "\x01", "ä", "€", "😀", "<"])
def test_an_email_shares_a_call_as_long_as_its_data_fits_into_an_entry(character: str) -> None:
    """A control character takes six in JSON: a whole call would fail for one email that is full of them."""
    most = LARGEST_DATA // len(json.dumps(character, ensure_ascii=False)[1:-1].encode())
    small = an_email(html=character * (most - 100)).message
    assert fits_a_shared_call(small)
    assert _longest_data(small) <= LARGEST_DATA
    assert not fits_a_shared_call(an_email(html=character * (most + 1)).message)


def _longest_data(message: OutgoingMessage) -> int:
    (entry,) = send_bulk_email_request([message], Stream("set"))["BulkEmailEntries"]
    return len(entry["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"])


def test_subject_html_and_text_count_together() -> None:
    third = "a" * (LARGEST_DATA // 3)
    assert not fits_a_shared_call(an_email(subject=third, html=third, text=third).message)
    assert fits_a_shared_call(an_email(subject=third, html=third, text="a").message)


def test_nothing_makes_no_call() -> None:
    assert group_into_calls([], 50) == []
