"""The bounce quota stops the sender before SES stops the account, and doesn't stop it for nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import FailureCode
from engine.tracking.bounce_quota import QuotaPolicy, QuotaReading, counts, refuse_over_quota

POLICY = QuotaPolicy(threshold=5, min_sends=100)


def test_a_rate_over_the_threshold_refuses() -> None:
    refusal = refuse_over_quota(QuotaReading(sends=1000, bounces=51), POLICY)
    assert refusal is not None
    assert refusal.code is FailureCode.BOUNCE_RATE_EXCEEDED
    assert "5.10 % (51 of 1000 recipients)" in refusal.message
    assert "BOUNCE_RATE_THRESHOLD = 5" in refusal.message


def test_a_rate_at_the_threshold_is_allowed() -> None:
    assert refuse_over_quota(QuotaReading(sends=1000, bounces=50), POLICY) is None


@pytest.mark.parametrize("sends", [0, 1, 99])
def test_one_of_one_does_not_stop_a_business(sends: int) -> None:
    assert refuse_over_quota(QuotaReading(sends=sends, bounces=sends), POLICY) is None


def test_the_sample_binds_from_its_first_recipient_on() -> None:
    assert refuse_over_quota(QuotaReading(sends=100, bounces=6), POLICY) is not None


def test_no_sends_are_no_rate_even_without_a_minimum() -> None:
    assert refuse_over_quota(QuotaReading(0, 3), QuotaPolicy(threshold=0, min_sends=0)) is None


@given(
    st.integers(0, 10_000), st.integers(0, 10_000), st.floats(0, 100, allow_nan=False), st.integers(0, 1_000)
)
def test_another_bounce_never_lifts_a_refusal(sends: int, bounces: int, threshold: float, least: int) -> None:
    policy = QuotaPolicy(threshold, least)
    if refuse_over_quota(QuotaReading(sends, bounces), policy):
        assert refuse_over_quota(QuotaReading(sends, bounces + 1), policy)


@pytest.mark.parametrize("address", ["bounce@simulator.amazonses.com", "bounce+a1@Simulator.AmazonSES.com"])
def test_the_mailbox_simulator_does_not_count(address: str) -> None:
    assert not counts(address)


@pytest.mark.parametrize("address", ["a@example.com", "a@notsimulator.amazonses.com.example.com"])
def test_every_other_address_counts(address: str) -> None:
    assert counts(address)
