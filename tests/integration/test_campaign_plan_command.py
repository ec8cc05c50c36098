"""`campaign plan`: a file against the suppression table and the account."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.cloud import Cloud
from tests.support.operators import Operator, facts
from typer.testing import Result


class Planner:
    def __init__(self, cloud: Cloud, file: Path) -> None:
        self._cloud = cloud
        self.file = file

    def call(self, *options: str) -> Result:
        command = ("campaign", "plan", str(self.file), "--template", "welcome")
        return Operator(self._cloud).run(*command, *options)

    def facts(self, *options: str) -> Any:
        return facts(self.call(*options, "--json"))


@pytest.fixture
def planner(cloud: Cloud, tmp_path: Path) -> Planner:
    file = tmp_path / "customers.csv"
    rows = [*(f"user{number}@example.com,x" for number in range(8)), "user0@example.com,x", "no-address,x"]
    file.write_text("\n".join(["to,name", *rows]) + "\n")
    cloud.put("Suppression", email="user1@example.com", suppressionType="bounce", reason="hard-bounce")
    cloud.put("Suppression", email="user2@example.com", suppressionType="unsubscribe", reason="link")
    cloud.put("Suppression", email="*#user3@example.com", suppressionType="unsubscribe", reason="link")
    cloud.put("Suppression", email="news#user4@example.com", suppressionType="unsubscribe", reason="link")
    cloud.put("Suppression", email="shop#user5@example.com", suppressionType="unsubscribe", reason="link")
    return Planner(cloud, file)


def test_bad_repeated_and_suppressed_rows_get_no_email(planner: Planner) -> None:
    result = planner.call()
    assert result.exit_code == 0, result.output
    assert "1 of 10 rows can't be sent" in result.output
    assert "7 emails leave within" in result.output
    assert "suppressed: hard-bounce" in result.output
    facts = planner.facts()
    assert (facts["rows"], facts["badRows"], facts["repeated"], facts["emails"]) == (10, 1, 1, 7)
    assert facts["keptFrom"] == {"hard-bounce": 1}


def test_mail_with_a_topic_leaves_out_those_who_do_not_want_it(planner: Planner) -> None:
    assert planner.facts("--topic", "news")["keptFrom"] == {"unsubscribed": 3, "hard-bounce": 1}
