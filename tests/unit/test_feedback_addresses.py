"""Whom a report is about: the recipient, a copy, a mailbox behind a forward, or mail of another system."""

from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.fakes import FakeAws
from tests.support.harness import feedback_pipeline
from tests.support.reported import (
    COPIED,
    DSN,
    FOREIGN,
    SENT,
    TO,
    TWO,
    after,
    earlier_bounces,
    the_row,
    world_with,
)
from tests.support.ses_examples import Event, bounce, event, notification, text

# -- whose mail it is ----------------------------------------------------------------------------------------


async def test_without_a_tag_the_row_is_found_by_the_ses_message_id() -> None:
    fake_aws = await after(notification("Bounce"))
    assert the_row(fake_aws).status == "bounced"


async def test_a_tag_without_a_row_falls_back_to_the_ses_message_id() -> None:
    fake_aws = await after(event("Delivery", mail_tags={"emailId": ["expired"]}))
    assert the_row(fake_aws).status == "delivered"


@pytest.mark.parametrize(
    ("foreign", "reason"),
    [(event("Bounce", **FOREIGN), "hard-bounce"), (event("Complaint", **FOREIGN), "complaint")],
)
async def test_mail_of_others_suppresses_all_the_same(foreign: Event, reason: str) -> None:
    fake_aws = await after(foreign)
    assert (fake_aws.suppression.rows[TO].reason, fake_aws.suppression.rows[TO].email_id) == (reason, None)
    assert (the_row(fake_aws), fake_aws.status_events.published, fake_aws.quota.bounces) == (SENT, [], {})
    assert fake_aws.telemetry.names == ["feedback-without-row"]


@pytest.mark.parametrize(
    "foreign",
    [
        event("Delivery", **FOREIGN),
        event("Delivery", mail_tags={}, mail_messageId=None),
        bounce("Transient", "MailboxFull", **DSN, **FOREIGN),
        event("Open", **FOREIGN),
    ],
)
async def test_anything_less_about_mail_of_others_is_acknowledged(foreign: Event) -> None:
    fake_aws = await after(foreign)
    assert (the_row(fake_aws), fake_aws.suppression.rows, fake_aws.retry_queue.retries) == (SENT, {}, [])


async def test_a_copy_that_bounces_is_suppressed_and_the_recipient_is_not_blamed() -> None:
    fake_aws = await after(event("Delivery"), bounce("Permanent", "NoEmail", to="C@x.org", **TWO), row=COPIED)
    assert the_row(fake_aws).status == "delivered"
    assert set(fake_aws.suppression.rows) == {"c@x.org"}
    assert fake_aws.quota.bounces == {"2026-03-02": 1}
    told = fake_aws.status_events.published[-1]
    assert (told.status, told.previous_status, told.to) == ("delivered", "delivered", TO)
    assert told.reason is not None
    assert told.reason.code == "copy-bounced"


async def test_a_row_that_does_not_know_of_its_copies_learns_it_from_the_event() -> None:
    fake_aws = await after(bounce("Permanent", "NoEmail", to="c@x.org", **TWO), row=SENT)
    assert (the_row(fake_aws).status, set(fake_aws.suppression.rows)) == ("sent", {"c@x.org"})


async def test_the_recipient_is_known_in_any_case_of_letters() -> None:
    fake_aws = await after(
        bounce("Permanent", "NoEmail", to="Ann <RECIPIENT@example.com>", **TWO), row=COPIED
    )
    assert (the_row(fake_aws).status, set(fake_aws.suppression.rows)) == ("bounced", {TO})


async def test_a_delivery_to_a_copy_says_nothing_about_the_recipient() -> None:
    fake_aws = await after(event("Delivery", recipients=["c@x.org"], **TWO), row=COPIED)
    assert (the_row(fake_aws).status, fake_aws.status_events.published) == ("sent", [])


async def test_everyone_affected_is_suppressed_each_on_their_own() -> None:
    both = [{"emailAddress": TO, "status": "5.1.1"}, {"emailAddress": "c@x.org", "status": "5.1.1"}]
    fake_aws = await after(event("Bounce", bouncedRecipients=both, **TWO), row=COPIED)
    assert set(fake_aws.suppression.rows) == {TO, "c@x.org"}
    assert fake_aws.quota.bounces == {"2026-03-02": 2}
    assert the_row(fake_aws).status == "bounced"


# -- one address, one key ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent_to", "named", "besides"),
    [
        (TO, "forwarded@elsewhere.org", {"forwarded@elsewhere.org"}),
        ("sales@example.com", "ann@example.com", {"ann@example.com"}),  # an alias
        ("ann+news@example.com", "ann@example.com", {"ann@example.com"}),
        (TO, "Ann <Recipient@Example.com>", set()),
        (TO, '"recipient"@example.com', set()),
        (TO, '"recipient@example.com"', set()),
        (TO, "rfc822;recipient@example.com", set()),
        (TO, "rfc822; Recipient@EXAMPLE.COM", set()),
        (TO, "undisclosed", set()),
        ("user@xn--bcher-kva.example", "user@bücher.example", set()),
        ("user@xn--bcher-kva.example", "rfc822;User@Bücher.example", set()),
    ],
)
async def test_the_only_recipient_of_an_email_is_the_one_who_bounced_whatever_the_report_calls_him(
    sent_to: str, named: str, besides: set[str]
) -> None:
    row = replace(SENT, to_email=sent_to)
    fake_aws = await after(bounce("Permanent", "NoEmail", to=named, mail_destination=[sent_to]), row=row)
    assert the_row(fake_aws).status == "bounced"
    assert set(fake_aws.suppression.rows) == {sent_to} | besides
    assert fake_aws.quota.bounces == {"2026-03-02": 1}


@pytest.mark.parametrize("named", ["forwarded@elsewhere.org", "rfc822;recipient@example.com", "undisclosed"])
async def test_his_soft_bounces_are_counted_whatever_the_report_calls_him(named: str) -> None:
    fake_aws = world_with(SENT, *earlier_bounces(14))
    await feedback_pipeline(fake_aws).process([text(bounce("Transient", "MailboxFull", to=named, **DSN))])
    assert fake_aws.suppression.rows[TO].reason == "soft-bounce-exceeded"


async def test_an_address_that_mail_of_others_went_to_alone_is_suppressed_with_the_one_named() -> None:
    foreign = bounce("Permanent", "NoEmail", to="behind@elsewhere.org", **FOREIGN)
    fake_aws = await after(foreign)
    assert set(fake_aws.suppression.rows) == {TO, "behind@elsewhere.org"}


async def test_a_copy_is_known_by_its_key_too() -> None:
    two = {"mail_destination": [TO, "c@xn--bcher-kva.example"]}
    fake_aws = await after(bounce("Permanent", "NoEmail", to="C@bücher.example", **two), row=COPIED)
    assert set(fake_aws.suppression.rows) == {"c@xn--bcher-kva.example"}
    assert told_codes(fake_aws) == ["copy-bounced"]


async def test_a_mailbox_that_an_email_to_several_was_forwarded_to_is_called_no_copy() -> None:
    """Whose mailbox it is nobody knows: it is suppressed alone."""
    fake_aws = await after(bounce("Permanent", "NoEmail", to="behind@elsewhere.org", **TWO), row=COPIED)
    assert (the_row(fake_aws).status, set(fake_aws.suppression.rows)) == ("sent", {"behind@elsewhere.org"})
    assert told_codes(fake_aws) == ["forward-bounced"]


def told_codes(fake_aws: FakeAws) -> list[str | None]:
    return [told.reason.code if told.reason else None for told in fake_aws.status_events.published]


async def test_a_row_of_an_older_version_is_compared_by_key_as_well() -> None:
    fake_aws = await after(event("Bounce", **TWO), row=replace(COPIED, to_email="Recipient@Example.com"))
    assert (the_row(fake_aws).status, set(fake_aws.suppression.rows)) == ("bounced", {TO})


async def test_a_suppressed_copy_that_was_left_out_leaves_one_recipient() -> None:
    """The row counts who was asked for, SES whom it sent to."""
    fake_aws = await after(bounce("Permanent", "NoEmail", to="behind@elsewhere.org"), row=COPIED)
    assert (the_row(fake_aws).status, set(fake_aws.suppression.rows)) == (
        "bounced",
        {TO, "behind@elsewhere.org"},
    )


async def test_where_the_report_does_not_say_to_whom_the_email_went_the_row_does() -> None:
    unknown = {"mail_destination": None}
    alone = await after(bounce("Permanent", "NoEmail", to="behind@elsewhere.org", **unknown))
    assert set(alone.suppression.rows) == {TO, "behind@elsewhere.org"}
    several = await after(bounce("Permanent", "NoEmail", to="behind@elsewhere.org", **unknown), row=COPIED)
    assert set(several.suppression.rows) == {"behind@elsewhere.org"}


async def test_of_several_what_is_no_address_suppresses_nobody() -> None:
    fake_aws = await after(bounce("Permanent", "NoEmail", to="undisclosed", **TWO), row=COPIED)
    assert fake_aws.suppression.rows == {}
    assert "address-unusable" in fake_aws.telemetry.names


@pytest.mark.parametrize("recipient", [{}, {"emailAddress": None}, {"emailAddress": "x" * 330 + "@x.org"}])
async def test_one_odd_recipient_does_not_take_the_good_ones_along(recipient: dict[str, Any]) -> None:
    both = [recipient, {"emailAddress": "c@x.org", "status": "5.1.1"}]
    fake_aws = await after(event("Bounce", bouncedRecipients=both, **TWO), row=COPIED)
    assert set(fake_aws.suppression.rows) == {"c@x.org"}
    assert "address-unusable" in fake_aws.telemetry.names
