"""The project's version."""

import tomllib

from infra.bundling import ROOT


def version() -> str:
    """From pyproject.toml."""
    text: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return text
