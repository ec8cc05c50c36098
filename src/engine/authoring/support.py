"""Support of HTML and CSS features by mail clients, by the tables of https://www.caniemail.com."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import tinycss2
from tinycss2.ast import AtRule, Declaration, Node, QualifiedRule

from engine.authoring.markup import Element, Page, declarations

CLIENTS: Final = {
    "gmail.desktop-webmail": "Gmail",
    "gmail.ios": "Gmail on iOS",
    "gmail.android": "Gmail on Android",
    "gmail.mobile-webmail": "Gmail in a phone's browser",
    "outlook.windows": "Outlook on Windows",
    "outlook.macos": "Outlook on macOS",
    "outlook.outlook-com": "Outlook.com",
    "outlook.ios": "Outlook on iOS",
    "outlook.android": "Outlook on Android",
    "yahoo.desktop-webmail": "Yahoo",
    "yahoo.ios": "Yahoo on iOS",
    "yahoo.android": "Yahoo on Android",
    "apple-mail.macos": "Apple Mail",
    "apple-mail.ios": "Apple Mail on iOS",
    "samsung-email.android": "Samsung Email",
}
"""The clients that templates are checked against, by their names in the data."""

GRACEFUL: Final = {
    "html-style": "its rules only improve on the style attributes",
    "html-body": "the table inside has the same colours",
    "css-border-radius": "corners are square there",
    "css-max-width": "the table for Outlook in a conditional comment has the width",
    "css-max-height": "it only helps to hide what display:none hides",
    "css-overflow": "it only helps to hide what display:none hides",
    "css-opacity": "it only helps to hide what display:none hides",
    "css-word-break": "long words wrap a little later there",
    "css-overflow-wrap": "long words wrap a little later there",
    "css-white-space": "an amount may wrap there",
    "css-letter-spacing": "letters have their usual spacing there",
    "css-color-scheme": "the client chooses its own dark colours there",
    "html-meta-color-scheme": "the client chooses its own dark colours there",
    "html-aria-label": "screen readers read the text itself there",
    "html-aria-hidden": "screen readers read the sign too there",
    "html-aria-describedby": "screen readers read less there",
    "html-aria-labelledby": "screen readers read less there",
    "html-role": "screen readers announce the layout table there",
    "html-lang": "screen readers use their own language there",
    "html-target": "links open as the client likes",
    "css-text-decoration-color": "the line has the text's colour there",
    "css-pseudo-class-hover": "nothing changes under the pointer there",
    "css-transition": "changes are sudden there",
    "css-height": "the height attribute or the content gives the height there",
}
"""Features whose lack does no harm, with what happens in a client without them."""

_MEDIA: Final = frozenset({"media", "supports"})
_DIMENSION: Final = re.compile(r"\.(\w+)(?:[?#].*)?$")


@dataclass(frozen=True)
class Feature:
    """A feature of the tables, and the named clients whose newest version does not support it."""

    slug: str
    title: str
    missing: tuple[str, ...]

    @property
    def is_graceful(self) -> bool:
        return self.slug in GRACEFUL

    @property
    def url(self) -> str:
        """The page that says which versions of the clients support it."""
        return f"https://www.caniemail.com/features/{self.slug}/"

    def message(self) -> str:
        """Which clients lack it, and what that does where it does no harm."""
        clients = ", ".join(CLIENTS[client] for client in self.missing)
        consequence = f": {GRACEFUL[self.slug]}" if self.is_graceful else ""
        return f"{self.title} is not supported by {clients}{consequence}"


@dataclass(frozen=True)
class Use:
    """The use of a feature, at a line of the HTML."""

    feature: Feature
    line: int


def unsupported(page: Page) -> Iterator[Use]:
    """The features that `page` uses and some named client lacks, once a line.

    Rules inside @media and @supports are for clients that understand them, and are not counted.
    """
    seen: set[tuple[str, int]] = set()
    for sign, line in _signs(page):
        for feature in _features().get(sign, ()):
            if (feature.slug, line) not in seen:
                seen.add((feature.slug, line))
                yield Use(feature, line)


@cache
def _features() -> dict[str, list[Feature]]:
    tables: dict[str, Any] = json.loads(
        files("engine.authoring").joinpath("data", "caniemail.json").read_text("utf-8")
    )
    by_sign: dict[str, list[Feature]] = {}
    for row in tables["features"]:
        missing = tuple(client for client in CLIENTS if client in row["missing"])
        if missing:
            for sign in row["signs"]:
                by_sign.setdefault(sign, []).append(Feature(row["slug"], row["title"], missing))
    return by_sign


def _signs(page: Page) -> Iterator[tuple[str, int]]:
    for element in page.elements:
        for sign in _of_element(element):
            yield sign, element.line
        for declaration in element.declarations:
            for sign in _of_declaration(declaration):
                yield sign, element.line
    for line, sheet in page.styles:
        for sign, offset in _of_rules(tinycss2.parse_stylesheet(sheet, True, True)):  # noqa: FBT003 - the library has them in this place only
            yield sign, line + offset - 1


def _of_element(element: Element) -> Iterator[str]:
    yield f"element {element.tag}"
    yield from (f"attribute {name}" for name in element.attributes)
    ending = _DIMENSION.search(element.attributes.get("src", "")) if element.tag == "img" else None
    if ending:
        yield f"image {ending[1].lower()}"


def _of_declaration(declaration: Declaration) -> Iterator[str]:
    name = declaration.lower_name
    yield f"property {name}"
    for token in _tokens(declaration.value):
        if token.type == "ident":
            yield f"value {name} {token.lower_value}"
        elif token.type == "dimension":
            yield f"unit {token.lower_unit}"
        elif token.type == "percentage":
            yield "unit %"
        elif token.type == "function":
            yield f"function {token.lower_name}"


def _of_rules(rules: Iterable[Node]) -> Iterator[tuple[str, int]]:
    for rule in rules:
        if isinstance(rule, AtRule) and rule.lower_at_keyword not in _MEDIA:
            yield f"at-rule {rule.lower_at_keyword}", rule.source_line
        elif isinstance(rule, QualifiedRule):
            yield from ((sign, rule.source_line) for sign in _of_selector(rule.prelude))
            for declaration in declarations(tinycss2.serialize(rule.content)):
                line = rule.source_line + declaration.source_line - 1
                yield from ((sign, line) for sign in _of_declaration(declaration))


def _of_selector(prelude: Iterable[Any]) -> Iterator[str]:
    colon = False
    for token in prelude:
        if colon and token.type in {"ident", "function"}:
            yield f"pseudo {token.lower_value if token.type == 'ident' else token.lower_name}"
        colon = token.type == "literal" and token.value == ":"


def _tokens(tokens: Iterable[Any]) -> Iterator[Any]:
    for token in tokens:
        yield token
        if token.type == "function":
            yield from _tokens(token.arguments)
