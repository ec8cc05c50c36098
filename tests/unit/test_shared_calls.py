"""Emails that share a call to SES: together on the way there, each with an outcome of its own."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.cloud import LARGE, queue_event, request_event
from tests.support.fakes import FakeTemplate, Lost
from tests.support.harness import INVOCATION, RECONCILE, Harness, plenty
from tests.support.ports import KillSwitch

from engine.errors import FailureCode, Refusal, SendingPaused, SendRefused, SendThrottled
from engine.requests.email_job import email_id
from engine.schemas.envelopes import BatchAnswer
from engine.schemas.request import Lane
from engine.schemas.rows import SuppressionRow, TrackingRow
from engine.sending.pipeline import LEASE_MARGIN
from engine.sending.send import TIME_FOR_A_SEND
from engine.templating.template import Rendered
from engine.tracking.kept_request import kept_request


@pytest.fixture
def harness() -> Harness:
    return Harness()


def bulk(*numbers: int, **detail: Any) -> list[dict[str, Any]]:
    """Requests of the bulk lane, which differ in their recipient."""
    return [
        request_event(event_id=f"event-{n}", **({"to": f"{n}@example.com", "priority": "bulk"} | detail))
        for n in numbers
    ]


def row(harness: Harness, number: int) -> TrackingRow:
    return harness.fake_aws.ledger.rows[email_id("shop", f"event-{number}")]


def statuses(harness: Harness, *numbers: int) -> list[str]:
    return [row(harness, number).status for number in numbers]


def leases(harness: Harness) -> set[float | None]:
    return {row.lease_until for row in harness.fake_aws.ledger.rows.values()}


def kept(answer: BatchAnswer) -> list[int]:
    """Which of the delivered messages stay in the queue."""
    return [int(failure.item_identifier.removeprefix("message-")) for failure in answer.batch_item_failures]


def waits(harness: Harness) -> dict[int, int]:
    """For how many seconds each message was hidden last."""
    return {
        int(handle.removeprefix("receipt-")): seconds
        for _, handle, seconds in harness.fake_aws.retry_queue.held
    }


async def deliver(
    harness: Harness, events: Sequence[object], seconds_left: Callable[[], float] = plenty
) -> BatchAnswer:
    return await harness.lanes.queue(queue_event(*events), seconds_left)


def recipients_of(harness: Harness) -> list[str]:
    return sorted(message.to for message in harness.fake_aws.mailer.sent.values())


# -- which go together ---------------------------------------------------------------------------------------


async def test_bulk_emails_of_a_batch_share_calls_and_each_gets_its_slots(harness: Harness) -> None:
    assert await deliver(harness, bulk(*range(120))) == BatchAnswer()
    assert harness.fake_aws.mailer.calls == [50, 50, 20]
    assert harness.fake_aws.gate.reserved == [(50, Lane.BULK), (50, Lane.BULK), (20, Lane.BULK)]
    assert len(harness.fake_aws.mailer.sent) == 120
    assert leases(harness) == {None}


async def test_transactional_emails_in_a_queue_go_alone_and_wait_for_no_other(harness: Harness) -> None:
    await deliver(harness, [*bulk(0, 1), *bulk(2, 3, priority="transactional")])
    assert sorted(harness.fake_aws.mailer.calls) == [1, 1, 2]
    assert sorted(harness.fake_aws.gate.reserved) == [
        (1, Lane.TRANSACTIONAL),
        (1, Lane.TRANSACTIONAL),
        (2, Lane.BULK),
    ]


async def test_the_call_size_is_a_setting_and_one_turns_sharing_off() -> None:
    harness = Harness(largest_call=2)
    await deliver(harness, bulk(*range(5)))
    assert harness.fake_aws.mailer.calls == [2, 2, 1]
    harness = Harness(largest_call=1)
    await deliver(harness, bulk(*range(5)))
    assert harness.fake_aws.mailer.calls == [1] * 5


async def test_an_email_with_copies_goes_alone_and_counts_all_its_recipients(harness: Harness) -> None:
    await deliver(harness, [*bulk(0, 1), *bulk(2, cc=["cc@example.com"], bcc=["bcc@example.com"])])
    assert sorted(harness.fake_aws.mailer.calls) == [1, 2]
    assert sorted(harness.fake_aws.gate.reserved) == [(2, Lane.BULK), (3, Lane.BULK)]


async def test_a_copy_that_is_suppressed_keeps_nobody_from_sharing(harness: Harness) -> None:
    harness.fake_aws.suppression.rows["cc@example.com"] = SuppressionRow(email="cc@example.com")
    await deliver(harness, [*bulk(0), *bulk(1, cc=["cc@example.com"])])
    assert harness.fake_aws.mailer.calls == [2]


async def test_emails_of_two_templates_from_one_sender_share_a_call(harness: Harness) -> None:
    news = Rendered(subject="News", html="<p>News</p>", text="News", sender_email=None, sender_name=None)
    harness.fake_aws.templates.templates["news"] = FakeTemplate("news", rendered=news)
    await deliver(harness, [*bulk(0), *bulk(1, templateName="news")])
    assert harness.fake_aws.mailer.calls == [2]
    assert sorted(harness.subjects_sent) == ["Hello", "News"]


async def test_what_is_refused_before_takes_no_place_in_a_call(harness: Harness) -> None:
    assert await deliver(harness, [*bulk(0), *bulk(1, to="nope"), *bulk(2, templateName="no"), *bulk(3)]) == (
        BatchAnswer()
    )
    assert harness.fake_aws.mailer.calls == [2]
    assert statuses(harness, 0, 1, 2, 3) == ["sent", "failed", "failed", "sent"]


# -- an outcome for each -------------------------------------------------------------------------------------


async def test_each_email_of_a_call_is_settled_or_held_by_its_own_answer(harness: Harness) -> None:
    no = SendRefused(Refusal(FailureCode.REJECTED, "no"))
    harness.fake_aws.mailer.outcomes = [
        "ses-0",
        no,
        SendThrottled("slow"),
        SendingPaused("paused"),
        Lost(),
        SendThrottled("what?", unexpected=True),
    ]
    answer = await deliver(harness, bulk(*range(6)))
    assert harness.fake_aws.mailer.calls == [6]
    assert kept(answer) == [2, 3, 4, 5]
    assert statuses(harness, *range(6)) == ["sent", "failed", "sending", "sending", "sending", "sending"]
    assert row(harness, 0).ses_message_id == "ses-0"
    assert row(harness, 1).failure_code == "rejected"
    assert [row(harness, n).lease_until is None for n in range(6)] == [True, True, True, True, False, True]
    assert waits(harness) == {2: 2, 3: 60, 4: INVOCATION + LEASE_MARGIN + RECONCILE, 5: 2}
    assert sorted(harness.fake_aws.status_events.statuses()) == ["failed", "sent"]
    assert harness.fake_aws.quota.sends == {"2026-03-02": 1}
    for name in ("ses-throttled", "ses-paused", "outcome-unknown", "ses-answer-unexpected"):
        assert harness.fake_aws.telemetry.names.count(name) == 1, name


async def test_however_many_emails_of_a_call_are_throttled_the_gate_narrows_once(harness: Harness) -> None:
    harness.fake_aws.mailer.outcomes = [SendThrottled("slow")] * 10
    await deliver(harness, bulk(*range(10)))
    assert harness.fake_aws.gate.throttles == 1
    assert leases(harness) == {None}


async def test_a_gate_that_can_not_be_told_of_a_throttle_changes_no_outcome(harness: Harness) -> None:
    harness.fake_aws.mailer.outcomes = ["ses-0", SendThrottled("slow")]
    harness.fake_aws.gate.fail_next = ["throttled"]
    assert kept(await deliver(harness, bulk(0, 1))) == [1]
    assert statuses(harness, 0, 1) == ["sent", "sending"]


async def test_a_lost_answer_is_an_unknown_outcome_for_each_which_the_send_events_settle(
    harness: Harness,
) -> None:
    harness.fake_aws.mailer.outcomes = [Lost()] * 5
    events = bulk(*range(5))
    assert kept(await deliver(harness, events)) == [0, 1, 2, 3, 4]
    assert None not in leases(harness)
    assert not harness.fake_aws.status_events.published

    await harness.ses_reports_sends()
    assert set(statuses(harness, *range(5))) == {"sent"}
    assert await deliver(harness, events) == BatchAnswer()
    assert len(harness.fake_aws.mailer.sent) == 5


async def test_emails_of_a_lost_call_that_ses_never_reports_are_sent_again_after_the_window_alone(
    harness: Harness,
) -> None:
    """Of three emails in a lost call SES took two."""
    harness.fake_aws.mailer.outcomes = [Lost()] * 3
    events = bulk(0, 1, 2)
    await deliver(harness, events)
    never = next(key for key, sent in harness.fake_aws.mailer.sent.items() if sent.to == "1@example.com")
    del harness.fake_aws.mailer.sent[never]
    await harness.ses_reports_sends()

    assert kept(await deliver(harness, events)) == [1]  # the claim may still be alive
    harness.fake_aws.clock.advance(waits(harness)[1])
    assert kept(await deliver(harness, events)) == [1]  # now its outcome is unknown
    harness.fake_aws.clock.advance(RECONCILE)
    assert await deliver(harness, events) == BatchAnswer()
    assert recipients_of(harness) == ["0@example.com", "1@example.com", "2@example.com"]


async def test_a_bug_in_one_call_fails_its_emails_and_no_others(harness: Harness) -> None:
    harness = Harness(largest_call=2)
    harness.fake_aws.mailer.outcomes = ["ses-0", ZeroDivisionError("0@example.com")]
    assert kept(await deliver(harness, bulk(0, 1, 2, 3))) == [0, 1]
    assert statuses(harness, 2, 3) == ["sent", "sent"]
    assert None not in {row(harness, n).lease_until for n in (0, 1)}  # what went out of it nobody knows
    assert "example.com" not in str(harness.fake_aws.telemetry.events)


# -- files of the template bucket ----------------------------------------------------------------------------


def with_file(key: str) -> dict[str, Any]:
    return {"attachments": [{"fileName": "a.pdf", "contentType": "application/pdf", "s3Key": key}]}


async def test_a_file_that_many_emails_carry_is_fetched_once(harness: Harness) -> None:
    harness.fake_aws.templates.attachments["attachments/a"] = b"file"
    seen = KillSwitch()
    harness.fake_aws.switch(seen)
    assert await deliver(harness, bulk(0, 1, 2, **with_file("attachments/a"))) == BatchAnswer()
    assert seen.seen.count("templates.load_attachment:before") == 1
    assert {message.attachments[0].content for message in harness.fake_aws.mailer.sent.values()} == {b"file"}


async def test_a_batch_whose_files_would_fill_the_memory_leaves_in_several_invocations(
    harness: Harness,
) -> None:
    harness.fake_aws.templates.attachments["attachments/a"] = bytes(25_000_000)
    events = bulk(*range(5), **with_file("attachments/a"))
    assert kept(await deliver(harness, events)) == [2, 3, 4]
    assert waits(harness) == {2: 1, 3: 1, 4: 1}
    assert kept(await deliver(harness, events)) == [4]
    assert await deliver(harness, events) == BatchAnswer()
    assert len(harness.fake_aws.mailer.sent) == 5


async def test_a_file_that_goes_after_its_size_was_known_refuses_its_email_alone(harness: Harness) -> None:
    async def forget(point: str) -> None:
        if point == "templates.attachment_size:after":
            harness.fake_aws.templates.attachments.clear()

    harness.fake_aws.templates.attachments["attachments/a"] = b"file"
    harness.fake_aws.switch(forget)
    events = [*bulk(0), *bulk(1, **with_file("attachments/a"))]
    assert await deliver(harness, events) == BatchAnswer()
    assert statuses(harness, 0, 1) == ["sent", "failed"]


# -- held together -------------------------------------------------------------------------------------------


async def test_a_call_for_which_time_runs_out_is_not_begun_and_all_its_claims_are_free(
    harness: Harness,
) -> None:
    harness.fake_aws.gate.waits = [20.0]
    answer = await deliver(harness, bulk(*range(30)), lambda: 20.0 + TIME_FOR_A_SEND - 0.1)
    assert kept(answer) == list(range(30))
    assert not harness.fake_aws.mailer.calls
    assert not harness.fake_aws.sleep.naps
    assert leases(harness) == {None}
    assert set(waits(harness).values()) == {20}
    (fields,) = [fields for name, fields in harness.fake_aws.telemetry.events if name == "email-deferred"]
    assert fields == {"reason": "out-of-time", "emails": 30}
    assert await deliver(harness, bulk(*range(30))) == BatchAnswer()
    assert harness.fake_aws.mailer.calls == [30]


async def test_a_call_that_just_makes_it_is_sent(harness: Harness) -> None:
    harness.fake_aws.gate.waits = [20.0]
    assert await deliver(harness, bulk(0, 1), lambda: 20.0 + TIME_FOR_A_SEND) == BatchAnswer()
    assert sum(harness.fake_aws.sleep.naps) == 20.0


async def test_a_wait_that_is_shorter_than_the_way_to_ses_varies_by_is_none(harness: Harness) -> None:
    harness.fake_aws.gate.waits = [0.001]
    assert await deliver(harness, bulk(0, 1)) == BatchAnswer()
    assert harness.fake_aws.mailer.calls == [2]
    assert not harness.fake_aws.sleep.naps


async def test_nothing_leaves_before_the_requests_are_kept_for_a_retry(harness: Harness) -> None:
    harness.fake_aws.payloads.fail_next = ["save"]
    events = [*bulk(*range(59)), *bulk(59, **LARGE)]
    assert kept(await deliver(harness, events)) == list(range(60))
    assert not harness.fake_aws.mailer.calls
    assert leases(harness) == {None}
    assert await deliver(harness, events) == BatchAnswer()
    assert statuses(harness, 0, 59) == ["sent", "sent"]


async def test_a_long_wait_at_the_gate_hides_a_message_for_a_minute_at_most(harness: Harness) -> None:
    harness.fake_aws.gate.waits = [4000.0]
    await deliver(harness, bulk(0, 1))
    assert set(waits(harness).values()) == {60}


async def test_one_call_that_must_wait_does_not_hold_another() -> None:
    harness = Harness(largest_call=2)
    harness.fake_aws.gate.waits = [0.0, 100.0]
    assert kept(await deliver(harness, bulk(0, 1, 2, 3))) == [2, 3]
    assert recipients_of(harness) == ["0@example.com", "1@example.com"]


async def test_a_gate_that_is_away_holds_the_call_and_frees_all_its_claims(harness: Harness) -> None:
    harness.fake_aws.gate.fail_next = ["reserve"]
    assert kept(await deliver(harness, bulk(*range(5)))) == list(range(5))
    assert leases(harness) == {None}
    assert await deliver(harness, bulk(*range(5))) == BatchAnswer()
    assert len(harness.fake_aws.mailer.sent) == 5


async def test_a_claim_that_can_not_be_given_back_keeps_no_other_and_just_runs_out(harness: Harness) -> None:
    harness.fake_aws.gate.fail_next = ["reserve"]
    harness.fake_aws.ledger.fail_next = ["release"]
    events = bulk(0, 1, 2)
    assert kept(await deliver(harness, events)) == [0, 1, 2]
    held = [n for n in range(3) if row(harness, n).lease_until is not None]
    assert len(held) == 1
    assert kept(await deliver(harness, events)) == held
    harness.fake_aws.clock.advance(INVOCATION + LEASE_MARGIN + RECONCILE)
    assert await deliver(harness, events) == BatchAnswer()
    assert len(harness.fake_aws.mailer.sent) == 3


# -- the same email twice in a batch -------------------------------------------------------------------------


async def test_the_same_email_twice_in_a_batch_is_sent_and_told_once(harness: Harness) -> None:
    assert await deliver(harness, bulk(0, 1, 0, 0)) == BatchAnswer()
    assert harness.fake_aws.mailer.calls == [2]
    assert harness.fake_aws.status_events.statuses() == ["sent", "sent"]
    assert harness.fake_aws.quota.sends == {"2026-03-02": 2}


@pytest.mark.parametrize("outcome", [SendThrottled("slow"), SendingPaused("paused"), Lost()])
async def test_the_same_email_twice_stays_in_the_queue_with_its_first(harness: Harness, outcome: Any) -> None:
    harness.fake_aws.mailer.outcomes = [outcome]
    assert kept(await deliver(harness, bulk(0, 0))) == [0, 1]
    assert harness.fake_aws.mailer.calls == [1]


async def test_a_publish_that_failed_brings_both_deliveries_again(harness: Harness) -> None:
    harness.fake_aws.status_events.fail_next = ["publish"]
    assert kept(await deliver(harness, bulk(0, 0))) == [0, 1]
    assert await deliver(harness, bulk(0, 0)) == BatchAnswer()
    assert harness.fake_aws.status_events.statuses() == ["sent"]
    assert len(harness.fake_aws.mailer.sent) == 1


async def test_another_request_with_the_same_key_in_a_batch_is_refused_at_its_next_delivery(
    harness: Harness,
) -> None:
    first, second = (
        request_event(to=f"{n}@example.com", priority="bulk", idempotencyKey="order-7") for n in range(2)
    )
    assert kept(await deliver(harness, [first, second])) == [1]
    assert recipients_of(harness) == ["0@example.com"]
    assert await deliver(harness, [second]) == BatchAnswer()
    assert recipients_of(harness) == ["0@example.com"]
    assert [event.reason and event.reason.code for event in harness.fake_aws.status_events.published] == [
        None,
        "idempotency-conflict",
    ]


async def test_a_refused_request_twice_in_a_batch_is_told_once(harness: Harness) -> None:
    assert await deliver(harness, bulk(0, 0, to="nope")) == BatchAnswer()
    assert harness.fake_aws.status_events.statuses() == ["failed"]


async def test_dry_runs_of_one_email_in_a_batch_are_each_answered(harness: Harness) -> None:
    assert await deliver(harness, [*bulk(0, 0, dryRun=True), *bulk(0)]) == BatchAnswer()
    assert sorted(harness.fake_aws.status_events.statuses()) == ["dry_run", "dry_run", "sent"]
    assert len(harness.fake_aws.mailer.sent) == 1


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_an_email_is_its_own_whatever_a_dry_run_with_its_key_asks_for(
    harness: Harness, order: tuple[int, ...]
) -> None:
    harness.fake_aws.templates.templates["dry"] = FakeTemplate(
        "dry", rendered=replace(FakeTemplate("welcome").rendered, subject="Only a dry run")
    )
    harness.fake_aws.suppression.rows["3@example.com"] = SuppressionRow(email="3@example.com")
    dry_run = {"templateName": "dry", "dryRun": True, "to": "2@example.com"}
    asked = [*bulk(0), *bulk(0, **dry_run)], [*bulk(1, to="3@example.com"), *bulk(1, **dry_run)]
    await deliver(harness, [events[place] for events in asked for place in order])
    assert harness.subjects_sent == ["Hello"]
    assert statuses(harness, 0, 1) == ["sent", "failed"]
    request = kept_request(row(harness, 0))
    assert request
    assert request.to == "0@example.com"


# -- what is kept for a retry --------------------------------------------------------------------------------


async def test_large_requests_are_kept_under_the_claim_in_their_rows(harness: Harness) -> None:
    await deliver(harness, bulk(0, 1, **LARGE))
    (claim_id,) = {row.claim_id for row in harness.fake_aws.ledger.rows.values()}
    assert claim_id
    for number in (0, 1):
        request = await harness.fake_aws.payloads.read(claim_id, row(harness, number).email_id)
        assert request
        assert request.to == f"{number}@example.com"


async def test_an_email_that_is_taken_over_is_kept_under_its_new_claim(harness: Harness) -> None:
    harness.fake_aws.mailer.outcomes = [SendThrottled("slow"), SendThrottled("slow")]
    events = bulk(0, 1, **LARGE)
    await deliver(harness, events)
    before = row(harness, 0).claim_id
    await deliver(harness, events)
    after = row(harness, 0).claim_id
    assert after not in {None, before}
    assert harness.fake_aws.payloads.claims == {row(harness, n).email_id: after for n in (0, 1)}
