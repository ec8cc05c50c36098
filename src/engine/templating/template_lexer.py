"""What Jinja's lexer does to nearly every template, with one expression for all that stands inside a tag.

The first email of every template waits for its lexing. Whatever is out of the ordinary, every error too, is
left to Jinja's own lexer from the start, so nothing here has to know how errors are said or numbers spelled.
"""

import re
from typing import Final

from jinja2.lexer import Token, newline_re, operators

_TAG: Final = re.compile(r"\{[{%#][-+]?")
_COMMENT_END: Final = re.compile(r"[-+]?#\}")
_RAW: Final = re.compile(r"\s*raw\b")
_PIECE: Final = re.compile(
    r"""\s*(?:
    (?P<name>[^\W\d]\w*)
    |(?P<string>'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*")
    |(?P<end>-?\}\}|[-+]?%\})
    |(?P<operator>\*\*|//|[=!<>]=|[-+/*%~[\](){}<>=.:|,;])
    |(?P<float>(?<!\.)[0-9]+\.[0-9]+)(?!\w)
    |(?P<integer>0|[1-9][0-9]*)(?!\w)
    )""",
    re.DOTALL | re.VERBOSE,
)
_SPACE: Final = re.compile(r"\s*")
_CLOSING: Final = {"(": ")", "[": "]", "{": "}"}


class _OutOfTheOrdinary(Exception):  # noqa: N818 - never leaves this file
    """Something for Jinja's own lexer."""


def tokens_of(source: str) -> list[Token] | None:
    """What Jinja's parser takes, or nothing where Jinja's lexer has to be asked."""
    try:
        return _Lexing(source).tokens
    # Python's own: a number of too many digits, an escape that is none.
    except (_OutOfTheOrdinary, ValueError):
        return None


class _Lexing:
    """One source on its way to tokens."""

    def __init__(self, source: str) -> None:
        if "\r" in source:
            source = newline_re.sub("\n", source)
        self._source = source.removesuffix("\n")
        self._line = 1
        self.tokens: list[Token] = []
        self._all()

    def _all(self) -> None:
        source, at = self._source, 0
        while tag := _TAG.search(source, at):
            opening = tag.group()
            self._text(source[at : tag.start()], stripped=opening.endswith("-"))
            if opening[1] == "{":
                at = self._tag("variable", opening, tag.end())
            elif opening[1] == "%":
                if _RAW.match(source, tag.end()):
                    raise _OutOfTheOrdinary
                at = self._tag("block", opening, tag.end())
            else:
                end = _COMMENT_END.search(source, tag.end())
                if end is None:
                    raise _OutOfTheOrdinary
                at = self._after(end.group(), end.end())
                self._line += source.count("\n", tag.end(), at)
        self._text(source[at:], stripped=False)

    def _text(self, text: str, *, stripped: bool) -> None:
        shown = text.rstrip() if stripped else text
        if shown:
            self.tokens.append(Token(self._line, "data", shown))
        self._line += text.count("\n")

    def _after(self, closing: str, at: int) -> int:
        """Where the text after a tag begins; a minus takes the space before it away."""
        space = _SPACE.match(self._source, at) if closing.startswith("-") else None
        return space.end() if space else at

    def _tag(self, kind: str, opening: str, at: int) -> int:
        """What stands between a tag's opening and its end; says where to go on."""
        source, line, add = self._source, self._line, self.tokens.append
        add(Token(line, f"{kind}_begin", opening))
        closing = "}}" if kind == "variable" else "%}"
        brackets: list[str] = []
        while piece := _PIECE.match(source, at):
            what = piece.lastgroup or ""
            start, end = piece.span(what)
            line += source.count("\n", at, start)
            value, at = source[start:end], end
            if what == "end" and brackets:
                # Of a `}}` in brackets, the first closes one of them; so with the others.
                what, value, at = "operator", value[0], start + 1
            if what == "name":
                if not value.isidentifier():
                    break
                add(Token(line, what, value))
            elif what == "operator":
                add(Token(line, operators[value], value))
                if value in _CLOSING:
                    brackets.append(_CLOSING[value])
                elif value in {")", "]", "}"} and (not brackets or brackets.pop() != value):
                    break
            elif what == "end":
                if not value.endswith(closing):
                    break
                at = self._after(value, end)
                add(Token(line, f"{kind}_end", source[start:at]))
                self._line = line + source.count("\n", end, at)
                return at
            else:
                add(_literal(line, what, value))
                line += value.count("\n")
        raise _OutOfTheOrdinary


def _literal(line: int, what: str, written: str) -> Token:
    if what == "string":
        text = written[1:-1]
        if "\\" in text:
            text = text.encode("ascii", "backslashreplace").decode("unicode-escape")
        return Token(line, what, text)
    number: int | float = int(written) if what == "integer" else float(written)
    return Token(line, what, number)  # type: ignore[arg-type] # Jinja's lexer keeps numbers there too
