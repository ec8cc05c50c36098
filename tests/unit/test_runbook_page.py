"""No command of the runbook is untested."""

from pathlib import Path

from tests.support.runbook import commands_of_the_page, played

PLAY = Path(__file__).parents[1] / "e2e" / "test_runbook.py"


def test_every_command_of_the_runbook_is_run_by_its_test() -> None:
    commands = commands_of_the_page()
    assert commands
    assert set(commands) == set(played(PLAY))


def test_a_command_that_no_test_runs_would_be_seen(tmp_path: Path) -> None:
    play = tmp_path / "play.py"
    play.write_text("await night.play('sesmailengine status')\nprint('sesmailengine doctor')")
    assert list(played(play)) == ["sesmailengine status"]
