"""`sesmailengine send` at a pace, by name, and again for what was lost."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.cloud import Cloud, queue_event
from tests.support.operators import Operator
from typer.testing import Result

from engine.cli.campaign import run as run_module
from engine.handlers.email_sender import handler


class Time:
    """Passes by sleeping alone. `naps` in seconds; `on_nap` is done while it sleeps."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 20, tzinfo=UTC)
        self.naps: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += timedelta(seconds=seconds)


class Campaign:
    """A file of ten rows, and the requests that have come onto the bus."""

    def __init__(self, cloud: Cloud, file: Path) -> None:
        self._cloud = cloud
        self.file = file
        rows = [f"user{number}@example.com,User {number}" for number in range(10)]
        file.write_text("\n".join(["to,name", *rows]) + "\n")
        cloud.route_requests()

    def send(self, *options: str) -> Result:
        command = ("send", "--template", "welcome", "--recipients", str(self.file))
        return Operator(self._cloud).run(*command, *options)

    def arrived(self) -> list[dict[str, Any]]:
        """Events with the requests since the last look."""
        return [json.loads(body) for body in self._cloud.messages(self._cloud.bulk_queue)]

    def deliver(self) -> int:
        """Let the engine send what has arrived; how many those were."""
        return _deliver(self.arrived())

    def becomes(self, to: str, status: str) -> None:
        row = next(row for row in self._cloud.rows() if row["toEmail"] == to)
        self._cloud.dynamodb.update_item(
            TableName=self._cloud.name("EmailTracking"),
            Key={"emailId": {"S": row["emailId"]}},
            UpdateExpression="SET #s = :s",
            ExpressionAttributeNames={"#s": "status"},
            ExpressionAttributeValues={":s": {"S": status}},
        )


def _deliver(events: list[dict[str, Any]]) -> int:
    for event in events:  # one at a time: moto has no batches of PartiQL
        assert handler(queue_event(event)) == {"batchItemFailures": []}
    return len(events)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(run_module, "now", lambda: time.now)
    monkeypatch.setattr(run_module, "_sleep", time.sleep)
    return time


@pytest.fixture
def campaign(cloud: Cloud, tmp_path: Path) -> Campaign:
    return Campaign(cloud, tmp_path / "customers.csv")


def test_every_request_of_a_campaign_carries_its_name(campaign: Campaign) -> None:
    assert campaign.send("--campaign", "spring").exit_code == 0
    assert {event["detail"]["campaign"] for event in campaign.arrived()} == {"spring"}
    assert campaign.send("--campaign", "no.dots").exit_code == 2


# -- the first alone -----------------------------------------------------------------------------------------


@pytest.fixture
def delivering(campaign: Campaign, time: Time, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The engine sends while the campaign waits; how many each time."""
    sent: list[int] = []

    async def sleep(seconds: float) -> None:
        await time.sleep(seconds)
        sent.append(campaign.deliver())

    monkeypatch.setattr(run_module, "_sleep", sleep)
    return sent


def test_the_rest_goes_when_the_first_fare_well(
    campaign: Campaign, time: Time, delivering: list[int]
) -> None:
    result = campaign.send("--first", "3", "--then-wait", "45m")
    assert result.exit_code == 0, result.output
    assert "The first 3: 3 sent." in result.output
    assert "10 emails accepted." in result.output
    assert time.naps == [45 * 60]
    assert delivering == [3]
    assert len(campaign.arrived()) == 7


def test_the_rest_stays_when_too_many_of_the_first_bounce_until_told_otherwise(
    campaign: Campaign, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sleep(seconds: float) -> None:
        await time.sleep(seconds)
        campaign.deliver()
        campaign.becomes("user1@example.com", "bounced")

    monkeypatch.setattr(run_module, "_sleep", sleep)
    result = campaign.send("--first", "3")
    assert result.exit_code == 1
    assert "33.33 % bounced, more than 5 %." in result.output
    assert "or without --first to go on all the same" in result.output
    again = campaign.send("--first", "3")
    assert again.exit_code == 1
    assert len(time.naps) == 1  # the wait is over; it only looks again
    assert campaign.send("--first", "3", "--most-bounces", "50").exit_code == 0
    assert len(campaign.arrived()) == 7


def test_the_rest_stays_where_the_first_have_not_left(campaign: Campaign, time: Time) -> None:
    result = campaign.send("--first", "4", "--then-wait", "90s")
    assert result.exit_code == 1
    assert "Only 0 of 4 have left, too few to tell." in result.output
    assert time.naps == [90]
    assert campaign.deliver() == 4
    assert campaign.send("--first", "4", "--then-wait", "90s").exit_code == 0
    assert len(campaign.arrived()) == 6


# -- so many a day -------------------------------------------------------------------------------------------


def test_no_more_than_the_day_s_share_is_asked_for_in_a_day(campaign: Campaign, time: Time) -> None:
    result = campaign.send("--max-per-day", "4")
    assert result.exit_code == 0, result.output
    assert "Run the same command again from 2026-11-25 00:00 UTC on." in result.output
    assert len(campaign.arrived()) == 4
    assert campaign.send("--max-per-day", "4").exit_code == 0
    assert not campaign.arrived()
    time.now += timedelta(hours=4)
    campaign.send("--max-per-day", "4")
    assert len(campaign.arrived()) == 4
    time.now += timedelta(days=1)
    assert "2 emails accepted. 8 were before." in campaign.send("--max-per-day", "4").output


def test_it_can_wait_for_the_next_days(campaign: Campaign, time: Time) -> None:
    result = campaign.send("--max-per-day", "4", "--wait")
    assert result.exit_code == 0, result.output
    assert "10 emails accepted." in result.output
    assert time.naps == [4 * 3600, 24 * 3600]
    assert len(campaign.arrived()) == 10


# -- what was lost -------------------------------------------------------------------------------------------


def test_what_the_ledger_has_never_seen_is_asked_for_again_under_its_keys(
    cloud: Cloud, campaign: Campaign
) -> None:
    campaign.send("--bulk")
    events = campaign.arrived()
    lost = {event["detail"]["idempotencyKey"] for event in events[:3]}
    _deliver(events[3:])
    result = campaign.send("--bulk", "--missing")
    assert result.exit_code == 0, result.output
    assert "3 emails accepted." in result.output
    assert {event["detail"]["idempotencyKey"] for event in campaign.arrived()} == lost
    assert len(cloud.rows()) == 7


def test_nothing_is_asked_for_again_while_emails_wait_in_queues_unless_told(campaign: Campaign) -> None:
    campaign.send("--bulk")
    result = campaign.send("--bulk", "--missing")
    assert result.exit_code == 1
    assert "10 emails wait in the queues" in result.output
    assert campaign.send("--bulk", "--missing", "--yes").exit_code == 0
    assert len(campaign.arrived()) == 20


def test_without_the_file_that_tells_its_keys_nothing_counts_as_never_seen(campaign: Campaign) -> None:
    """Under new keys every row would be another email."""
    campaign.send("--bulk")
    campaign.deliver()
    campaign.file.with_name(f"{campaign.file.name}.progress").unlink()
    result = campaign.send("--bulk", "--missing")
    assert result.exit_code == 1
    assert "name it with --state" in " ".join(result.output.split())
    assert campaign.arrived() == []
