"""What a check says."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """Something at a line of a template's file. An error must be mended, a warning considered.

    A note tells what some mail client lacks without harm. `code` is what a template may accept it by.
    """

    file: str
    line: int
    code: str
    message: str
    level: Level = "error"
