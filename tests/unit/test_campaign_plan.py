"""How long a campaign takes at a rate and a daily quota, and what is said of it."""

import math
from datetime import timedelta

import pytest

from engine.operations.campaign import Counts
from engine.operations.campaign_plan import CampaignPlan, in_words, judge_plan
from engine.operations.campaign_report import CampaignReport, judge, over_limits
from engine.operations.capacity import environments, sending_time
from engine.operations.ses_account import SesAccount

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("recipients", "quota", "left", "expected"),
    [
        (1_000, None, None, timedelta(seconds=100)),
        (1_000, 50_000, 1_000, timedelta(seconds=100)),
        (1_001, 50_000, 1_000, DAY + timedelta(seconds=0.1)),
        (51_000, 50_000, 1_000, DAY + timedelta(seconds=5_000)),
        (51_001, 50_000, 1_000, 2 * DAY + timedelta(seconds=0.1)),
        (100, 50_000, 0, DAY + timedelta(seconds=10)),
    ],
)
def test_what_the_quota_does_not_let_go_today_goes_after_a_day_each(
    recipients: int, quota: float | None, left: float | None, expected: timedelta
) -> None:
    assert sending_time(recipients, 10, quota, left) == expected


def test_as_many_environments_are_busy_as_invocations_are_under_way() -> None:
    assert environments(200, 50, 0.35) == 2
    assert environments(1_000, 50, 0.35) == 7


def plan(seconds: float, *, emails: int = 10, **account: bool) -> CampaignPlan:
    asked = {"sending_enabled": True, "production": True} | account
    return CampaignPlan(
        rows=10,
        bad_rows=0,
        repeated=0,
        kept_from={},
        emails=emails,
        recipients=emails,
        account=SesAccount(
            enforcement="HEALTHY", max_send_rate=14, daily_quota=50_000, sent_last_24_hours=0, **asked
        ),
        rate=14,
        daily_quota=50_000,
        left_today=50_000,
        seconds=seconds,
        concurrency=2,
        dollars=1,
        dollars_essentials=2,
    )


def test_a_campaign_that_sqs_would_not_keep_is_to_be_sent_in_parts() -> None:
    assert judge_plan(plan(14 * 86_400)).good
    verdict = judge_plan(plan(15 * 86_400))
    assert not verdict.good
    assert "--max-per-day 50000" in verdict.sentence


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (plan(0, emails=0), "Nobody"),
        (plan(1, sending_enabled=False), "paused"),
        (plan(1, production=False), "sandbox"),
        (plan(math.inf), "nothing"),
    ],
)
def test_what_keeps_a_campaign_from_going_is_said(facts: CampaignPlan, said: str) -> None:
    verdict = judge_plan(facts)
    assert not verdict.good
    assert said in verdict.sentence


def test_times_are_said_in_the_unit_that_fits() -> None:
    times = [in_words(seconds) for seconds in (0, 119, 120, 7_200, 36_000, 86_400 * 3.25, math.inf)]
    assert times == ["1 seconds", "119 seconds", "2 minutes", "2.0 hours", "10 hours", "3.2 days", "never"]


def counts(**by_status: int) -> Counts:
    return Counts(emails=sum(by_status.values()), by_status=by_status, by_code={})


def test_rates_are_of_what_ses_took() -> None:
    assert over_limits(counts(delivered=90, bounced=5, failed=900, waiting=900), 5.3, 0.1) is None
    assert (
        over_limits(counts(delivered=90, bounced=5, failed=900), 5.0, 0.1) == "5.26 % bounced, more than 5 %."
    )
    assert over_limits(counts(delivered=998, complained=2), 5, 0.1) == "0.20 % complained, more than 0.1 %."
    assert over_limits(counts(waiting=3), 5, 0.1) is None


def test_too_many_bounces_come_before_what_failed_of_a_template() -> None:
    found = CampaignReport(
        campaign="spring",
        since="2026-11-20",
        from_file=False,
        counts=Counts(
            emails=1_200,
            by_status={"delivered": 900, "bounced": 200, "failed": 100},
            by_code={"failed template-error": 100},
        ),
        bounce_rate=18.2,
        complaint_rate=0.0,
        brakes=[],
        queues={},
    )
    assert (judge(found, "").next_command or "").startswith("sesmailengine stop --campaign spring")
