"""Reports come in any order, more than once, and the process may die at any await: the end is the same."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.fakes import FakeAws
from tests.support.harness import feedback_pipeline
from tests.support.ports import Killed, KillSwitch
from tests.support.reported import DSN, SENT, earlier_bounces, the_row, world_with
from tests.support.ses_examples import EMAIL_ID, Event, bounce, event, text

from engine.feedback.bounce_policy import SOFT_BOUNCE_LIMIT
from engine.schemas.rows import TrackingRow
from engine.tracking.lifecycle import RANK, Status

COPY = {"mail_destination": ["recipient@example.com", "c@x.org"]}
SENDING = replace(SENT, status="sending", status_rank=0, ses_message_id=None, sent_at=None)
RETRIED = replace(SENT, retry_attempt=1)

NEWS: dict[str, Event] = {
    "send": event("Send"),
    "reject": event("Reject"),
    "rendering failure": event("Rendering Failure"),
    "hard bounce": event("Bounce"),
    "complaint": event("Complaint"),
    "not spam": event("Complaint", complaintFeedbackType="not-spam", feedbackId="other"),
    "delivery": event("Delivery"),
    "open": event("Open"),
    "click": event("Click"),
    "delay": event("DeliveryDelay"),
    "subscription": event("Subscription"),
    "mailbox full": bounce("Transient", "MailboxFull", feedbackId="full", **DSN),
    "out of office": bounce("Transient", "General", feedbackId="ooo"),
    "general": bounce("Transient", "General", feedbackId="general", **DSN),
    "late 5.x.x": bounce("Transient", "General", feedbackId="late", status="5.4.7", action="failed"),
    "content": bounce("Transient", "ContentRejected", feedbackId="content", status="5.7.1"),
    "full for good": bounce("Transient", "MailboxFull", feedbackId="5.2.2", status="5.2.2", action="failed"),
    "on a list": bounce("Permanent", "OnAccountSuppressionList", feedbackId="list"),
    "undetermined": bounce("Undetermined", "Undetermined", feedbackId="?"),
    "copy bounced": bounce("Permanent", "NoEmail", to="c@x.org", feedbackId="copy", **COPY),
    "copy complained": event(
        "Complaint", complainedRecipients=[{"emailAddress": "c@x.org"}], feedbackId="cc", **COPY
    ),
}
GENERAL = {"out of office", "general", "late 5.x.x"}
STARTS = {"sending": SENDING, "sent": SENT, "retry": RETRIED}


def lived_through(start: TrackingRow, names: Sequence[str], earlier: int = 0) -> FakeAws:
    fake_aws = world_with(start, *earlier_bounces(earlier))
    asyncio.run(feedback_pipeline(fake_aws).process([text(NEWS[name]) for name in names]))
    return fake_aws


def end(fake_aws: FakeAws) -> tuple[str, int, frozenset[str], int]:
    row = the_row(fake_aws)
    return (
        row.status,
        row.status_rank,
        frozenset(fake_aws.suppression.rows),
        sum(fake_aws.quota.bounces.values()),
    )


@pytest.mark.parametrize("earlier", [0, 13, 14, 20])
@given(
    start=st.sampled_from(sorted(STARTS)),
    names=st.lists(st.sampled_from(sorted(NEWS)), min_size=1, max_size=7),
    random=st.randoms(use_true_random=False),
)
@settings(max_examples=200, deadline=None)
def test_every_order_and_repetition_ends_the_same(
    earlier: int, start: str, names: list[str], random: Random
) -> None:
    # The one pair whose end depends on its order: docs/decisions/0010-ses-verdict-decides-a-bounce.md
    assume(GENERAL.isdisjoint(names) or (start != "retry" and earlier < SOFT_BOUNCE_LIMIT - 1))
    shuffled = names + random.choices(names, k=3)
    random.shuffle(shuffled)
    once = lived_through(STARTS[start], list(dict.fromkeys(names)), earlier)
    assert end(lived_through(STARTS[start], shuffled, earlier)) == end(once)


@given(start=st.sampled_from(sorted(STARTS)), names=st.lists(st.sampled_from(sorted(NEWS)), max_size=8))
@settings(max_examples=100, deadline=None)
def test_rank_never_goes_down_and_every_status_reached_is_told(start: str, names: list[str]) -> None:
    fake_aws = world_with(STARTS[start])
    reached = [the_row(fake_aws).status]
    for name in names:
        asyncio.run(feedback_pipeline(fake_aws).process([text(NEWS[name])]))
        reached.append(the_row(fake_aws).status)
    ranks = [RANK[Status(status)] for status in reached]
    assert ranks == sorted(ranks)
    assert set(reached[1:]) - {reached[0]} <= set(fake_aws.status_events.statuses(EMAIL_ID))


@given(start=st.sampled_from(sorted(STARTS)), names=st.lists(st.sampled_from(sorted(NEWS)), max_size=8))
@settings(max_examples=100, deadline=None)
def test_at_most_one_retry_for_each_report_and_none_of_a_retry(start: str, names: list[str]) -> None:
    fake_aws = lived_through(STARTS[start], names)
    attempts = {message.retry_attempt for message, _ in fake_aws.retry_queue.retries}
    assert attempts <= (set() if start == "retry" else {1})


def killed_at(point: int | None, start: TrackingRow, name: str) -> tuple[FakeAws, KillSwitch]:
    """The world after a process died at its n-th await while it handled `name`, or didn't."""
    fake_aws = world_with(start)
    switch = KillSwitch(point)
    fake_aws.switch(switch)
    with suppress(Killed):
        asyncio.run(feedback_pipeline(fake_aws).process([text(NEWS[name])]))
    fake_aws.switch(None)
    return fake_aws, switch


@pytest.mark.parametrize("name", sorted(NEWS))
@pytest.mark.parametrize("start", sorted(STARTS))
def test_a_process_killed_at_any_await_loses_nothing_once_the_report_comes_again(
    start: str, name: str
) -> None:
    unharmed, points = killed_at(None, STARTS[start], name)
    assert points.seen
    for point in range(len(points.seen)):
        fake_aws, _ = killed_at(point, STARTS[start], name)
        asyncio.run(feedback_pipeline(fake_aws).process([text(NEWS[name])]))
        assert end(fake_aws)[:3] == end(unharmed)[:3]
        assert the_row(fake_aws) == the_row(unharmed)
        assert set(fake_aws.status_events.statuses()) == set(unharmed.status_events.statuses())
        assert bool(fake_aws.retry_queue.retries) == bool(unharmed.retry_queue.retries)
        assert end(fake_aws)[3] <= end(unharmed)[3]  # a bounce is counted at most once, and may be lost


@pytest.mark.parametrize("point", range(12))
def test_what_a_killed_process_did_not_tell_is_told_even_after_later_news(point: int) -> None:
    fake_aws, _ = killed_at(point, SENT, "out of office")
    asyncio.run(feedback_pipeline(fake_aws).process([text(NEWS["delivery"])]))
    moved_before = the_row(fake_aws).soft_bounced_at is not None
    asyncio.run(feedback_pipeline(fake_aws).process([text(NEWS["out of office"])]))
    assert the_row(fake_aws).status == "delivered"
    assert ("soft_bounced" in fake_aws.status_events.statuses()) is moved_before


@pytest.mark.parametrize("point", range(12))
def test_a_failed_retry_is_told_even_where_an_open_came_in_between(point: int) -> None:
    fake_aws, _ = killed_at(point, RETRIED, "general")
    failed_before = the_row(fake_aws).failed_at is not None
    asyncio.run(feedback_pipeline(fake_aws).process([text(NEWS["open"]), text(NEWS["general"])]))
    assert ("failed" in fake_aws.status_events.statuses()) is failed_before


def test_the_kill_switch_reaches_every_effect_of_a_bounce() -> None:
    _, hard = killed_at(None, SENT, "hard bounce")
    _, soft = killed_at(None, SENT, "mailbox full")
    effects = {seen.partition(":")[0] for seen in hard.seen + soft.seen}
    assert effects == {
        "ledger.read",
        "soft_bounces.add",
        "ledger.advance",
        "ledger.mark",
        "ledger.note",
        "suppression.add",
        "quota.count_bounce",
        "payloads.read",
        "retry_queue.schedule_retry",
        "status_events.publish",
    }
