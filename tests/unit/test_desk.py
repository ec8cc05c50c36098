"""Acts of the console: what the page says while one is under way, and however it ends."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from engine.errors import EngineError
from engine.local.console import desk as desks
from engine.local.console.desk import SHOWN_ACTS, Desk, NoStackError
from engine.local.web.pages import Watchers
from engine.operations import stopping
from engine.operations.stack import DeployedStack, StackAddress

NOW = datetime(2026, 11, 24, tzinfo=UTC)
STACK = DeployedStack(StackAddress(), None)  # type: ignore[arg-type] # what is asked of it is replaced


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(desks, "_AT_ONCE", 0.0)
    return Desk(STACK, Watchers(), lambda: NOW)


def stops_with(monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> asyncio.Event:
    """Stopping waits for the event, and then fails with the error."""
    event = asyncio.Event()

    async def stop(*_: Any) -> Any:
        await event.wait()
        assert error
        raise error

    monkeypatch.setattr(stopping, "stop", stop)
    return event


async def ended(desk: Desk) -> str:
    """What the page says of the newest act, once it has ended."""
    while (verdict := desk.acts[0].verdict) is None:
        with desk._watchers.watch() as changed:
            await changed.wait()
    return verdict.sentence


async def test_what_takes_long_is_under_way_until_it_has_ended(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = stops_with(monkeypatch, EngineError("the bus is asleep"))
    await desk.stop("bulk", "typo")
    assert (desk.acts[0].title, desk.acts[0].verdict) == ("Stop bulk mail", None)
    event.set()
    assert await ended(desk) == "the bus is asleep"


async def test_a_bug_is_told_as_one_and_its_log_line_quotes_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stops_with(monkeypatch, KeyError("ada@example.com")).set()
    with caplog.at_level(logging.ERROR):
        await desk.stop("bulk", "typo")
        assert await ended(desk) == "This failed for a reason that the console's log names."
    assert "An act failed: KeyError" in caplog.text
    assert "ada@example.com" not in caplog.text


async def test_what_is_under_way_is_broken_off_when_the_console_ends(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops_with(monkeypatch)
    await desk.stop("all", "typo")
    await desk.close()
    assert desk.acts[0].verdict
    assert desk.acts[0].verdict.sentence == "It was broken off. It may be run again."


async def test_the_newest_acts_are_shown(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    stops_with(monkeypatch, EngineError("no")).set()
    for number in range(SHOWN_ACTS + 1):
        await desk.stop(f"template#t{number}", "typo")
    assert desk.acts[0].title == f"Stop mail of template t{SHOWN_ACTS}"
    assert len(desk.acts) == SHOWN_ACTS
    await desk.close()


async def test_before_the_stack_is_there_nothing_can_be_asked_of_it() -> None:
    desk = Desk(None, Watchers(), lambda: NOW)
    assert await desk.verdict("e1") is None
    with pytest.raises(NoStackError, match="not deployed yet"):
        await desk.status()
    with pytest.raises(NoStackError):
        await desk.go("all")
