"""How long a deferred email waits, and how long a hundred receives last."""

import pytest

from engine.delivery.retry_delay import (
    RECEIVES,
    SQS_LONGEST_VISIBILITY,
    visibility,
    visibility_of_broken,
    wait_before,
)
from engine.sending.results import DeferralReason

HOUR = 3600
DAY = 24 * HOUR
RETENTION = 14 * DAY


def waits(reason: DeferralReason) -> list[int]:
    """Those of a message that is held for one reason at every receive it has."""
    return [visibility(reason, receives) for receives in range(1, RECEIVES + 1)]


@pytest.mark.parametrize("reason", DeferralReason)
def test_waits_grow_with_every_receive(reason: DeferralReason) -> None:
    assert waits(reason) == sorted(waits(reason))
    assert wait_before(reason, 0) == wait_before(reason, 1)  # a count that is missing


@pytest.mark.parametrize("reason", DeferralReason)
def test_deferred_mail_waits_for_days_and_has_days_left_in_the_dead_letter_queue(
    reason: DeferralReason,
) -> None:
    """SQS deletes a message fourteen days after it was sent, however often it changed its queue."""
    assert 2 * DAY <= sum(waits(reason)) <= RETENTION - 5 * DAY


def test_a_pause_of_a_week_keeps_mail_from_the_dead_letter_queue() -> None:
    assert sum(waits(DeferralReason.PAUSED)) > 7 * DAY


@pytest.mark.parametrize("reason", DeferralReason)
def test_no_wait_is_long_beside_the_time_that_the_email_has_waited(reason: DeferralReason) -> None:
    """So mail goes on soon after whatever held it is over."""
    waited = 0
    for wait in waits(reason):
        assert wait <= max(1800, waited / 5)
        waited += wait


@pytest.mark.parametrize("receives", [1, 40, 70])
def test_mail_that_only_lacked_a_slot_comes_back_first(receives: int) -> None:
    """After a long pause the receives are many, and so would be the wait, where sending goes on."""
    out_of_time = visibility(DeferralReason.OUT_OF_TIME, receives)
    assert out_of_time < visibility(DeferralReason.PAUSED, receives) / 10
    assert out_of_time <= 180


def test_who_knows_how_long_to_wait_is_believed() -> None:
    assert wait_before(DeferralReason.OUT_OF_TIME, 1, 12.2) == 13
    assert wait_before(DeferralReason.PAUSED, 1, 12.2) == 60


def test_nothing_is_hidden_longer_than_sqs_allows_from_the_receive_on() -> None:
    assert visibility(DeferralReason.OUTCOME_UNKNOWN, 1, 13 * HOUR) == SQS_LONGEST_VISIBILITY
    assert SQS_LONGEST_VISIBILITY + 900 <= 12 * HOUR


def test_what_broke_lies_in_the_dead_letter_queue_within_a_day() -> None:
    assert sum(visibility_of_broken(receives) for receives in range(1, RECEIVES + 1)) < DAY
