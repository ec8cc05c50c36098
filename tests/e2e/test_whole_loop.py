"""The whole loop: the command a person runs, with a real deployment and real worker processes."""

import pytest
from typer.testing import CliRunner

from engine.cli import app
from engine.local.cases import cases


@pytest.mark.e2e
def test_the_demo_deploys_sends_one_email_for_each_outcome_and_follows_each_to_its_status() -> None:
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 0, result.output
    assert f"All {sum(case.size for case in cases())} emails reached their final status" in result.output
    assert "20 of 20" in result.output
    assert "http://127.0.0.1:" in result.output
    for case in cases():
        assert case.title in result.output
