"""`campaign status` and `campaign report` over a ledger, by its days and by the file that was sent."""

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.cloud import Cloud
from tests.support.operators import Operator
from typer.testing import Result

from engine.aws.dynamodb import to_item
from engine.requests.email_job import email_id, retry_id
from engine.schemas.rows import TrackingRow
from engine.schemas.times import iso
from engine.tracking.lifecycle import RANK, Status


class Campaigns:
    """The commands, and rows of the campaign `spring`."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def call(self, *command: str) -> Result:
        return Operator(self.cloud).run("campaign", *command)

    def facts(self, *command: str) -> Any:
        return Operator(self.cloud).facts("campaign", *command)

    def add(self, own_id: str, status: str, *, age: timedelta = timedelta(), **more: Any) -> None:
        at = datetime.now(UTC) - age
        row = TrackingRow(
            **{
                "email_id": own_id,
                "original_email_id": own_id,
                "to_email": f"{own_id}@example.com",
                "template_name": "welcome",
                "campaign": "spring",
                "timestamp": iso(at),
                "date_partition": f"{at:%Y-%m-%d}",
                "status": status,
                "status_rank": RANK[Status(status)],
                **more,
            }
        )
        self.cloud.dynamodb.put_item(TableName=self.cloud.name("EmailTracking"), Item=to_item(row))


@pytest.fixture
def campaigns(cloud: Cloud) -> Campaigns:
    return Campaigns(cloud)


def test_emails_are_counted_by_status_with_their_retries_and_without_other_campaigns(
    campaigns: Campaigns,
) -> None:
    campaigns.add("a", "delivered")
    campaigns.add("b", "failed", failure_code="suppressed")
    campaigns.add("c", "soft_bounced")
    campaigns.add("c-again", "delivered", original_email_id="c", retry_attempt=1)
    campaigns.add("d", "opened", age=timedelta(days=2))
    campaigns.add("e", "delivered", age=timedelta(days=9))
    campaigns.add("f", "delivered", campaign="autumn")
    result = campaigns.call("status", "spring")
    assert result.exit_code == 0, result.output
    assert "4 emails: 2 delivered, 1" in result.output
    assert "Nothing waits." in result.output
    facts = campaigns.facts("report", "spring", "--since", "10d")
    assert facts["counts"]["byStatus"] == {"delivered": 3, "failed": 1, "opened": 1}
    assert facts["counts"]["byCode"] == {"failed suppressed": 1}


def test_the_emails_of_one_template_alone_can_be_counted(campaigns: Campaigns) -> None:
    campaigns.add("a", "delivered")
    campaigns.add("b", "delivered", template_name="invoice")
    assert campaigns.facts("status", "spring", "--template", "invoice")["counts"]["emails"] == 1


def test_more_rows_than_a_page_are_all_read(campaigns: Campaigns) -> None:
    for number in range(1_050):
        campaigns.add(f"e{number}", "delivered")
    assert campaigns.facts("status", "spring")["counts"]["emails"] == 1_050


def test_a_campaign_that_nobody_knows_is_said_to_be_so(campaigns: Campaigns) -> None:
    result = campaigns.call("status", "winter")
    assert result.exit_code == 1
    assert "The ledger has no email of campaign winter" in result.output
    assert campaigns.call("status", "not a name").exit_code == 2


def test_a_campaign_that_no_template_could_render_is_not_called_well(campaigns: Campaigns) -> None:
    for number in range(10):
        campaigns.add(f"e{number}", "failed", failure_code="template-error")
    for number in range(90):
        campaigns.add(f"u{number}", "failed", failure_code="unsubscribed")
    result = campaigns.call("status", "spring")
    assert result.exit_code == 1
    assert "10 failed as template-error" in result.output
    assert "send those rows alone again" in result.output  # or whoever got it gets it twice
    assert "Next: sesmailengine find --campaign spring --status failed --since 2" in result.output


def test_what_stops_a_campaign_is_said_first(campaigns: Campaigns) -> None:
    campaigns.add("a", "sending")
    campaigns.cloud.put("State", pk="stop#campaign#spring", because="wrong price", by="ops")
    result = campaigns.call("status", "spring")
    assert result.exit_code == 1
    assert "wrong price" in result.output
    assert "Next: sesmailengine go --campaign spring" in result.output


def test_those_that_did_not_arrive_are_written_as_csv_that_no_spreadsheet_runs(campaigns: Campaigns) -> None:
    campaigns.add("a", "delivered")
    campaigns.add("b", "sent")
    campaigns.add("c", "bounced", to_email="=cmd()@example.com", bounce_sub_type="General")
    result = campaigns.call("report", "spring", "--not-delivered")
    rows = {row["emailId"]: row for row in csv.DictReader(io.StringIO(result.stdout))}
    assert set(rows) == {"b", "c"}
    assert rows["c"]["to"] == "'=cmd()@example.com"
    assert rows["c"]["code"] == "General"
    assert "3 emails" in result.stderr
    sent = campaigns.call("report", "spring", "--sent").stdout
    assert {row["emailId"] for row in csv.DictReader(io.StringIO(sent))} == {"a", "b", "c"}


# -- by the file ---------------------------------------------------------------------------------------------


@pytest.fixture
def sent_file(campaigns: Campaigns, tmp_path: Path) -> Path:
    """Five rows, sent as campaign `spring`."""
    file = tmp_path / "customers.csv"
    rows = [f"user{number}@example.com,User {number},k{number}" for number in range(5)]
    file.write_text("\n".join(["to,name,idempotencyKey", *rows]) + "\n")
    command = ["send", "--template", "welcome", "--recipients", str(file), "--campaign", "spring", "--bulk"]
    result = Operator(campaigns.cloud).run(*command, "--idempotency-prefix", "spring")
    assert result.exit_code == 0, result.output
    return file


def id_of(number: int) -> str:
    return email_id("sesmailengine-send", f"spring:k{number}")


def test_a_file_is_reconciled_with_the_ledger(campaigns: Campaigns, sent_file: Path) -> None:
    campaigns.add(id_of(0), "delivered", age=timedelta(days=80))
    campaigns.add(id_of(1), "soft_bounced")
    campaigns.add(retry_id(id_of(1), 1), "delivered", original_email_id=id_of(1), retry_attempt=1)
    campaigns.add(id_of(2), "failed", failure_code="suppressed")
    result = campaigns.call("report", "spring", "--recipients", str(sent_file))
    assert result.exit_code == 1
    assert "The ledger has never seen 2 emails" in result.output
    assert "sesmailengine send --missing" in result.output
    written = campaigns.call("report", "spring", "--recipients", str(sent_file), "--not-delivered").stdout
    rows = {row["to"]: row for row in csv.DictReader(io.StringIO(written))}
    assert rows["user3@example.com"]["status"] == "unseen"
    assert rows["user3@example.com"]["line"] == "5"
    assert rows[f"{id_of(2)}@example.com"]["code"] == "suppressed"
    assert len(rows) == 3


def test_a_file_without_its_progress_or_changed_since_is_refused(
    campaigns: Campaigns, sent_file: Path
) -> None:
    sent_file.write_text(f"{sent_file.read_text()}more@example.com,More,k9\n")
    result = campaigns.call("report", "spring", "--recipients", str(sent_file))
    assert result.exit_code == 1
    assert "has changed since" in result.output
    sent_file.with_name("customers.csv.progress").unlink()
    assert "name it with --state" in campaigns.call("report", "spring", "--recipients", str(sent_file)).output
