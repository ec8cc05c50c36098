"""What the checks of a template report."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class LintFinding:
    """A problem at a line of a template's file. An error must be corrected, a warning considered.

    A note says what some mail client lacks without harm. A template accepts a finding by its `code`. `url` is
    a page that says more, if there is one.
    """

    file: str
    line: int
    code: str
    message: str
    level: Level = "error"
    url: str = ""
