"""Measure the contrast of every text with its background, on light and on dark screens (WCAG 2.2).

https://www.w3.org/TR/WCAG22/#contrast-minimum. Only plain colours are judged: those in `style` and `bgcolor`
and, for dark screens, those that a class gets inside `@media (prefers-color-scheme: dark)`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import tinycss2
from tinycss2.ast import AtRule, Declaration, QualifiedRule
from tinycss2.color3 import RGBA, parse_color

from engine.authoring.markup import Element, Page, declarations
from engine.templating.palette import luminance

ENOUGH: Final = 4.5
ENOUGH_WHEN_LARGE: Final = 3.0
_LARGE: Final = 24.0  # px; bold text counts as large from 14 pt on
_LARGE_BOLD: Final = 18.66

_Rules = dict[str, dict[str, str]]


@dataclass(frozen=True)
class LowContrastText:
    """A text whose contrast is below the minimum of WCAG 2.2."""

    line: int
    text: str
    colour: str
    background: str
    ratio: float
    enough: float
    scheme: str

    def message(self) -> str:
        return (
            f"{self.text[:40]!r} is {self.colour} on {self.background} ({self.scheme}):"
            f" contrast {self.ratio:.1f}, expected at least {self.enough:g}"
        )


def low_contrast_texts(page: Page) -> Iterator[LowContrastText]:
    """The texts of a rendered page whose contrast is too low, for each colour scheme."""
    dark = _dark_rules(page)
    for scheme, rules in (("light", {}), ("dark", dark)):
        if scheme == "light" or dark:
            yield from _low_contrast(page, scheme, rules)


def contrast(one: RGBA, other: RGBA) -> float:
    """1 for the same colour to 21 for black on white."""
    light, dark = sorted((luminance(*one[:3]), luminance(*other[:3])), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _low_contrast(page: Page, scheme: str, rules: _Rules) -> Iterator[LowContrastText]:
    styles: dict[int, dict[str, str]] = {}
    seen: set[tuple[int, str]] = set()
    for element, text in page.texts:
        ancestry = [styles.setdefault(id(one), _style(one, rules)) for one in element.ancestors()]
        if any(style.get("display") == "none" for style in ancestry):
            continue
        colour = _colour(_first(ancestry, "color") or "#000000")
        behind = _first(ancestry, "background-color") or ("#ffffff" if scheme == "light" else "")
        background = _colour(behind)
        if colour is None or background is None:
            continue
        ratio, enough = contrast(colour, background), _enough(ancestry)
        if ratio < enough and (element.line, text) not in seen:
            seen.add((element.line, text))
            yield LowContrastText(element.line, text, _hex(colour), _hex(background), ratio, enough, scheme)


def _style(element: Element, rules: _Rules) -> dict[str, str]:
    style = {"background-color": element.attributes["bgcolor"]} if "bgcolor" in element.attributes else {}
    style |= _read(element.declarations)
    for name, declared in rules.items():
        if name in element.classes:
            style |= declared
    return style


def _read(found: list[Declaration]) -> dict[str, str]:
    style = {one.lower_name: tinycss2.serialize(one.value).strip().lower() for one in found}
    if "background" in style and parse_color(style["background"]) is not None:
        style["background-color"] = style["background"]
    return style


def _dark_rules(page: Page) -> _Rules:
    """What each class gets on a dark screen, later rules last."""
    rules: _Rules = {}
    for _, sheet in page.styles:
        for media in tinycss2.parse_stylesheet(sheet, True, True):  # noqa: FBT003 - the library has them in this place only
            if not isinstance(media, AtRule) or media.content is None:
                continue
            query = tinycss2.serialize(media.prelude).replace(" ", "")
            if media.lower_at_keyword == "media" and "prefers-color-scheme:dark" in query:
                for rule in tinycss2.parse_rule_list(media.content, True, True):  # noqa: FBT003 - as above
                    _add(rules, rule)
    return rules


def _add(rules: _Rules, rule: Any) -> None:
    if not isinstance(rule, QualifiedRule):
        return
    declared = _read(declarations(tinycss2.serialize(rule.content)))
    for selector in tinycss2.serialize(rule.prelude).split(","):
        name = selector.strip()
        if name.startswith(".") and name[1:].replace("-", "").replace("_", "").isalnum():
            # Removed first, so that a class with a second rule moves to that rule's place in the order.
            rules[name[1:]] = rules.pop(name[1:], {}) | declared


def _first(ancestry: list[dict[str, str]], name: str) -> str | None:
    return next(
        (style[name] for style in ancestry if style.get(name) not in {None, "inherit", "transparent"}), None
    )


def _enough(ancestry: list[dict[str, str]]) -> float:
    size = _first(ancestry, "font-size") or "16px"
    pixels = float(size.removesuffix("px")) if size.removesuffix("px").replace(".", "").isdigit() else 16.0
    weight = _first(ancestry, "font-weight") or "400"
    bold = weight in {"bold", "bolder"} or (weight.isdigit() and int(weight) >= 700)
    large = pixels >= _LARGE or (bold and pixels >= _LARGE_BOLD)
    return ENOUGH_WHEN_LARGE if large else ENOUGH


def _colour(text: str) -> RGBA | None:
    colour = parse_color(text)
    return colour if isinstance(colour, RGBA) and colour.alpha == 1 else None


def _hex(colour: RGBA) -> str:
    return "#" + "".join(f"{round(channel * 255):02x}" for channel in colour[:3])
