"""What happens before the first invocation."""

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from engine.aws.clients import Clients
from engine.bootstrap.runtime import Environment


@pytest.fixture
def in_lambda(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    yield
    gc.unfreeze()


class Opener:
    """Opens work, or raises as often as it is told."""

    def __init__(self, *problems: Exception) -> None:
        self.problems = list(problems)
        self.opened = 0

    async def __call__(self, variables: Mapping[str, str], clients: Clients) -> None:  # noqa: ARG002 - every environment asks so
        if self.problems:
            raise self.problems.pop(0)
        self.opened += 1


async def nothing(_: None) -> str:
    return "done"


@pytest.mark.usefixtures("in_lambda")
def test_in_lambda_everything_is_open_before_the_first_invocation() -> None:
    opener = Opener()
    environment = Environment(opener)
    environment.prepare()
    assert opener.opened == 1
    assert environment.invoke(nothing) == "done"
    assert opener.opened == 1
    environment.close()


@pytest.mark.usefixtures("in_lambda")
def test_what_fails_while_lambda_initialises_is_told_by_the_first_invocation() -> None:
    environment = Environment(Opener(ValueError("early"), ValueError("told")))
    environment.prepare()
    with pytest.raises(ValueError, match="told"):
        environment.invoke(nothing)
    assert environment.invoke(nothing) == "done"
    environment.close()


def test_outside_lambda_nothing_is_opened_before_it_is_needed() -> None:
    opener = Opener()
    Environment(opener).prepare()
    assert not opener.opened


def test_opening_the_clients_opens_no_socket_that_a_snapshot_would_carry_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("socket.socket.connect", _no_connection)

    async def opened() -> None:
        clients = Clients()
        for service in ("dynamodb", "events", "s3", "sesv2", "sqs"):
            await clients.open(service)
        await clients.close()

    asyncio.run(opened())


def _no_connection(*_: object) -> None:
    raise AssertionError("a socket was opened")


@pytest.mark.parametrize("handler", ["email_sender", "feedback_processor"])
def test_a_handler_can_be_imported_in_lambda_without_any_variable_set(handler: str) -> None:
    """SettingsError belongs to the first invocation: a failing import would hide the list of variables."""
    environment = {"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "PATH": os.environ["PATH"]}
    subprocess.run(  # noqa: S603 - this interpreter, fixed arguments
        [sys.executable, "-c", f"import engine.handlers.{handler}"], env=environment, check=True, timeout=60
    )


@pytest.mark.parametrize(
    ("handler", "of_the_other"),
    [
        (
            "email_sender",
            {"engine.feedback.pipeline", "engine.feedback.bounce_policy", "engine.schemas.ses_events"},
        ),
        ("feedback_processor", {"engine.sending.pipeline", "engine.templating.template", "jinja2"}),
    ],
)
def test_a_function_imports_nothing_that_only_the_other_needs(handler: str, of_the_other: set[str]) -> None:
    code = f"import sys, engine.handlers.{handler}; print(*sys.modules)"
    imported = subprocess.run(  # noqa: S603 - this interpreter, fixed arguments
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert not of_the_other.intersection(imported)
