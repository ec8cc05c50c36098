"""Parse a template's HTML into elements with their line in the source, before or after rendering."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

import tinycss2
from tinycss2.ast import Declaration

from engine.authoring.inlining import PIECES

LINE: Final = "data-line"

_JINJA: Final = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", re.DOTALL)
_VOID: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_START_TAG: Final = re.compile(r"<[A-Za-z][\w:-]*")


@dataclass(frozen=True, eq=False)
class Element:
    """A start tag, its line in the source, and the element around it."""

    tag: str
    attributes: dict[str, str]
    line: int
    parent: "Element | None" = None

    @property
    def declarations(self) -> list[Declaration]:
        """The declarations of the `style` attribute."""
        return declarations(self.attributes.get("style", ""))

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()

    def ancestors(self) -> Iterator["Element"]:
        """The element itself, its parent, and so on up."""
        element: Element | None = self
        while element is not None:
            yield element
            element = element.parent


@dataclass(frozen=True)
class Page:
    """Elements in order, texts with the element around each, and style sheets with their line."""

    elements: list[Element] = field(default_factory=list)
    texts: list[tuple[Element, str]] = field(default_factory=list)
    styles: list[tuple[int, str]] = field(default_factory=list)

    def named(self, tag: str) -> Iterator[Element]:
        return (element for element in self.elements if element.tag == tag)


def parse_page(html: str) -> Page:
    """The elements of `html`; their line is that of a `data-line` attribute, or else that in `html`."""
    parser = _PageParser()
    parser.feed(html)
    parser.close()
    return parser.page


def declarations(style: str) -> list[Declaration]:
    """The declarations of a style attribute or of a rule's block."""
    found = tinycss2.parse_blocks_contents(style, skip_comments=True, skip_whitespace=True)
    return [one for one in found if isinstance(one, Declaration)]


def without_jinja(source: str) -> str:
    """The source with blanks and words in place of Jinja tags; all other characters keep their place."""
    return _JINJA.sub(_blank, source)


def with_lines(source: str) -> str:
    """The source with a `data-line` attribute in every element, which survives rendering."""

    def marked(match: re.Match[str]) -> str:
        start = _START_TAG.match(match[0])
        if not match["tag"] or start is None:
            return match[0]
        line = source.count("\n", 0, match.start()) + 1
        return f'{start[0]} {LINE}="{line}"{match[0][start.end() :]}'

    return PIECES.sub(marked, source)


def _blank(match: re.Match[str]) -> str:
    tag = match[0]
    if tag.startswith("{{"):
        return "x" * (len(tag) - tag.count("\n")) + "\n" * tag.count("\n")
    return "".join(character if character == "\n" else " " for character in tag)


class _PageParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        line = int(attributes.pop(LINE, 0)) or self.getpos()[0]
        element = Element(tag, attributes, line, self._open[-1] if self._open else None)
        self.page.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        for depth in range(len(self._open) - 1, -1, -1):
            if self._open[depth].tag == tag:
                del self._open[depth:]
                return

    def handle_data(self, data: str) -> None:
        if not self._open:
            return
        inside = self._open[-1]
        if inside.tag == "style":
            self.page.styles.append((inside.line, data))
        elif data.strip() and inside.tag not in {"title", "script"}:
            self.page.texts.append((inside, data.strip()))
