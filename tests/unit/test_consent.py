"""Mail with a topic asks whether its recipient still wants it; mail without one never does."""

from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.cloud import request_event
from tests.support.fakes import FakeTemplate
from tests.support.harness import Harness

from engine.errors import FailureCode
from engine.requests.email_job import email_id
from engine.schemas.envelopes import BatchAnswer
from engine.schemas.rows import SuppressionRow, TrackingRow
from engine.schemas.status import EmailStatusChanged, Reason
from engine.tracking.consent import opt_out, opt_out_keys

SINCE = "2026-03-01T08:00:00.000Z"


@pytest.fixture
def harness() -> Harness:
    harness = Harness()
    harness.fake_aws.templates.templates["newsletter"] = FakeTemplate("newsletter", topic="news")
    return harness


def opt(harness: Harness, key: str, kind: str = "unsubscribe") -> None:
    row = SuppressionRow(email=key, suppression_type=kind, added_to_suppression_date=SINCE)
    harness.fake_aws.suppression.rows[key] = row


async def ask(harness: Harness, **detail: Any) -> EmailStatusChanged:
    answer = await harness.ask(**detail)
    assert isinstance(answer, EmailStatusChanged)
    return answer


def looks(harness: Harness) -> list[str]:
    seen: list[str] = []

    async def reach(point: str) -> None:
        if point.startswith("pre_send.") and point.endswith(":before"):
            seen.append(point)

    harness.fake_aws.switch(reach)
    return seen


def test_an_opt_out_holds_for_its_topic_and_that_of_all_for_every_topic() -> None:
    rows = {"news#ada@example.com": SuppressionRow(email="news#ada@example.com")}
    assert opt_out("news", "ada@example.com", rows)
    assert not opt_out("offers", "ada@example.com", rows)
    assert not opt_out("news", "bob@example.com", rows)
    assert not opt_out(None, "ada@example.com", rows)
    assert opt_out("offers", "ada@example.com", {"*#ada@example.com": SuppressionRow(email="")})
    assert opt_out_keys("news", "ada@example.com") == ("*#ada@example.com", "news#ada@example.com")


@pytest.mark.parametrize(
    ("key", "scope"),
    [
        ("news#ada@example.com", "topic 'news'"),
        ("*#ada@example.com", "every topic"),
        ("ada@example.com", "every topic"),
    ],
)
async def test_mail_with_a_topic_is_refused_for_whoever_has_unsubscribed(
    harness: Harness, key: str, scope: str
) -> None:
    opt(harness, key)
    answer = await ask(harness, topic="news", to="Ada@Example.com")
    message = f"the recipient has been unsubscribed from {scope} since {SINCE}"
    assert answer.reason == Reason(code=FailureCode.UNSUBSCRIBED, message=message)
    assert (harness.row.status, harness.row.topic) == ("failed", "news")
    assert not harness.fake_aws.mailer.sent


@pytest.mark.parametrize("key", ["news#ada@example.com", "*#ada@example.com", "ada@example.com"])
async def test_no_opt_out_can_stop_a_password_reset(harness: Harness, key: str) -> None:
    opt(harness, key)
    assert (await ask(harness)).status == "sent"


async def test_another_topic_goes_on(harness: Harness) -> None:
    opt(harness, "news#ada@example.com")
    assert (await ask(harness, topic="offers")).status == "sent"


async def test_every_other_suppression_stops_mail_with_a_topic_as_all_other(harness: Harness) -> None:
    opt(harness, "ada@example.com", kind="bounce")
    for detail in ({}, {"topic": "news"}):
        answer = await ask(harness, **detail)
        assert answer.reason is not None
        assert answer.reason.code == "suppressed"


async def test_copies_that_have_unsubscribed_are_left_out_and_the_others_get_theirs(harness: Harness) -> None:
    opt(harness, "news#bob@example.com")
    opt(harness, "*#cy@example.com")
    answer = await ask(
        harness, topic="news", cc=["Bob@example.com", "di@example.com"], bcc=["cy@example.com"]
    )
    (message,) = harness.fake_aws.mailer.sent.values()
    assert (message.cc, message.bcc) == (("di@example.com",), ())
    assert answer.reason is not None
    assert answer.reason.message == "2 of cc and bcc left out: they are suppressed or unsubscribed"


# -- the template's topic --------------------------------------------------------------------------------


@pytest.mark.parametrize("seen_before", [False, True])
async def test_the_topic_of_a_template_counts_whether_or_not_it_is_known_yet(
    harness: Harness,
    seen_before: bool,  # noqa: FBT001 - a parameter
) -> None:
    if seen_before:
        await ask(harness, templateName="newsletter", to="bob@example.com")
    opt(harness, "news#ada@example.com")
    answer = await ask(harness, templateName="newsletter")
    assert answer.reason is not None
    assert answer.reason.code == "unsubscribed"


async def test_the_topic_of_a_request_wins_over_that_of_its_template(harness: Harness) -> None:
    opt(harness, "news#ada@example.com")
    assert (await ask(harness, templateName="newsletter", topic="offers")).status == "sent"
    opt(harness, "offers#ada@example.com")
    assert (await ask(harness, templateName="newsletter", topic="offers")).status == "failed"


async def test_a_known_template_and_a_topic_of_the_request_ask_in_the_one_read_of_the_batch(
    harness: Harness,
) -> None:
    await ask(harness, templateName="newsletter")
    seen = looks(harness)
    await ask(harness, templateName="newsletter")
    await ask(harness, topic="offers")
    assert seen == ["pre_send.read:before"] * 2


async def test_a_template_that_only_now_tells_its_topic_costs_one_further_read(harness: Harness) -> None:
    seen = looks(harness)
    await harness.deliver(
        *(request_event(templateName="newsletter", to=f"{n}@example.com", priority="bulk") for n in range(3))
    )
    assert seen == ["pre_send.read:before", "pre_send.read_opt_outs:before"]
    assert {row.topic for row in harness.fake_aws.ledger.rows.values()} == {"news"}


async def test_a_template_whose_topic_has_changed_is_asked_by_its_new_one(harness: Harness) -> None:
    await ask(harness, templateName="newsletter", to="bob@example.com")
    opt(harness, "offers#ada@example.com")
    templates = harness.fake_aws.templates

    async def reach(point: str) -> None:
        if point == "templates.load:before":
            templates.templates["newsletter"] = FakeTemplate("newsletter", topic="offers")

    templates.on_await = reach
    assert (await ask(harness, templateName="newsletter")).status == "failed"


async def test_nothing_with_a_topic_is_sent_while_consent_cannot_be_read(harness: Harness) -> None:
    harness.fake_aws.pre_send.fail_next = ["read_opt_outs"]
    await harness.ask(templateName="newsletter")
    assert not harness.fake_aws.mailer.sent
    assert len(harness.fake_aws.retry_queue.deferred) == 1


# -- expiry ----------------------------------------------------------------------------------------------

# The time of a test's requests is 2026-11-24T08:00:00Z; the clock of its fakes stands at 2026-03-02T09:30.
REQUESTED, NOON = "2026-03-02T09:30:00Z", "2026-03-02T12:00:00Z"


@pytest.fixture
def resets(harness: Harness) -> Harness:
    """A template whose emails are valid for half an hour."""
    harness.fake_aws.templates.templates["reset"] = FakeTemplate("reset", valid_for_seconds=1800)
    return harness


def reset_event(**detail: Any) -> dict[str, Any]:
    return {**request_event(event_id="e-1", templateName="reset", **detail), "time": REQUESTED}


def expired(row: TrackingRow) -> str | None:
    return row.failure_reason if row.failure_code == "expired" else None


async def test_an_email_that_could_not_leave_in_time_fails_and_does_not_leave(harness: Harness) -> None:
    await ask(harness, expiresAt="2026-03-02T10:29:59+01:00")
    assert "could not be sent by 2026-03-02T09:29:59.000Z" in (expired(harness.row) or "")
    assert not harness.fake_aws.mailer.sent


@pytest.mark.parametrize(
    "moment", ["2026-03-02T09:29Z", "2026-03-02T10:29:59+0100", "20260302T092959Z", "2026-03-02 09:29:59.9z"]
)
async def test_the_moment_may_be_written_in_any_form_of_iso_8601(harness: Harness, moment: str) -> None:
    await ask(harness, expiresAt=moment)
    assert expired(harness.row)


async def test_until_the_moment_that_it_names_it_is_sent(harness: Harness) -> None:
    assert (await ask(harness, expiresAt="2026-03-02T09:30:00Z")).status == "sent"


@pytest.mark.parametrize(("late", "statuses"), [(1800, ["sent"]), (1801, ["failed"])])
async def test_the_seconds_of_a_template_count_from_the_request(
    resets: Harness, late: float, statuses: list[str]
) -> None:
    resets.fake_aws.clock.advance(late)
    assert await resets.deliver(reset_event()) == BatchAnswer()
    assert resets.fake_aws.status_events.statuses() == statuses


async def test_what_the_request_says_wins_over_the_template(resets: Harness) -> None:
    resets.fake_aws.clock.advance(3600)
    assert await resets.deliver(reset_event(expiresAt=NOON)) == BatchAnswer()
    assert resets.row.status == "sent"


async def test_an_email_that_expires_while_it_waits_for_its_slot_does_not_leave(resets: Harness) -> None:
    resets.fake_aws.clock.advance(1795)
    resets.fake_aws.gate.waits = [10.0]
    await resets.deliver(reset_event())
    assert expired(resets.row)
    assert not resets.fake_aws.mailer.sent


async def test_deferred_mail_comes_back_when_it_expires_and_is_told_then(resets: Harness) -> None:
    """A pause makes it wait longer with every receive; nobody wants to hear of it hours later."""
    resets.fake_aws.clock.advance(1700)
    resets.fake_aws.gate.fail_next = ["reserve"]
    await resets.deliver(reset_event(), receives=20)
    ((_, _, hidden),) = resets.fake_aws.retry_queue.held
    assert hidden == 101
    resets.fake_aws.clock.advance(hidden)
    await resets.deliver(reset_event(), receives=21)
    assert expired(resets.row)


async def test_mail_that_has_expired_spends_no_receives_while_it_cannot_be_told(resets: Harness) -> None:
    resets.fake_aws.clock.advance(1900)
    resets.fake_aws.pre_send.fail_next = ["read"]
    await resets.deliver(reset_event(), receives=20)
    ((_, _, hidden),) = resets.fake_aws.retry_queue.held
    assert hidden == 600


async def test_a_retry_expires_as_its_original_does(resets: Harness) -> None:
    original = email_id("shop", "e-1")
    await resets.deliver(reset_event())
    row = replace(resets.row, status="soft_bounced", status_rank=2)
    resets.fake_aws.ledger.put(row)
    data = {"to": "ada@example.com", "templateName": "reset", "originalEmailId": original}
    resets.fake_aws.clock.advance(1801)
    await resets.deliver({"originalEmailData": data, "retryAttempt": 1, "bounceHistory": []})
    assert len(resets.fake_aws.mailer.sent) == 1
    assert resets.fake_aws.status_events.statuses()[-1] == "failed"


async def test_a_dry_run_says_that_it_has_expired(harness: Harness) -> None:
    answer = await ask(harness, expiresAt="2026-03-02T09:00:00Z", dryRun=True)
    assert answer.reason is not None
    assert (answer.status, answer.reason.code) == ("dry_run", "expired")


async def test_a_template_that_never_expires_for_its_number_is_too_large_takes_no_batch_along(
    harness: Harness,
) -> None:
    """The end of such an email lies beyond the calendar; the emails beside it are sent and recorded."""
    odd = FakeTemplate("odd", valid_for_seconds=10**12)
    harness.fake_aws.templates.templates["odd"] = odd
    harness.fake_aws.pre_send.stop("stop#template#odd")
    events = [request_event(templateName=name, priority="bulk") for name in ("odd", "welcome")]
    assert await harness.deliver(*events) == BatchAnswer()
    assert sorted(row.status for row in harness.fake_aws.ledger.rows.values()) == ["sending", "sent"]
    assert len(harness.fake_aws.retry_queue.parked) == 1


async def test_a_time_that_utc_does_not_have_is_refused_by_its_field(harness: Harness) -> None:
    answer = await ask(harness, expiresAt="0001-01-01T00:00:00+01:00")
    assert answer.reason
    assert (answer.reason.code, answer.reason.message[:10]) == (FailureCode.VALIDATION, "expiresAt:")


async def test_a_refusal_keeps_the_topic_that_only_the_template_told(harness: Harness) -> None:
    opt(harness, "*#ada@example.com")
    answer = await ask(harness, templateName="newsletter")
    assert answer.reason
    assert answer.reason.code == FailureCode.UNSUBSCRIBED
    assert harness.row.topic == "news"
