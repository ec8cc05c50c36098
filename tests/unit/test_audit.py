"""`make lint` fails for a known vulnerability, and says so where it could not ask about any."""

import json
from pathlib import Path

import pytest

from infra.audit import FILES, main

NONE = json.dumps({"dependencies": [{"name": "jinja2", "version": "3.1.6", "vulns": []}], "fixes": []})
ONE = json.dumps(
    {
        "dependencies": [
            {"name": "odd", "skip_reason": "not on PyPI"},
            {
                "name": "jinja2",
                "version": "2.4.1",
                "vulns": [
                    {"id": "PYSEC-2014-8", "fix_versions": ["2.7.2"], "aliases": [], "description": ""}
                ],
            },
        ]
    }
)


def test_pins_without_known_vulnerabilities_pass_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []

    def audit(file: Path) -> tuple[str, str]:
        asked.append(file.name)
        return NONE, ""

    assert main(audit) == 0
    assert asked == list(FILES)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("file", FILES)
def test_a_known_vulnerability_fails_and_says_where_and_what_mends_it(
    capsys: pytest.CaptureFixture[str], file: str
) -> None:
    assert main(lambda path: (ONE if path.name == file else NONE, "")) == 1
    told = capsys.readouterr().out
    assert f"requirements/{file}: jinja2 2.4.1 has PYSEC-2014-8; fixed in: 2.7.2" in told
    assert "make requirements" in told


def test_without_an_answer_nothing_fails_and_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(lambda _: ("", "Traceback\nConnectionError: Failed to resolve 'api.osv.dev'")) == 0
    told = capsys.readouterr().out
    assert told.startswith("pip-audit: SKIPPED from requirements/lambda.txt on")
    assert "Failed to resolve" in told


def test_what_was_found_before_the_answers_stopped_fails(capsys: pytest.CaptureFixture[str]) -> None:
    def audit(file: Path) -> tuple[str, str]:
        return (ONE, "") if file.name == FILES[0] else ("", "")

    assert main(audit) == 1
    assert "SKIPPED from requirements/dev.txt on" in capsys.readouterr().out
