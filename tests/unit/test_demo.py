"""The demo's own judgement: what did not end as it should is said, and fails the command."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from engine.cli.screen import DemoScreen
from engine.local import demo
from engine.local.cases import SOURCE, Case, cases
from engine.local.cases import request as example
from engine.local.demo import Demo, Progress
from engine.local.environment import LocalEnvironment
from engine.requests.identity import email_id
from engine.schemas.request import EmailRequest

CASE = Case(title="welcome", request=example("ada@example.com"), status="delivered")
CAMPAIGN = Case(title="campaign", request=example("ada@example.com"), status="delivered", size=3)


class Environment:
    """Takes requests, and answers with the statuses and rows that a test gives it."""

    def __init__(self, statuses: list[tuple[str, str | None]], row: dict[str, str], copies: int = 1) -> None:
        self.listeners: list[Any] = []
        self.deployment = SimpleNamespace(tracking_table="EmailTracking")
        messages = [
            SimpleNamespace(tags={"emailId": own_id}) for own_id in [*CASE.email_ids, *CAMPAIGN.email_ids]
        ]
        self.simulator = SimpleNamespace(messages=messages * copies)
        self.ends_after: set[str] = set()
        self._statuses = statuses
        self._row = row

    @asynccontextmanager
    async def emails(self, source: str) -> AsyncIterator[Any]:
        assert source == SOURCE
        yield self

    async def send_many(self, requests: list[EmailRequest]) -> None:
        for request in requests:
            own_id = email_id(SOURCE, request.idempotency_key or "")
            for status, code in self._statuses:
                reason = {"code": code, "message": "why"} if code else None
                for listener in self.listeners:
                    listener({"emailId": own_id, "status": status, "reason": reason})
                    listener({"emailId": "somebody else's", "status": status, "reason": None})
            if request.to in self.ends_after:
                return

    @asynccontextmanager
    async def client(self, service: str) -> AsyncIterator[Any]:
        assert service == "dynamodb"
        yield self

    async def get_item(self, **_: Any) -> dict[str, Any]:
        return {"Item": {name: {"S": value} for name, value in self._row.items()}}


async def judged(monkeypatch: pytest.MonkeyPatch, environment: Environment, case: Case = CASE) -> Progress:
    monkeypatch.setattr(demo, "cases", lambda: [case])
    monkeypatch.setattr(demo, "PATIENCE", 0.05)
    run = Demo(cast("LocalEnvironment", environment), lambda: None)
    good = await run.run()
    (progress,) = run.progress
    assert good is (progress.problem is None)
    return progress


async def test_an_email_that_ended_well_has_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Environment([("sent", None), ("delivered", None)], {"status": "delivered"})
    progress = await judged(monkeypatch, environment)
    assert progress.problem is None
    assert progress.seconds is not None


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        (Environment([("sent", None)], {"status": "sent"}), "but saw sent within"),
        (Environment([], {}), "but saw no status event within"),
        (Environment([("delivered", None)], {"status": "sent"}), "its row says sent"),
        (Environment([("delivered", None)], {"status": "delivered"}, copies=2), "SES took it 2 times"),
    ],
)
async def test_what_did_not_end_as_it_should_says_how(
    monkeypatch: pytest.MonkeyPatch, environment: Environment, problem: str
) -> None:
    assert problem in str((await judged(monkeypatch, environment)).problem)


async def test_the_failure_code_in_the_row_must_be_the_one_told(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(title="welcome", request=CASE.request, status="failed", code="suppressed", copies=1)
    row = {"status": "failed", "failureCode": "validation"}
    progress = await judged(monkeypatch, Environment([("failed", "suppressed")], row), case)
    assert "its row says validation" in str(progress.problem)


async def test_a_campaign_ends_well_when_each_of_its_emails_does(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Environment([("sent", None), ("delivered", None)], {"status": "delivered"})
    progress = await judged(monkeypatch, environment, CAMPAIGN)
    assert progress.problem is None
    assert (progress.status, progress.note) == ("delivered", "3 of 3")


async def test_a_late_report_of_an_earlier_status_takes_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for case in (CASE, CAMPAIGN):
        environment = Environment([("delivered", None), ("sent", None)], {"status": "delivered"})
        assert (await judged(monkeypatch, environment, case)).problem is None


async def test_a_campaign_that_lacks_an_email_has_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Environment([("sent", None), ("delivered", None)], {"status": "delivered"})
    environment.ends_after = {"ada1@example.com"}
    progress = await judged(monkeypatch, environment, CAMPAIGN)
    assert "expected delivered 2 of 3 but saw sent, delivered" in str(progress.problem)


def test_the_screen_names_every_problem_and_where_to_look() -> None:
    console = Console(record=True, width=160, file=StringIO())
    screen = DemoScreen(console)
    progress = Progress(CASE, problem="SES took it 2 times instead of 1", status="delivered")
    with screen.starting() as say:
        say("Deploying")
        screen.begin([progress], "http://127.0.0.1:8025")
    screen.end()
    screen.verdict(good=False)
    said = console.export_text()
    assert "welcome: SES took it 2 times instead of 1" in said
    assert ".local/emulator/emulator.log" in said
    assert "ada@example.com" in said  # a wide screen shows the address


def test_every_case_has_a_key_and_an_id_of_its_own() -> None:
    ids = [own_id for case in cases() for own_id in case.email_ids]
    assert len(set(ids)) == len(ids) == sum(case.size for case in cases())
    assert {case.after for case in cases()} - {None} <= {case.title for case in cases()}
