"""The command line: what it says when something is in the way."""

import socket

import pytest
from typer.testing import CliRunner

from engine.cli import app, main


def test_without_a_command_it_shows_what_there_is() -> None:
    said = CliRunner().invoke(app, []).output
    assert "demo" in said
    assert "local" in said


@pytest.mark.parametrize("command", ["demo", "local"])
def test_a_taken_port_is_named_with_the_way_out(command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, [command, "--inbox-port", str(port)])
    assert result.exit_code == 1
    assert str(port) in result.output
    assert "--inbox-port" in result.output


def test_the_command_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["sesmailengine", "--help"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0


@pytest.mark.parametrize("because", ["", " ", "x" * 501])
@pytest.mark.parametrize(
    "words",
    ["stop --all", "cancel --campaign spring", "dlq drop EmailRetryDLQ", "suppression add ada@example.com"],
)
def test_an_act_without_a_reason_is_refused(words: str, because: str) -> None:
    result = CliRunner().invoke(app, [*words.split(), "--because", because, "--yes"])
    assert result.exit_code == 2
    assert "--because" in result.stderr
