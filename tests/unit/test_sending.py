"""What the sender does with a request, told with fakes."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.support.cloud import LARGE, queue_event, request_event
from tests.support.fakes import FakeTemplate, Lost
from tests.support.harness import RECONCILE, Harness, plenty

from engine.delivery.lanes import DeferralAnswer, InvocationFailedError
from engine.errors import FailureCode, OutcomeUnknown, Refusal, SendingPaused, SendRefused, SendThrottled
from engine.requests.email_job import UnreadableRecordError, email_id, retry_id
from engine.schemas.envelopes import BatchAnswer
from engine.schemas.rows import SuppressionRow, TrackingRow
from engine.schemas.status import EmailStatusChanged, Reason
from engine.templating.template import Rendered
from engine.tracking.kept_request import kept_request
from engine.tracking.lifecycle import RANK, Status


@pytest.fixture
def harness() -> Harness:
    return Harness()


async def refused(harness: Harness, **detail: Any) -> Refusal:
    """Ask for an email that must be refused: tracked, told, not sent."""
    answer = await harness.ask(**detail)
    assert isinstance(answer, EmailStatusChanged)
    assert answer.status == "failed"
    assert not harness.fake_aws.mailer.sent
    assert harness.fake_aws.status_events.published == [answer]
    row = harness.row
    assert (row.status, row.status_rank, row.email_id) == ("failed", 5, answer.email_id)
    assert answer.reason is not None
    assert (row.failure_code, row.failure_reason) == (answer.reason.code, answer.reason.message)
    return Refusal(FailureCode(answer.reason.code), answer.reason.message)


def settled(harness: Harness) -> list[dict[str, object]]:
    """What the log lines of settled emails call them by."""
    lines = [fields for name, fields in harness.fake_aws.telemetry.events if name == "email-settled"]
    return [{name: line[name] for name in ("lane", "template", "campaign")} for line in lines]


async def deferred(harness: Harness, **detail: Any) -> DeferralAnswer:
    """Ask for an email that must wait: whole in the retry queue, nothing told."""
    answer = await harness.ask(**detail)
    assert isinstance(answer, DeferralAnswer)
    assert len(harness.fake_aws.retry_queue.deferred) == 1
    assert not harness.fake_aws.status_events.published
    return answer


# -- sent ------------------------------------------------------------------------------------------------


async def test_an_accepted_request_is_sent_tracked_counted_and_told(harness: Harness) -> None:
    answer = await harness.ask(
        event_id="e-1", metadata={"order": "7"}, tags={"kind": "welcome"}, to="Ada@Example.com"
    )
    (message,) = harness.fake_aws.mailer.sent.values()
    assert (message.to, message.sender) == ("Ada@example.com", "The Shop <no-reply@shop.example>")
    assert harness.row.to_email == "ada@example.com"
    assert message.tags == (("emailId", email_id("shop", "e-1")), ("kind", "welcome"))
    row = harness.row
    assert (row.status, row.ses_message_id, row.lease_until) == ("sent", "ses-1", None)
    assert (row.timestamp, row.date_partition) == ("2026-11-24T08:00:00.000Z", "2026-11-24")
    assert row.ttl == int(harness.fake_aws.clock().timestamp()) + 90 * 86400
    assert harness.fake_aws.quota.sends == {"2026-03-02": 1}
    request = kept_request(row)
    assert request
    assert (request.to, request.metadata) == ("Ada@example.com", {"order": "7"})
    assert not harness.fake_aws.payloads.saved
    assert isinstance(answer, EmailStatusChanged)
    assert harness.fake_aws.status_events.published == [answer]
    assert (answer.status, answer.previous_status, answer.ses_message_id) == ("sent", "sending", "ses-1")
    assert (answer.metadata, answer.tags) == ({"order": "7"}, {"kind": "welcome"})


async def test_a_campaign_stands_in_row_tag_event_and_log(harness: Harness) -> None:
    answer = await harness.ask(campaign="spring", priority="bulk", tags={"kind": "news"})
    (message,) = harness.fake_aws.mailer.sent.values()
    assert message.tags[1:] == (("campaign", "spring"), ("kind", "news"))
    assert isinstance(answer, EmailStatusChanged)
    assert (answer.campaign, harness.row.campaign) == ("spring", "spring")
    assert settled(harness) == [{"lane": "bulk", "template": "welcome", "campaign": "spring"}]


async def test_a_refused_request_keeps_its_campaign_where_it_is_one(harness: Harness) -> None:
    for campaign, known in (("spring", "spring"), ("ada@example.com", None)):
        answer = await harness.ask(campaign=campaign, templateName="ada@example.com")
        assert isinstance(answer, EmailStatusChanged)
        assert answer.campaign == known
    assert all(not {*labels.values()} - {"", "spring"} for labels in settled(harness))


async def test_suppressed_copies_are_left_out_and_the_others_get_theirs(harness: Harness) -> None:
    harness.fake_aws.suppression.rows["bob@example.com"] = SuppressionRow(email="bob@example.com")
    answer = await harness.ask(cc=["Bob@example.com", "cy@example.com"], bcc=["di@example.com"])
    (message,) = harness.fake_aws.mailer.sent.values()
    assert (message.cc, message.bcc) == (("cy@example.com",), ("di@example.com",))
    assert isinstance(answer, EmailStatusChanged)
    assert answer.reason is not None
    assert answer.reason.code == "recipients-suppressed"
    assert harness.fake_aws.gate.reserved[0][0] == 3


async def test_the_quota_counts_the_recipients_that_were_sent_to(harness: Harness) -> None:
    """As SES does; its mailbox simulator and suppressed copies are not among them."""
    harness.fake_aws.suppression.rows["bob@example.com"] = SuppressionRow(email="bob@example.com")
    copies = ["bob@example.com", "cy@example.com", "success@simulator.amazonses.com"]
    await harness.ask(cc=copies, bcc=["di@example.com"])
    assert harness.fake_aws.quota.sends == {"2026-03-02": 3}


async def test_mail_to_the_mailbox_simulator_is_not_counted(harness: Harness) -> None:
    await harness.ask(to="success@simulator.amazonses.com")
    assert not harness.fake_aws.quota.sends


async def test_a_send_waits_for_its_slot(harness: Harness) -> None:
    harness.fake_aws.gate.waits = [0.4]
    await harness.ask()
    assert harness.fake_aws.sleep.naps == [0.4]
    assert len(harness.fake_aws.mailer.sent) == 1


async def test_a_lost_record_or_count_is_no_reason_to_hold_a_sent_email(harness: Harness) -> None:
    harness.fake_aws.ledger.fail_next = ["record"]
    harness.fake_aws.quota.fail_next = ["count_sends"]
    answer = await harness.ask()
    assert isinstance(answer, EmailStatusChanged)
    assert harness.row.status == "sending"
    await harness.ses_reports_sends()
    assert harness.row.status == "sent"


# -- refused ---------------------------------------------------------------------------------------------


async def test_a_suppressed_recipient_is_refused_with_the_reason(harness: Harness) -> None:
    harness.fake_aws.suppression.rows["ada@example.com"] = SuppressionRow(
        email="ada@example.com", suppression_type="bounce", reason="hard-bounce"
    )
    refusal = await refused(harness, to="ADA@example.com")
    assert refusal.code == FailureCode.SUPPRESSED
    assert "hard-bounce" in refusal.message


async def test_over_the_bounce_rate_every_email_is_refused(harness: Harness) -> None:
    harness.fake_aws.quota.sends["2026-03-02"], harness.fake_aws.quota.bounces["2026-03-02"] = 100, 6
    refusal = await refused(harness)
    assert refusal.code == FailureCode.BOUNCE_RATE_EXCEEDED
    assert "6.00 %" in refusal.message
    assert "BOUNCE_RATE_THRESHOLD" in refusal.message


async def test_an_unknown_template_is_refused(harness: Harness) -> None:
    assert (await refused(harness, templateName="nope")).code == FailureCode.TEMPLATE_NOT_FOUND


async def test_a_template_that_cannot_render_is_refused(harness: Harness) -> None:
    harness.fake_aws.templates.templates["welcome"] = FakeTemplate("welcome", error="'name' is undefined")
    refusal = await refused(harness)
    assert refusal == Refusal(FailureCode.TEMPLATE_ERROR, "'name' is undefined")


async def test_a_sender_override_must_be_allowed(harness: Harness) -> None:
    refusal = await refused(harness, senderOverride={"email": "ceo@other.example"})
    assert refusal.code == FailureCode.SENDER_NOT_ALLOWED


async def test_a_template_sender_must_be_allowed_too(harness: Harness) -> None:
    rendered = Rendered(subject="Hi", html=None, text="Hi", sender_email="x@other.example", sender_name=None)
    harness.fake_aws.templates.templates["welcome"] = FakeTemplate("welcome", rendered=rendered)
    assert (await refused(harness)).code == FailureCode.SENDER_NOT_ALLOWED


async def test_a_refusal_by_ses_is_final(harness: Harness) -> None:
    harness.fake_aws.mailer.outcomes = [SendRefused(Refusal(FailureCode.REJECTED, "no"), configuration=True)]
    assert await refused(harness) == Refusal(FailureCode.REJECTED, "no")
    assert "ses-configuration-wrong" in harness.fake_aws.telemetry.names


async def test_an_attachment_that_is_not_there_is_refused(harness: Harness) -> None:
    attachment = {"fileName": "a.pdf", "contentType": "application/pdf", "s3Key": "attachments/a.pdf"}
    assert (await refused(harness, attachments=[attachment])).code == FailureCode.VALIDATION


@pytest.mark.parametrize(
    ("detail", "named"),
    [
        ({"to": "not-an-address"}, "to is not an email address"),
        ({"cc": ["ok@example.com", "bad@"]}, "cc[1] is not an email address"),
        ({"templateName": "../secrets"}, "templateName: must be 1 to 64"),
        ({"templateName": 7}, "templateName: Expected 'str', got 'int'"),
        ({"templateData": []}, "templateData: Expected 'object', got 'array'"),
        ({"surprise": 1}, "unknown field 'surprise'; the fields of an Email Request are to, templateName"),
        ({"senderOverride": {"mail": "x"}}, "senderOverride: "),
        ({"priority": "urgent"}, "priority: "),
        ({"headers": {"Subject": "x"}}, "headers"),
        ({"idempotencyKey": ""}, "idempotencyKey: "),
        ({"metadata": {"n": 1}}, "metadata"),
        ({"campaign": "spring sale"}, "campaign: must be 1 to 64"),
        ({"topic": "News"}, "topic: must be 1 to 64 of a-z 0-9 -"),
        ({"expiresAt": "2026-11-24T08:15:30"}, "expiresAt: must be a time with its zone"),
        ({"expiresAt": "tomorrow"}, "expiresAt: must be a time with its zone"),
        ({"campaign": "spring", "tags": {"campaign": "x"}}, "tags['campaign'] is what `campaign` writes"),
    ],
)
async def test_a_bad_field_is_refused_by_name(harness: Harness, detail: dict[str, Any], named: str) -> None:
    refusal = await refused(harness, **detail)
    assert refusal.code == FailureCode.VALIDATION
    assert named in refusal.message


async def test_a_request_without_an_address_is_told_but_has_no_row(harness: Harness) -> None:
    answer = await harness.ask(to=None, metadata={"order": "7"})
    assert isinstance(answer, EmailStatusChanged)
    assert answer.reason is not None
    assert "'to'" in answer.reason.message
    assert answer.metadata == {"order": "7"}
    assert harness.fake_aws.status_events.published == [answer]
    assert not harness.fake_aws.ledger.rows


async def test_a_detail_that_is_no_object_is_told_as_a_refusal(harness: Harness) -> None:
    answer = await harness.lanes.direct(request_event() | {"detail": "hello"}, plenty)
    assert isinstance(answer, EmailStatusChanged)
    assert answer.status == "failed"


async def test_text_that_is_no_unicode_is_refused(harness: Harness) -> None:
    refusal = await refused(harness, templateData={"name": "\ud800"})
    assert "Unicode" in refusal.message


@pytest.mark.parametrize(
    "detail",
    [
        {"metadata": {f"k{number}": "v" * 1000 for number in range(600)}},
        {"tags": {f"k{number}": "v" * 255 for number in range(2500)}},
        {"tags": {"x" * 500_000: "v"}},
        {"headers": {"\U000f0000" * 60_000: "v"}},
        {"x" * 500_000: "an unknown field"},
        {"attachments": [{"fileName": "a", "contentType": "a/b", "content": "AAAA" * 260_000}]},
    ],
)
async def test_a_refusal_stays_small_however_large_the_request(
    harness: Harness, detail: dict[str, Any]
) -> None:
    """A row holds 400 KB and a status event 256 KB: what is refused must still be tracked and told."""
    assert (await refused(harness, **detail)).code == FailureCode.VALIDATION
    (event,) = harness.fake_aws.status_events.published
    assert len(msgspec.json.encode(event)) < 60_000
    assert len(msgspec.json.encode(harness.row)) < 60_000


async def test_an_event_of_another_detail_type_is_no_request(harness: Harness) -> None:
    """A rule that matches too much must not turn our own status events into emails."""
    with pytest.raises(UnreadableRecordError, match="detail-type"):
        await harness.lanes.direct(request_event() | {"detail-type": "Email Status Changed"}, plenty)
    answer = await harness.deliver(request_event() | {"detail-type": "Order Placed"})
    assert len(answer.batch_item_failures) == 1


async def test_an_event_that_is_none_raises_without_quoting_it(harness: Harness) -> None:
    with pytest.raises(UnreadableRecordError, match="id") as caught:
        await harness.lanes.direct({"detail": {"to": "ada@example.com"}}, plenty)
    assert "ada@" not in str(caught.value)


# -- duplicates ------------------------------------------------------------------------------------------


async def test_the_same_event_again_sends_nothing_and_tells_again(harness: Harness) -> None:
    await harness.ask(event_id="e-1")
    again = await harness.ask(event_id="e-1")
    assert len(harness.fake_aws.mailer.sent) == 1
    assert isinstance(again, EmailStatusChanged)
    assert (again.status, again.previous_status, again.ses_message_id) == ("sent", "sent", "ses-1")
    assert harness.fake_aws.status_events.statuses() == ["sent", "sent"]


async def test_a_duplicate_of_an_email_that_bounced_tells_when_and_why_it_bounced(harness: Harness) -> None:
    await harness.ask(event_id="e-1")
    bounced = replace(
        harness.row,
        status="bounced",
        status_rank=6,
        bounced_at="2026-03-02T10:00:00.000Z",
        bounce_type="Permanent",
        bounce_sub_type="NoEmail",
    )
    harness.fake_aws.ledger.put(bounced)
    again = await harness.ask(event_id="e-1")
    assert isinstance(again, EmailStatusChanged)
    assert (again.status, again.timestamp) == ("bounced", "2026-03-02T10:00:00.000Z")
    assert again.reason == Reason(code="hard-bounce", message="Permanent NoEmail")
    assert harness.fake_aws.status_events.statuses() == ["sent", "sent", "bounced"]


async def test_the_same_idempotency_key_in_another_event_sends_nothing(harness: Harness) -> None:
    await harness.ask(idempotencyKey="order-7")
    await harness.ask(idempotencyKey="order-7", cc=[])  # a default spelled out is the same request
    assert len(harness.fake_aws.mailer.sent) == 1


async def test_another_spelling_of_the_address_is_the_same_request(harness: Harness) -> None:
    for to, cc in (
        ("ada@bücher.example", "bob@example.com"),
        ("Ada@xn--bcher-kva.example", "BOB@example.com"),
    ):
        await harness.ask(idempotencyKey="order-7", to=to, cc=[cc])
    assert len(harness.fake_aws.mailer.sent) == 1
    assert harness.fake_aws.status_events.statuses() == ["sent", "sent"]


async def test_the_same_key_of_another_application_is_another_email(harness: Harness) -> None:
    await harness.ask(idempotencyKey="order-7")
    await harness.ask(source="billing", idempotencyKey="order-7")
    assert len(harness.fake_aws.mailer.sent) == 2


async def test_the_same_key_for_another_request_is_a_conflict_that_leaves_the_first_alone(
    harness: Harness,
) -> None:
    await harness.ask(idempotencyKey="order-7")
    first = harness.row
    answer = await harness.ask(idempotencyKey="order-7", to="bob@example.com")
    assert isinstance(answer, EmailStatusChanged)
    assert answer.reason is not None
    assert answer.reason.code == "idempotency-conflict"
    assert answer.original_email_id == first.email_id
    assert harness.fake_aws.ledger.rows[first.email_id] == first
    assert harness.fake_aws.ledger.rows[answer.email_id].failure_code == "idempotency-conflict"
    assert len(harness.fake_aws.mailer.sent) == 1


async def test_a_conflict_that_is_told_again_reached_its_status_once(harness: Harness) -> None:
    await harness.ask(idempotencyKey="order-7")
    harness.fake_aws.status_events.fail_next = ["publish"]
    with pytest.raises(InvocationFailedError):
        await harness.ask(idempotencyKey="order-7", to="bob@example.com")
    answer = await harness.ask(idempotencyKey="order-7", to="bob@example.com")
    assert isinstance(answer, EmailStatusChanged)
    assert (answer.status, answer.previous_status) == ("failed", "failed")
    settled = [fields for name, fields in harness.fake_aws.telemetry.events if name == "email-settled"]
    assert [fields["previous"] for fields in settled if fields["status"] == "failed"] == ["", "failed"]


async def test_a_refused_event_again_tells_the_same_refusal(harness: Harness) -> None:
    first = await harness.ask(event_id="e-1", to="nope")
    again = await harness.ask(event_id="e-1", to="nope")
    assert isinstance(first, EmailStatusChanged)
    assert isinstance(again, EmailStatusChanged)
    assert again.reason == first.reason


async def test_sent_is_told_though_ses_moved_the_row_on_before_the_bus_was_back(harness: Harness) -> None:
    harness.fake_aws.status_events.fail_next = ["publish"]
    with pytest.raises(InvocationFailedError):
        await harness.ask(event_id="e-1")
    delivered = replace(
        harness.row, status="delivered", status_rank=3, delivered_at="2026-03-02T10:00:00.000Z"
    )
    harness.fake_aws.ledger.put(delivered)
    await harness.ask(event_id="e-1")
    assert harness.fake_aws.status_events.statuses() == ["sent", "delivered"]


# -- held ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "reason", "event"),
    [
        (SendThrottled("slow"), "throttled", "ses-throttled"),
        (SendThrottled("what?", unexpected=True), "throttled", "ses-answer-unexpected"),
        (SendingPaused("paused"), "paused", "ses-paused"),
    ],
)
async def test_a_clean_not_now_defers_the_whole_event_and_frees_the_claim(
    harness: Harness, outcome: Exception, reason: str, event: str
) -> None:
    harness.fake_aws.mailer.outcomes = [outcome]
    assert (await deferred(harness, idempotencyKey="k")).reason == reason
    assert event in harness.fake_aws.telemetry.names
    assert (harness.row.status, harness.row.lease_until) == ("sending", None)
    ((body, _),) = harness.fake_aws.retry_queue.deferred
    assert await harness.deliver(body) == BatchAnswer()
    assert harness.row.status == "sent"
    assert len(harness.fake_aws.mailer.sent) == 1


async def test_a_throttle_narrows_the_gate(harness: Harness) -> None:
    harness.fake_aws.mailer.outcomes = [SendThrottled("slow")]
    await deferred(harness)
    assert harness.fake_aws.gate.throttles == 1


async def test_an_unknown_outcome_keeps_the_claim_until_ses_reports(harness: Harness) -> None:
    harness.fake_aws.mailer.outcomes = [Lost()]
    answer = await deferred(harness)
    assert answer.reason == "outcome-unknown"
    assert answer.seconds >= RECONCILE
    assert harness.row.lease_until is not None
    await harness.ses_reports_sends()
    assert harness.row.status == "sent"


@pytest.mark.parametrize(
    ("port", "method"),
    [("pre_send", "read"), ("templates", "load"), ("payloads", "save"), ("gate", "reserve")],
)
async def test_a_service_that_is_away_holds_the_email_until_it_is_back(
    harness: Harness, port: str, method: str
) -> None:
    getattr(harness.fake_aws, port).fail_next = [method]
    assert (await deferred(harness, **LARGE)).reason == "service-unavailable"
    ((body, _),) = harness.fake_aws.retry_queue.deferred
    assert await harness.deliver(body) == BatchAnswer()
    assert len(harness.fake_aws.mailer.sent) == 1


async def test_a_claim_without_an_answer_holds_the_email(harness: Harness) -> None:
    harness.fake_aws.ledger.unanswered = {email_id("shop", "e-1")}
    assert (await deferred(harness, event_id="e-1")).reason == "service-unavailable"
    ((body, _),) = harness.fake_aws.retry_queue.deferred
    assert await harness.deliver(body) == BatchAnswer()
    assert len(harness.fake_aws.mailer.sent) == 1


async def test_a_refusal_that_could_not_be_recorded_is_not_told_yet(harness: Harness) -> None:
    harness.fake_aws.ledger.fail_next = ["record"]
    assert (await deferred(harness, templateName="nope")).reason == "service-unavailable"


@pytest.mark.parametrize(("wait", "left"), [(0.0, 4.0), (26.0, 30.0)])
async def test_an_email_that_would_run_out_of_time_is_not_begun(
    harness: Harness, wait: float, left: float
) -> None:
    harness.fake_aws.gate.waits = [wait]
    answer = await harness.ask(seconds_left=lambda: left)
    assert isinstance(answer, DeferralAnswer)
    assert answer.reason == "out-of-time"
    assert not harness.fake_aws.mailer.calls
    assert harness.row.lease_until is None


async def test_a_deferral_that_fails_fails_the_invocation_so_that_lambda_delivers_again(
    harness: Harness,
) -> None:
    harness.fake_aws.mailer.outcomes = [SendThrottled("slow")]
    harness.fake_aws.retry_queue.fail_next = ["defer"]
    with pytest.raises(InvocationFailedError, match="could not be deferred"):
        await harness.ask()


async def test_a_failed_publish_fails_the_invocation_and_the_redelivery_publishes(harness: Harness) -> None:
    harness.fake_aws.status_events.fail_next = ["publish"]
    with pytest.raises(InvocationFailedError, match="status event"):
        await harness.ask(event_id="e-1")
    assert not harness.fake_aws.status_events.published
    await harness.ask(event_id="e-1")
    assert harness.fake_aws.status_events.statuses() == ["sent"]
    assert len(harness.fake_aws.mailer.sent) == 1


async def test_an_email_is_counted_as_sent_once_also_where_the_bus_hears_of_it_at_the_second_try(
    harness: Harness,
) -> None:
    harness.fake_aws.status_events.fail_next = ["publish"]
    with pytest.raises(InvocationFailedError):
        await harness.ask(event_id="e-1")
    await harness.ask(event_id="e-1")
    settled = [fields for name, fields in harness.fake_aws.telemetry.events if name == "email-settled"]
    assert [(fields["previous"], fields["status"]) for fields in settled] == [
        ("sending", "sent"),
        ("sent", "sent"),
    ]


# -- batches ---------------------------------------------------------------------------------------------


async def test_a_batch_asks_each_question_once(harness: Harness) -> None:
    asked: list[str] = []

    async def listen(point: str) -> None:
        asked.append(point)

    harness.fake_aws.switch(listen)
    events = [request_event(to=f"user{number}@example.com") for number in range(20)]
    assert await harness.deliver(*events) == BatchAnswer()
    assert len(harness.fake_aws.mailer.sent) == 20
    for question in ("ledger.claim", "pre_send.read", "templates.load", "ledger.record"):
        assert asked.count(f"{question}:before") == 1, question


async def test_only_what_must_come_again_stays_in_the_queue(harness: Harness) -> None:
    harness.fake_aws.mailer.outcomes = ["ses-1", SendThrottled("slow")]
    answer = await harness.deliver(
        request_event(), "this is no JSON", request_event(to="bob@example.com"), request_event(to="nope")
    )
    assert [failure.item_identifier for failure in answer.batch_item_failures] == ["message-1", "message-2"]
    assert {handle: seconds for _, handle, seconds in harness.fake_aws.retry_queue.held} == {
        "receipt-1": 0,  # unreadable: on to the dead-letter queue
        "receipt-2": 2,
    }
    assert "record-unreadable" in harness.fake_aws.telemetry.names


async def test_a_deferred_message_stays_hidden_longer_with_every_receive(harness: Harness) -> None:
    harness.fake_aws.mailer.outcomes = [SendingPaused("paused")] * 12
    for receives in range(1, 13):
        await harness.deliver(request_event(event_id="e"), receives=receives)
    waits = [seconds for *_, seconds in harness.fake_aws.retry_queue.held]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (60, 1800)
    assert await harness.deliver(request_event(event_id="e"), receives=13) == BatchAnswer()


async def test_a_message_that_cannot_be_hidden_still_stays_in_the_queue(harness: Harness) -> None:
    harness.fake_aws.mailer.outcomes = [SendThrottled("slow")]
    harness.fake_aws.retry_queue.fail_next = ["extend_visibility"]
    answer = await harness.deliver(request_event())
    assert len(answer.batch_item_failures) == 1
    assert "extend-visibility-failed" in harness.fake_aws.telemetry.names


async def test_a_failed_publish_keeps_the_message_and_the_next_receive_publishes(harness: Harness) -> None:
    harness.fake_aws.status_events.fail_next = ["publish"]
    assert len((await harness.deliver(request_event(event_id="e"))).batch_item_failures) == 1
    assert await harness.deliver(request_event(event_id="e"), receives=2) == BatchAnswer()
    assert harness.fake_aws.status_events.statuses() == ["sent"]


async def test_a_bug_met_by_one_email_leaves_the_others_alone(harness: Harness) -> None:
    harness.fake_aws.mailer.outcomes = [ZeroDivisionError("ada@example.com"), "ses-2"]
    answer = await harness.deliver(request_event(), request_event(to="bob@example.com"))
    assert [failure.item_identifier for failure in answer.batch_item_failures] == ["message-0"]
    assert len(harness.fake_aws.mailer.sent) == 1
    (bug,) = [fields for name, fields in harness.fake_aws.telemetry.events if name == "bug"]
    assert "ZeroDivisionError" in str(bug["problem"])
    assert "ada@" not in str(bug)  # as an id, `ada` would be good hexadecimal


async def test_an_empty_batch_is_answered(harness: Harness) -> None:
    assert await harness.lanes.queue(queue_event(), plenty) == BatchAnswer()


# -- soft-bounce retry -----------------------------------------------------------------------------------


def retry_body(**more: Any) -> dict[str, Any]:
    data = {
        "to": "ada@example.com",
        "templateName": "welcome",
        "templateData": {"name": "Ada"},
        "originalEmailId": "original-1",
    }
    return {
        "originalEmailData": data | more,
        "retryAttempt": 1,
        "bounceHistory": [{"timestamp": "2026-03-02T09:15:00Z", "reason": "MailboxFull"}],
    }


def original(status: Status) -> TrackingRow:
    return TrackingRow(email_id="original-1", status=status, status_rank=RANK[status])


async def test_a_retry_is_a_row_of_its_own_that_names_its_original(harness: Harness) -> None:
    harness.fake_aws.ledger.put(original(Status.SOFT_BOUNCED))
    assert await harness.deliver(retry_body(originalSource="shop")) == BatchAnswer()
    row = harness.fake_aws.ledger.rows[retry_id("original-1", 1)]
    assert (row.status, row.retry_attempt, row.original_email_id) == ("sent", 1, "original-1")
    assert row.original_source == "shop"
    assert harness.fake_aws.ledger.rows["original-1"].status == "soft_bounced"


async def test_a_retry_takes_over_what_its_message_leaves_out(harness: Harness) -> None:
    known = replace(original(Status.SOFT_BOUNCED), original_source="shop", metadata={"order": "7"})
    harness.fake_aws.ledger.put(known)
    await harness.deliver(retry_body())
    (event,) = harness.fake_aws.status_events.published
    assert (event.original_source, event.metadata) == ("shop", {"order": "7"})


async def test_a_retry_delivered_twice_sends_once(harness: Harness) -> None:
    assert await harness.deliver(retry_body()) == BatchAnswer()
    assert await harness.deliver(retry_body(), receives=2) == BatchAnswer()
    assert len(harness.fake_aws.mailer.sent) == 1


@pytest.mark.parametrize("status", [Status.DELIVERED, Status.OPENED, Status.COMPLAINED])
async def test_no_retry_for_an_original_that_arrived_after_all(harness: Harness, status: Status) -> None:
    harness.fake_aws.ledger.put(original(status))
    assert await harness.deliver(retry_body()) == BatchAnswer()
    assert not harness.fake_aws.mailer.sent
    assert harness.fake_aws.ledger.rows.keys() == {"original-1"}
    assert not harness.fake_aws.status_events.published


async def test_a_retry_with_unknown_outcome_waits_though_its_original_arrived(harness: Harness) -> None:
    harness.fake_aws.ledger.put(original(Status.SOFT_BOUNCED))
    harness.fake_aws.mailer.outcomes = [Lost()]
    await harness.deliver(retry_body())
    harness.fake_aws.ledger.put(original(Status.DELIVERED))
    assert len((await harness.deliver(retry_body(), receives=2)).batch_item_failures) == 1
    await harness.wait(60)  # SES reports the send
    assert await harness.deliver(retry_body(), receives=3) == BatchAnswer()
    assert harness.fake_aws.ledger.rows[retry_id("original-1", 1)].status == "sent"
    assert len(harness.fake_aws.mailer.sent) == 1


async def test_a_retry_that_nothing_settled_fails_once_its_original_arrived(harness: Harness) -> None:
    known = replace(original(Status.SOFT_BOUNCED), original_source="shop", metadata={"order": "7"})
    harness.fake_aws.ledger.put(known)
    harness.fake_aws.mailer.outcomes = [OutcomeUnknown("reset")]
    await harness.deliver(retry_body())
    harness.fake_aws.mailer.sent.clear()
    harness.fake_aws.ledger.put(replace(known, status=Status.DELIVERED, status_rank=RANK[Status.DELIVERED]))
    harness.fake_aws.clock.advance(400)  # its lease, and the window in which SES may still report
    assert await harness.deliver(retry_body(), receives=2) == BatchAnswer()
    row = harness.fake_aws.ledger.rows[retry_id("original-1", 1)]
    assert (row.status, row.failure_code) == ("failed", "superseded")
    (event,) = harness.fake_aws.status_events.published
    assert event.reason
    assert (event.email_id, event.reason.code, event.metadata) == (row.email_id, "superseded", {"order": "7"})
    assert not harness.fake_aws.mailer.sent


async def test_a_retry_waits_while_its_original_cannot_be_read(harness: Harness) -> None:
    harness.fake_aws.ledger.fail_next = ["read"]
    assert len((await harness.deliver(retry_body())).batch_item_failures) == 1
    assert not harness.fake_aws.mailer.sent


# -- dry run ---------------------------------------------------------------------------------------------


async def test_a_dry_run_says_what_would_happen_and_leaves_no_trace(harness: Harness) -> None:
    answer = await harness.ask(dryRun=True, idempotencyKey="k")
    assert isinstance(answer, EmailStatusChanged)
    assert (answer.status, answer.reason and answer.reason.code) == ("dry_run", "would-send")
    assert harness.fake_aws.status_events.published == [answer]
    assert not harness.fake_aws.mailer.sent
    assert not harness.fake_aws.ledger.rows
    assert not harness.fake_aws.quota.sends
    assert not harness.fake_aws.gate.reserved
    await harness.ask(idempotencyKey="k")
    assert len(harness.fake_aws.mailer.sent) == 1


@pytest.mark.parametrize(
    ("detail", "code"), [({"templateName": "nope"}, "template-not-found"), ({"to": "nope"}, "validation")]
)
async def test_a_dry_run_of_what_would_be_refused_says_so(
    harness: Harness, detail: dict[str, Any], code: str
) -> None:
    answer = await harness.ask(dryRun=True, **detail)
    assert isinstance(answer, EmailStatusChanged)
    assert (answer.status, answer.reason and answer.reason.code) == ("dry_run", code)
    assert not harness.fake_aws.ledger.rows


async def test_a_dry_run_that_cannot_be_answered_comes_again(harness: Harness) -> None:
    harness.fake_aws.pre_send.fail_next = ["read"]
    assert (await deferred(harness, dryRun=True)).reason == "service-unavailable"


async def test_a_conflict_waits_for_a_ledger_that_is_away(harness: Harness) -> None:
    await harness.ask(idempotencyKey="k")
    first = await harness.ask(idempotencyKey="k", to="bob@example.com")
    assert isinstance(first, EmailStatusChanged)
    del harness.fake_aws.ledger.rows[first.email_id]
    harness.fake_aws.ledger.unanswered = {first.email_id}
    answer = await harness.ask(idempotencyKey="k", to="bob@example.com")
    assert isinstance(answer, DeferralAnswer)
    assert answer.reason == "service-unavailable"


async def test_a_takeover_that_another_won_waits(harness: Harness) -> None:
    harness.fake_aws.mailer.outcomes = [SendThrottled("slow")]
    await harness.ask(event_id="e-1")
    harness.fake_aws.ledger.fail_next = ["reclaim"]
    answer = await harness.ask(event_id="e-1")
    assert isinstance(answer, DeferralAnswer)
    assert answer.reason == "claimed-elsewhere"
