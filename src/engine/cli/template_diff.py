"""How the files of a template differ in two places, and how that is shown."""

import difflib
from dataclasses import dataclass

from rich.text import Text

from engine.authoring.files import SHARED
from engine.authoring.folder import Folder
from engine.cli.templates import console


@dataclass(frozen=True)
class Difference:
    """A file that is not the same in two places; None where it is missing."""

    file: str
    before: str | None
    after: str | None

    @property
    def kind(self) -> str:
        return "new" if self.before is None else "gone" if self.after is None else "changed"

    def lines(self, before: str, after: str) -> list[str]:
        """A unified diff."""
        old, new = (self.before or "").splitlines(), (self.after or "").splitlines()
        return list(
            difflib.unified_diff(old, new, f"{before}/{self.file}", f"{after}/{self.file}", lineterm="")
        )


def files_of(folder: Folder) -> dict[str, str]:
    """The files of a folder that go to the bucket."""
    return {file: content for file in SHARED if (content := folder.read(file)) is not None}


def differences(before: dict[str, str], after: dict[str, str]) -> list[Difference]:
    """The files that are not the same, in a fixed order."""
    files = [file for file in SHARED if before.get(file) != after.get(file)]
    return [Difference(file, before.get(file), after.get(file)) for file in files]


def show_differences(changes: list[Difference], before: str, after: str) -> list[Difference]:
    """Print them line by line; returns them."""
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for change in changes:
        console.print(Text(f"{change.file}: {change.kind}", style="bold"))
        if change.kind == "changed":
            for line in change.lines(before, after):
                console.print(Text(line, style=styles.get(line[:1], "")), soft_wrap=True)
    return changes
