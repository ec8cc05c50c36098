"""The demo's own judgement: what did not end as it should is said, and fails the command."""

import errno
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest
from rich.console import Console

from engine.cli.demo_screen import DemoScreen
from engine.local import demo
from engine.local.cases import SOURCE, Case, cases
from engine.local.cases import request as example
from engine.local.demo import CaseProgress, Demo
from engine.local.environment import LocalEnvironment, unused_folder
from engine.requests.email_job import email_id
from engine.schemas.request import EmailRequest
from engine.schemas.status import EmailStatusChanged, Reason

CASE = Case(title="welcome", request=example("ada@example.com"), status="delivered")
CAMPAIGN = Case(title="newsletter", request=example("ada@example.com"), status="delivered", size=3)


def changed(email_id: str, status: Any, reason: Reason | None = None) -> EmailStatusChanged:
    return EmailStatusChanged(
        email_id=email_id,
        original_email_id=email_id,
        to="ada@example.com",
        template_name="welcome",
        status=status,
        previous_status=None,
        reason=reason,
        ses_message_id=None,
        original_source=SOURCE,
        retry_attempt=0,
        timestamp="2026-11-24T08:15:30.250Z",
    )


class FakeEnvironment:
    """Takes requests, and answers with the statuses and rows that a test gives it."""

    def __init__(self, statuses: list[tuple[str, str | None]], row: dict[str, str], copies: int = 1) -> None:
        self.listeners: list[Any] = []
        self.deployment = SimpleNamespace(tracking_table="EmailTracking")
        messages = [
            SimpleNamespace(tags={"emailId": own_id}) for own_id in [*CASE.email_ids, *CAMPAIGN.email_ids]
        ]
        self.simulator = SimpleNamespace(messages=messages * copies)
        self.ends_after: set[str] = set()
        self.page_status = 200
        self.asked_for: list[str] = []
        self._statuses = statuses
        self._row = row

    @asynccontextmanager
    async def emails(self, source: str) -> AsyncIterator[Any]:
        assert source == SOURCE
        yield self

    async def send_many(self, requests: list[EmailRequest]) -> None:
        for request in requests:
            self.asked_for.append(request.to)
            own_id = email_id(SOURCE, request.idempotency_key or "")
            for status, code in self._statuses:
                reason = Reason(code=code, message="why") if code else None
                for listener in self.listeners:
                    listener(changed(own_id, status, reason))
                    listener(changed("somebody else's", status))
            if request.to in self.ends_after:
                return

    async def unsubscribe(self, email_id: str) -> int:
        assert email_id in CASE.email_ids
        return self.page_status

    @asynccontextmanager
    async def client(self, service: str) -> AsyncIterator[Any]:
        assert service == "dynamodb"
        yield self

    async def get_item(self, **_: Any) -> dict[str, Any]:
        return {"Item": {name: {"S": value} for name, value in self._row.items()}}


async def judged(
    monkeypatch: pytest.MonkeyPatch, environment: FakeEnvironment, case: Case = CASE
) -> CaseProgress:
    monkeypatch.setattr(demo, "cases", lambda: [case])
    monkeypatch.setattr(demo, "PATIENCE", 0.05)
    run = Demo(cast("LocalEnvironment", environment))
    good = await run.run()
    (progress,) = run.progress
    assert good is (progress.problem is None)
    return progress


async def test_an_email_that_ended_well_has_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = FakeEnvironment([("sent", None), ("delivered", None)], {"status": "delivered"})
    progress = await judged(monkeypatch, environment)
    assert progress.problem is None
    assert progress.seconds is not None


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        (FakeEnvironment([("sent", None)], {"status": "sent"}), "but saw sent within"),
        (FakeEnvironment([], {}), "but saw no status event within"),
        (FakeEnvironment([("delivered", None)], {"status": "sent"}), "its row says sent"),
        (FakeEnvironment([("delivered", None)], {"status": "delivered"}, copies=2), "SES took it 2 times"),
    ],
)
async def test_what_did_not_end_as_it_should_says_how(
    monkeypatch: pytest.MonkeyPatch, environment: FakeEnvironment, problem: str
) -> None:
    assert problem in str((await judged(monkeypatch, environment)).problem)


async def test_the_failure_code_in_the_row_must_be_the_one_told(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(title="welcome", request=CASE.request, status="failed", code="suppressed", copies=1)
    row = {"status": "failed", "failureCode": "validation"}
    progress = await judged(monkeypatch, FakeEnvironment([("failed", "suppressed")], row), case)
    assert "its row says validation" in str(progress.problem)


async def test_a_campaign_ends_well_when_each_of_its_emails_does(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = FakeEnvironment([("sent", None), ("delivered", None)], {"status": "delivered"})
    progress = await judged(monkeypatch, environment, CAMPAIGN)
    assert progress.problem is None
    assert (progress.status, progress.note) == ("delivered", "3 of 3")


async def test_a_late_report_of_an_earlier_status_takes_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for case in (CASE, CAMPAIGN):
        environment = FakeEnvironment([("delivered", None), ("sent", None)], {"status": "delivered"})
        assert (await judged(monkeypatch, environment, case)).problem is None


async def test_a_campaign_that_lacks_an_email_has_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = FakeEnvironment([("sent", None), ("delivered", None)], {"status": "delivered"})
    environment.ends_after = {"ada1@example.com"}
    progress = await judged(monkeypatch, environment, CAMPAIGN)
    assert "expected delivered 2 of 3 but saw sent, delivered" in str(progress.problem)


async def test_an_unsubscribe_page_that_fails_is_the_problem_and_no_more_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = FakeEnvironment([("sent", None), ("delivered", None)], {"status": "delivered"})
    environment.page_status = 503
    request = example("gone@example.com")
    after = Case(title="unsubscribed", request=request, status="failed", after="welcome", unsubscribed=True)
    monkeypatch.setattr(demo, "cases", lambda: [CASE, after])
    run = Demo(cast("LocalEnvironment", environment))
    assert not await run.run()
    assert [progress.problem for progress in run.progress] == [
        None,
        "the unsubscribe page answered with HTTP status 503",
    ]
    assert environment.asked_for == ["ada@example.com"]


def test_the_screen_names_every_problem_and_where_to_look() -> None:
    console = Console(record=True, width=160, file=StringIO())
    screen = DemoScreen(console)
    progress = CaseProgress(CASE, problem="SES took it 2 times instead of 1", status="delivered")
    with screen.starting() as say:
        say("Deploying")
        screen.begin([progress], "http://127.0.0.1:8025")
    screen.end()
    screen.verdict(good=False, log=Path(".local/emulator-2/emulator.log"))
    said = console.export_text()
    assert "welcome: SES took it 2 times instead of 1" in said
    assert ".local/emulator-2/emulator.log" in said
    assert "ada@example.com" in said  # a wide screen shows the address


@pytest.mark.parametrize("width", [80, 86, 130])
def test_on_every_screen_from_80_columns_on_no_word_of_the_table_is_broken(width: int) -> None:
    """With the longest of each column; a status or time on its way is as long as any."""
    console = Console(record=True, width=width, file=StringIO())
    screen = DemoScreen(console)
    progress = [
        CaseProgress(case, status=case.status, code=case.code, published_at=0, settled_at=88.8)
        for case in cases()
    ]
    with screen.starting():
        screen.begin([*progress, CaseProgress(CAMPAIGN, status="soft_bounced")], "http://127.0.0.1:8025")
    screen.end()
    lines = console.export_text().splitlines()
    assert max(len(line) for line in lines) <= width
    for case in cases():
        (row,) = [line for line in lines if re.match(rf"\W+{case.title} ", line)]
        for cell in (case.request.template_name, case.status, case.code or "", "88.8 s"):
            assert cell in row
    assert any("soft_bounced" in line for line in lines)


def test_every_case_has_a_key_and_an_id_of_its_own() -> None:
    ids = [own_id for case in cases() for own_id in case.email_ids]
    assert len(set(ids)) == len(ids) == sum(case.size for case in cases())
    assert {case.after for case in cases()} - {None} <= {case.title for case in cases()}


def test_two_environments_of_one_checkout_have_a_folder_each(tmp_path: Path) -> None:
    with unused_folder(tmp_path) as first:
        with unused_folder(tmp_path) as second:
            assert (first.name, second.name) == ("emulator", "emulator-2")
        with unused_folder(tmp_path) as again:
            assert again == second


def test_a_file_system_without_locks_has_one_folder_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcntl.flock", Mock(side_effect=OSError(errno.ENOLCK, "No locks available")))
    with unused_folder(tmp_path) as folder:
        assert folder.name == "emulator"


def test_what_make_local_prints_leads_every_tool_there() -> None:
    deployment = SimpleNamespace(event_bus_name="a-EmailBus", template_bucket="a-templates")
    emulator = SimpleNamespace(endpoint="http://127.0.0.1:4566", region="us-east-1")
    running = SimpleNamespace(url="http://127.0.0.1:8025", emulator=emulator, deployment=deployment)
    console = Console(record=True, width=80, file=StringIO())
    DemoScreen(console).stay(cast("LocalEnvironment", running))
    exports = [
        pair.partition("=")
        for line in console.export_text().splitlines()
        if line.startswith("  export ")
        for pair in line.split()[1:]
    ]
    assert {name: value for name, _, value in exports} == {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "AWS_REGION": "us-east-1",  # where it is set, the AWS CLI and ours look at no other
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }
