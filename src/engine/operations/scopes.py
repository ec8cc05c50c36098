"""What a brake is about: its scope, such as `bulk` or `template#welcome`."""

import re
from typing import Final

from engine.schemas.request import CAMPAIGN_PATTERN, TEMPLATE_NAME_PATTERN
from engine.schemas.rows import BrakeRow
from engine.tracking.brakes import STOP

_NAMES: Final = {"all": "all mail", "bulk": "bulk mail"}
_PATTERNS: Final = {"template": TEMPLATE_NAME_PATTERN, "campaign": CAMPAIGN_PATTERN}


def scope_named(kind: str, name: str) -> str | None:
    """The scope of a kind, `all` and `bulk` without a name; None where there can't be one of that name."""
    if kind in _NAMES:
        return kind
    return f"{kind}#{name}" if kind in _PATTERNS and re.search(_PATTERNS[kind], name) else None


def scope_option(scope: str | None) -> str:
    """The option that names a scope: `--bulk`, `--template welcome`."""
    if scope is None:
        return "--everything"
    kind, _, name = scope.partition("#")
    return f"--{kind}{f' {name}' if name else ''}"


def go_command(brake: BrakeRow) -> str:
    """The command that lifts a brake, such as `go --template welcome`."""
    return f"go {scope_option(brake.pk.removeprefix(STOP))}"


def scope_in_words(scope: str) -> str:
    """Such as `bulk mail` or `mail of campaign spring`."""
    kind, _, name = scope.partition("#")
    return _NAMES.get(kind) or f"mail of {kind} {name}"
