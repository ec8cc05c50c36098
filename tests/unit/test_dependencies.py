"""A library must not pin, and what is deployed must be pinned to the byte."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_who_installs_the_client_gets_ranges_and_nothing_of_the_lambda() -> None:
    for dependency in PROJECT["dependencies"]:
        assert "==" not in dependency
        assert not dependency.startswith(("aws-lambda-powertools", "jinja2"))


@pytest.mark.parametrize(("extra", "includes"), [("cli", "lambda"), ("local", "cli"), ("dev", "local")])
def test_whoever_works_on_templates_has_the_lambdas_libraries_too(extra: str, includes: str) -> None:
    brought = ",".join(PROJECT["optional-dependencies"][extra])
    assert re.search(rf"sesmailengine\[[a-z,]*\b{includes}\b", brought)


@pytest.mark.parametrize("name", ["dev", "emulator", "lambda"])
def test_requirements_name_one_version_each_with_hashes_and_no_registry(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert "://" not in text
    requirements = re.split(r"\n(?=\S)", text.strip())
    assert all(re.match(r"[a-z0-9.-]+==\S+ ", each) and "--hash=sha256:" in each for each in requirements)


def test_what_is_deployed_is_what_the_client_and_the_lambda_need() -> None:
    text = (ROOT / "requirements" / "lambda.txt").read_text()
    pinned = set(re.findall(r"^([a-z0-9.-]+)==", text, re.MULTILINE))
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["lambda"]]
    assert {re.split("[<>=]", each)[0] for each in wanted} <= pinned
