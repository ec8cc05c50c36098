"""What SES reports becomes status, suppression, retry and event: nothing is lost, nobody else blamed."""

import json

import pytest
from msgspec.structs import replace
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
from tests.support.ses_examples import (
    EMAIL_ID,
    GREETING,
    MESSAGE_ID,
    Event,
    bounce,
    event,
    notification,
    text,
)

from engine.feedback.pipeline import FeedbackFailed
from engine.requests.email_job import retry_id
from engine.schemas.rows import SuppressionRow

LABELS = {"lane": "bulk", "template": "welcome", "campaign": "spring"}


# -- statuses and their events -------------------------------------------------------------------------------


async def test_a_delivery_moves_the_row_and_is_told() -> None:
    fake_aws = await after(event("Delivery"))
    row = the_row(fake_aws)
    assert (row.status, row.delivered_at) == ("delivered", "2026-03-02T09:40:13.905Z")
    (told,) = fake_aws.status_events.published
    assert (told.status, told.previous_status, told.reason) == ("delivered", "sent", None)
    assert (told.email_id, told.original_email_id, told.to) == (EMAIL_ID, EMAIL_ID, TO)
    assert (told.template_name, told.original_source) == ("welcome", "com.example.shop")
    assert (told.ses_message_id, told.retry_attempt) == (MESSAGE_ID, 0)
    assert told.timestamp == "2026-03-02T09:40:13.905Z"
    assert (told.metadata, told.tags) == ({"order": "42"}, {"kind": "news"})
    assert told.campaign == "spring"


async def test_a_send_settles_an_outcome_that_nobody_knew() -> None:
    sending = replace(
        SENT, status="sending", status_rank=0, ses_message_id=None, sent_at=None, lease_until=1.0
    )
    fake_aws = await after(event("Send"), row=sending)
    row = the_row(fake_aws)
    assert (row.status, row.ses_message_id, row.lease_until) == ("sent", MESSAGE_ID, None)
    assert fake_aws.status_events.statuses() == ["sent"]
    assert fake_aws.status_events.published[0].previous_status == "sending"


async def test_a_send_of_a_row_that_knows_it_is_no_news() -> None:
    fake_aws = await after(event("Send"))
    assert fake_aws.status_events.published == []


async def test_a_delivery_alone_settles_an_unknown_outcome_too() -> None:
    fake_aws = await after(event("Delivery"), row=replace(SENT, status="sending", status_rank=0))
    assert fake_aws.status_events.statuses() == ["delivered"]


async def test_a_delay_of_an_email_whose_outcome_nobody_knew_proves_that_it_was_sent() -> None:
    fake_aws = await after(event("DeliveryDelay"), row=replace(SENT, status="sending", status_rank=0))
    assert the_row(fake_aws).status == "sent"
    codes = [told.reason and told.reason.code for told in fake_aws.status_events.published]
    assert (fake_aws.status_events.statuses(), codes) == (["sent", "sent"], [None, "delivery-delayed"])


async def test_an_open_of_an_email_that_is_still_sent_opens_it() -> None:
    fake_aws = await after(event("Open"), event("Delivery"))
    assert the_row(fake_aws).status == "opened"
    assert fake_aws.status_events.statuses() == ["opened"]


async def test_the_first_open_and_the_first_click_are_kept() -> None:
    later = event("Open", timestamp="2026-03-05T00:00:00.000Z")
    again = event("Click", timestamp="2026-03-06T00:00:00.000Z")
    fake_aws = await after(event("Open"), later, event("Click"), again)
    row = the_row(fake_aws)
    assert (row.opened_at, row.clicked_at) == ("2026-03-02T09:50:19.652Z", "2026-03-02T09:51:25.570Z")
    assert fake_aws.status_events.statuses() == ["opened"]


async def test_an_open_after_a_complaint_is_still_dated() -> None:
    fake_aws = await after(event("Complaint"), event("Open"))
    assert (the_row(fake_aws).status, the_row(fake_aws).opened_at) == (
        "complained",
        "2026-03-02T09:50:19.652Z",
    )


async def test_an_open_writes_its_time_only_once() -> None:
    seen: list[str] = []

    async def watch(point: str) -> None:
        seen.append(point)

    fake_aws = world_with(SENT)
    fake_aws.switch(watch)
    await feedback_pipeline(fake_aws).process([text(event("Open"))])
    assert "ledger.note:before" not in seen


@pytest.mark.parametrize(
    ("kind", "code"), [("Reject", "rejected"), ("Rendering Failure", "rendering-failure")]
)
async def test_what_ses_drops_fails_with_its_code(kind: str, code: str) -> None:
    fake_aws = await after(event(kind))
    row = the_row(fake_aws)
    assert (row.status, row.failure_code) == ("failed", code)
    (told,) = fake_aws.status_events.published
    assert told.reason is not None
    assert (told.reason.code, told.reason.message) == (code, row.failure_reason)


async def test_a_delay_is_noted_and_told_with_the_status_as_it_is() -> None:
    fake_aws = await after(event("DeliveryDelay"))
    row = the_row(fake_aws)
    assert (row.status, row.delay_type) == ("sent", "TransientCommunicationFailure")
    assert row.delay_expires_at == "2026-03-02T23:55:40.914Z"
    (told,) = fake_aws.status_events.published
    assert (told.status, told.previous_status) == ("sent", "sent")
    assert told.reason is not None
    assert told.reason.code == "delivery-delayed"


async def test_a_subscription_is_noted_only() -> None:
    fake_aws = await after(event("Subscription"))
    assert the_row(fake_aws).subscription_changed_at == "2026-03-02T10:00:17.910Z"
    assert (fake_aws.status_events.published, fake_aws.suppression.rows) == ([], {})


async def test_rank_never_goes_down() -> None:
    fake_aws = await after(event("Bounce"), event("Delivery"), event("Open"), event("Send"))
    assert the_row(fake_aws).status == "bounced"
    assert fake_aws.status_events.statuses() == ["bounced"]


# -- hard bounces and complaints -----------------------------------------------------------------------------


async def test_a_hard_bounce_suppresses_counts_and_is_told() -> None:
    fake_aws = await after(event("Bounce"))
    row = the_row(fake_aws)
    assert (row.status, row.bounce_type, row.bounce_sub_type) == ("bounced", "Permanent", "General")
    assert row.diagnostic_code == "smtp; 550 5.1.1 user unknown"
    assert fake_aws.suppression.rows == {
        TO: SuppressionRow(
            email=TO,
            suppression_type="bounce",
            reason="hard-bounce",
            added_to_suppression_date="2026-03-02T09:30:00.000Z",
            email_id=EMAIL_ID,
            diagnostic_code="smtp; 550 5.1.1 user unknown",
            added_by="feedback",
        )
    }
    assert fake_aws.quota.bounces == {"2026-03-02": 1}
    (told,) = fake_aws.status_events.published
    assert told.reason is not None
    assert told.reason.code == "hard-bounce"


async def test_a_bounce_counts_for_the_day_the_email_was_sent() -> None:
    fake_aws = await after(event("Bounce"), row=replace(SENT, sent_at="2026-02-28T23:59:59.999Z"))
    assert fake_aws.quota.bounces == {"2026-02-28": 1}


@pytest.mark.parametrize(
    ("timestamp", "day"),
    [
        ("2026-02-27T00:00:00.000Z", "2026-02-27"),
        ("unknown", "2026-03-02"),
        ("9999-12-31T23:59:59.000Z", "2026-03-02"),
    ],
)
async def test_where_that_is_unknown_the_request_or_the_bounce_gives_the_day(
    timestamp: str, day: str
) -> None:
    fake_aws = await after(event("Bounce"), row=replace(SENT, sent_at=None, timestamp=timestamp))
    assert fake_aws.quota.bounces == {day: 1}


async def test_the_mailbox_simulator_is_suppressed_but_not_counted() -> None:
    address = "bounce+1@simulator.amazonses.com"
    row = replace(SENT, to_email=address)
    fake_aws = await after(bounce("Permanent", "General", to=address), row=row)
    assert (the_row(fake_aws).status, fake_aws.quota.bounces) == ("bounced", {})


@pytest.mark.parametrize(
    "subtype", ["OnAccountSuppressionList", "OnTenantSuppressionList", "UnsubscribedRecipient"]
)
async def test_a_bounce_for_one_of_ses_lists_is_suppressed_but_not_counted(subtype: str) -> None:
    """8 of 110 would stop all mail; SES does not count them either."""
    fake_aws = await after(bounce("Permanent", subtype))
    assert (the_row(fake_aws).status, fake_aws.quota.bounces) == ("bounced", {})
    assert fake_aws.suppression.rows[TO].reason == "ses-list"


async def test_a_complaint_suppresses_and_is_told() -> None:
    fake_aws = await after(event("Delivery"), event("Complaint"))
    assert the_row(fake_aws).status == "complained"
    assert fake_aws.suppression.rows[TO].suppression_type == "complaint"
    assert fake_aws.suppression.rows[TO].reason == "complaint"
    assert fake_aws.status_events.statuses() == ["delivered", "complained"]


async def test_not_spam_changes_nothing() -> None:
    fake_aws = await after(event("Complaint", complaintFeedbackType="not-spam"))
    assert (the_row(fake_aws).status, fake_aws.suppression.rows) == ("sent", {})
    assert the_row(fake_aws).not_spam_at is not None


async def test_a_suppressed_address_keeps_its_first_reason() -> None:
    fake_aws = world_with(SENT)
    fake_aws.suppression.rows[TO] = SuppressionRow(email=TO, reason="asked by phone")
    await feedback_pipeline(fake_aws).process([text(event("Bounce"))])
    assert fake_aws.suppression.rows[TO].reason == "asked by phone"


# -- soft bounces --------------------------------------------------------------------------------------------


async def test_a_soft_bounce_is_retried_once_in_fifteen_minutes() -> None:
    fake_aws = await after(bounce("Transient", "MailboxFull", **DSN))
    assert the_row(fake_aws).status == "soft_bounced"
    ((message, seconds),) = fake_aws.retry_queue.retries
    assert (seconds, message.retry_attempt) == (900, 1)
    data = message.original_email_data
    assert (data.to, data.template_name, data.template_data) == (TO, "welcome", {"userName": "Ann"})
    assert (data.original_email_id, data.original_source) == (EMAIL_ID, "com.example.shop")
    (history,) = message.bounce_history
    assert history.timestamp == "2026-03-02T09:41:02.669Z"
    assert history.reason == "Transient MailboxFull 4.2.2: smtp; 452 4.2.2 mailbox full"


async def test_copies_got_theirs_and_are_not_sent_to_again() -> None:
    fake_aws = await after(bounce("Transient", "MailboxFull", **DSN))
    ((message, _),) = fake_aws.retry_queue.retries
    assert (message.original_email_data.cc, message.original_email_data.bcc) == ([], [])


async def test_a_retry_that_bounces_fails_and_is_not_suppressed() -> None:
    own_id = retry_id(EMAIL_ID, 1)
    row = replace(SENT, email_id=own_id, retry_attempt=1)
    fake_aws = world_with(row)
    await feedback_pipeline(fake_aws).process(
        [text(bounce("Transient", "MailboxFull", mail_tags={"emailId": [own_id]}, **DSN))]
    )
    assert fake_aws.ledger.rows[own_id].status == "failed"
    assert fake_aws.ledger.rows[own_id].failure_code == "soft-bounce-retry-failed"
    assert (fake_aws.suppression.rows, fake_aws.retry_queue.retries) == ({}, [])
    (told,) = fake_aws.status_events.published
    assert (told.email_id, told.original_email_id, told.retry_attempt) == (own_id, EMAIL_ID, 1)


async def test_without_its_saved_request_a_soft_bounce_stays_one_and_says_why() -> None:
    fake_aws = world_with(SENT)
    fake_aws.payloads.saved.clear()
    await feedback_pipeline(fake_aws).process([text(bounce("Transient", "MailboxFull", **DSN))])
    assert (the_row(fake_aws).status, fake_aws.retry_queue.retries) == ("soft_bounced", [])
    (told,) = fake_aws.status_events.published
    assert told.reason is not None
    assert (told.reason.code, told.reason.message) == (
        "soft-bounce-not-retried",
        the_row(fake_aws).failure_reason,
    )
    assert fake_aws.telemetry.events == [
        ("retry-impossible", {"email_id": EMAIL_ID, "problem": "no saved request"}),
        ("status-reached", {"email_id": EMAIL_ID, "status": "soft_bounced", "previous": "sent"} | LABELS),
    ]


@pytest.mark.parametrize(
    ("subtype", "status"),
    [
        ("General", "5.7.1"),
        ("General", "5.7.26"),
        ("General", "5.1.8"),
        ("General", "5.3.4"),
        ("General", "5.2.3"),
        ("General", "5.6.0"),
        ("MailboxFull", "5.2.2"),
        ("CustomTimeoutExceeded", "5.4.7"),
    ],
)
async def test_a_permanent_code_of_a_soft_bounce_blames_nobody_and_the_email_is_tried_once_more(
    subtype: str, status: str
) -> None:
    """A day of a broken DMARC record must not lose every reader at one provider."""
    fake_aws = await after(bounce("Transient", subtype, status=status, action="failed", diagnostic="550 no"))
    assert the_row(fake_aws).status == "soft_bounced"
    assert (fake_aws.suppression.rows, fake_aws.quota.bounces) == ({}, {})
    assert len(fake_aws.retry_queue.retries) == 1


@pytest.mark.parametrize("arrival", ["Delivery", "Open"])
@pytest.mark.parametrize(
    "late",
    [
        bounce("Transient", "General"),  # an out-of-office answer
        bounce("Transient", "General", **DSN),
        bounce("Transient", "General", status="5.7.1", action="failed"),
        bounce("Transient", "MailboxFull", **DSN),
    ],
)
async def test_a_soft_bounce_after_the_delivery_is_told_and_nothing_is_sent_again(
    arrival: str, late: Event
) -> None:
    fake_aws = await after(event(arrival), late)
    status = the_row(fake_aws).status
    assert status in {"delivered", "opened"}
    assert (fake_aws.retry_queue.retries, fake_aws.suppression.rows) == ([], {})
    news = fake_aws.status_events.published[1]
    assert (news.status, news.previous_status) == (status, status)
    assert news.reason is not None
    assert news.reason.code == "bounced-after-delivery"


async def test_the_fifteenth_soft_bounce_in_thirty_days_suppresses() -> None:
    fake_aws = world_with(SENT, *earlier_bounces(14, timestamp="2026-02-01T00:00:00.000Z"))
    await feedback_pipeline(fake_aws).process([text(bounce("Transient", "MailboxFull", **DSN))])
    assert fake_aws.suppression.rows[TO].reason == "soft-bounce-exceeded"
    assert fake_aws.suppression.rows[TO].suppression_type == "bounce"
    assert (the_row(fake_aws).status, fake_aws.retry_queue.retries) == ("soft_bounced", [])


async def test_the_fifteenth_soft_bounce_of_a_copy_suppresses_the_copy() -> None:
    to_the_copy = earlier_bounces(14, to_email="c@x.org")
    fake_aws = world_with(COPIED, *to_the_copy)
    await feedback_pipeline(fake_aws).process(
        [text(bounce("Transient", "MailboxFull", to="c@x.org", **TWO, **DSN))]
    )
    assert set(fake_aws.suppression.rows) == {"c@x.org"}
    assert the_row(fake_aws).status == "sent"


async def test_an_out_of_office_answer_of_a_copy_is_no_soft_bounce() -> None:
    """No row knows whether a copy was delivered, so its answers must not add up."""
    fake_aws = world_with(COPIED, *earlier_bounces(14, to_email="c@x.org"))
    await feedback_pipeline(fake_aws).process([text(bounce("Transient", "General", to="c@x.org", **TWO))])
    assert fake_aws.suppression.rows == {}


@pytest.mark.parametrize(
    "changes",
    [{"timestamp": "2026-01-30T00:00:00.000Z"}, {"to_email": "other@example.com"}],
    ids=["too long ago", "another address"],
)
async def test_others_do_not_add_up(changes: dict[str, str]) -> None:
    fake_aws = world_with(SENT, *earlier_bounces(20, **changes))
    await feedback_pipeline(fake_aws).process([text(bounce("Transient", "MailboxFull", **DSN))])
    assert fake_aws.suppression.rows == {}
    assert len(fake_aws.retry_queue.retries) == 1


async def test_a_redelivery_is_not_counted_as_one_more() -> None:
    fake_aws = world_with(SENT, *earlier_bounces(13))
    await feedback_pipeline(fake_aws).process([text(bounce("Transient", "MailboxFull", **DSN))] * 3)
    assert fake_aws.suppression.rows == {}


# -- redeliveries --------------------------------------------------------------------------------------------


async def test_the_very_report_that_moved_the_row_is_told_again() -> None:
    fake_aws = await after(event("Delivery"), event("Delivery"))
    assert fake_aws.status_events.statuses() == ["delivered", "delivered"]
    assert fake_aws.status_events.published[1].previous_status == "delivered"


async def test_another_report_of_the_kind_is_not() -> None:
    other = event("Delivery", timestamp="2026-03-02T10:00:00.000Z")
    fake_aws = await after(event("Delivery"), other, other)
    assert fake_aws.status_events.statuses() == ["delivered"]


async def test_a_status_is_told_again_even_when_the_row_has_moved_on() -> None:
    """The process may have died between move and publish, and an open may have come in between."""
    fake_aws = await after(event("Delivery"), event("Open"), event("Delivery"))
    assert fake_aws.status_events.statuses() == ["delivered", "opened", "delivered"]
    assert the_row(fake_aws).status == "opened"


async def test_what_is_told_again_gives_its_own_reason_not_the_rows() -> None:
    sending = replace(SENT, status="sending", status_rank=0)
    fake_aws = await after(event("Send"), event("Reject"), event("Send"), row=sending)
    reasons = [told.reason and told.reason.code for told in fake_aws.status_events.published]
    assert (fake_aws.status_events.statuses(), reasons) == (
        ["sent", "failed", "sent"],
        [None, "rejected", None],
    )


async def test_a_redelivered_hard_bounce_counts_once() -> None:
    fake_aws = await after(*[event("Bounce")] * 4)
    assert fake_aws.quota.bounces == {"2026-03-02": 1}


async def test_the_same_news_by_both_roads_is_one() -> None:
    fake_aws = await after(event("Bounce"), notification("Bounce"))
    assert fake_aws.quota.bounces == {"2026-03-02": 1}


async def test_an_overtaken_soft_bounce_that_comes_again_schedules_nothing_more() -> None:
    soft = bounce("Transient", "General")
    fake_aws = await after(soft, event("Delivery"), soft)
    assert the_row(fake_aws).status == "delivered"
    assert len(fake_aws.retry_queue.retries) == 1
    assert fake_aws.status_events.statuses() == ["soft_bounced", "delivered", "soft_bounced"]


# -- failures and oddities -----------------------------------------------------------------------------------


async def test_greetings_and_unknown_types_are_acknowledged() -> None:
    fake_aws = world_with(SENT)
    unknown = json.dumps({"eventType": "Telepathy", "mail": {"tags": {"emailId": [EMAIL_ID]}}})
    await feedback_pipeline(fake_aws).process([GREETING, unknown])
    assert fake_aws.telemetry.events == [
        ("ses-topic-validated", {}),
        ("ses-event-unknown", {"type": "Telepathy"}),
    ]
    assert the_row(fake_aws) == SENT


async def test_one_bad_notification_does_not_stop_the_others_and_is_raised() -> None:
    fake_aws = world_with(SENT)
    broken = text(event("Bounce", bouncedRecipients=None))
    messages = ["secret@example.com", broken, text(event("Delivery"))]
    with pytest.raises(FeedbackFailed) as caught:
        await feedback_pipeline(fake_aws).process(messages)
    assert str(caught.value) == "2 of 3 SES notifications failed: UnreadableEvent (2)"
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert the_row(fake_aws).status == "delivered"


@pytest.mark.parametrize(
    ("port", "method"),
    [
        ("ledger", "read"),
        ("ledger", "advance"),
        ("ledger", "mark"),
        ("ledger", "note"),
        ("suppression", "add"),
        ("status_events", "publish"),
    ],
)
async def test_a_service_that_is_away_fails_the_invocation_and_the_redelivery_mends_it(
    port: str, method: str
) -> None:
    fake_aws = world_with(SENT)
    getattr(fake_aws, port).fail_next.append(method)
    with pytest.raises(FeedbackFailed, match=r"1 of 1 .*: ServiceUnavailable \(1\)"):
        await feedback_pipeline(fake_aws).process([text(event("Bounce"))])
    await feedback_pipeline(fake_aws).process([text(event("Bounce"))])
    assert (the_row(fake_aws).status, set(fake_aws.suppression.rows)) == ("bounced", {TO})
    assert "bounced" in fake_aws.status_events.statuses()


async def test_a_count_that_may_be_lost_fails_nothing_for_no_redelivery_could_count_it() -> None:
    fake_aws = world_with(SENT)
    fake_aws.quota.fail_next.append("count_bounce")
    await feedback_pipeline(fake_aws).process([text(event("Bounce"))])
    assert "count-lost" in fake_aws.telemetry.names
    assert fake_aws.status_events.statuses()[-1] == "bounced"


async def test_an_unforeseen_error_tells_its_place_but_not_its_words() -> None:
    fake_aws = world_with(replace(SENT, status="no status"))
    with pytest.raises(FeedbackFailed):
        await feedback_pipeline(fake_aws).process([text(event("Bounce"))])
    (name, fields) = fake_aws.telemetry.events[-1]
    assert name == "feedback-failed"
    assert str(fields["problem"]).startswith("ValueError at enum.py:")


async def test_no_address_reaches_the_log() -> None:
    fake_aws = world_with(SENT)
    fake_aws.payloads.saved.clear()
    foreign = event("Complaint", **FOREIGN)
    soft = bounce("Transient", "MailboxFull", **DSN)
    broken = event("Bounce", bouncedRecipients={"emailAddress": "recipient@example.com"})
    with pytest.raises(FeedbackFailed):
        await feedback_pipeline(fake_aws).process(
            [text(one) for one in (foreign, soft, broken, event("Bounce"))]
        )
    assert fake_aws.telemetry.events
    assert "@" not in repr(fake_aws.telemetry.events)


async def test_a_row_that_vanishes_in_between_is_found_missing_by_the_redelivery() -> None:
    fake_aws = world_with(SENT)

    async def expire(point: str) -> None:
        if point == "ledger.read:after":
            fake_aws.ledger.rows.clear()

    fake_aws.switch(expire)
    with pytest.raises(FeedbackFailed, match="LookupError"):
        await feedback_pipeline(fake_aws).process([text(event("Bounce"))])
    await feedback_pipeline(fake_aws).process([text(event("Bounce"))])
    assert set(fake_aws.suppression.rows) == {TO}
