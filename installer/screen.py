"""What a person sees and answers. ASCII alone: not every console writes more."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from installer.errors import InstallError

_WIDTH = 100


@dataclass(frozen=True)
class Screen:
    """`answers` is None where nobody can be asked; then `confirm` takes `agreed` for the answer."""

    out: TextIO
    answers: Callable[[str], str] | None
    agreed: bool = False

    def heading(self, text: str) -> None:
        self._write(f"\n{text}")

    def line(self, text: str = "") -> None:
        self._write(f"  {text}".rstrip())

    def ok(self, text: str) -> None:
        self._marked("ok", text)

    def note(self, text: str, remedy: str = "") -> None:
        self._marked("note", text, remedy)

    def stop(self, text: str, remedy: str = "") -> None:
        self._marked("STOP", text, remedy)

    def ask(self, question: str, flag: str) -> str:
        """The answer; raises `InstallError` naming the flag that answers it where nobody can be asked."""
        if self.answers is None:
            raise InstallError(f"{question} is not given, and nobody can be asked.", f"Give it with {flag}.")
        return self.answers(f"  {question}: ").strip()

    def confirm(self, question: str) -> bool:
        if self.agreed:
            return True
        return self.ask(f"{question} [y/N]", "--yes").lower() in {"y", "yes"}

    def confirm_by_typing(self, word: str, question: str) -> bool:
        if self.agreed:
            return True
        return self.ask(f"{question}; type {word} to confirm", "--yes") == word

    def _marked(self, mark: str, text: str, remedy: str = "") -> None:
        for number, paragraph in enumerate(filter(None, (text, remedy))):
            self._write(
                textwrap.fill(
                    paragraph,
                    _WIDTH,
                    initial_indent=f"  {'' if number else mark:6}{'-> ' if number else ''}",
                    subsequent_indent=" " * (11 if number else 8),
                    break_long_words=False,
                    break_on_hyphens=False,
                )
            )

    def _write(self, text: str) -> None:
        print(text, file=self.out, flush=True)
