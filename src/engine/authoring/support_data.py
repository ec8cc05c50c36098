"""Condense the data of https://www.caniemail.com (650 KB) to what the checks need, data/caniemail.json.

python -m engine.authoring.support_data node_modules/caniemail/data/caniemail.json
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_WORD: Final = re.compile(r"[a-z][a-z-]*")
_SUFFIX: Final = re.compile(r" (CSS property|property|shorthand|element|attribute|attributes|unit)\s*$")
_SEPARATOR: Final = re.compile(r", | & | and ")
_PAIR: Final = re.compile(r"([a-z-]+):\s*([a-z-]+)")
_FUNCTION: Final = re.compile(r"([a-z-]+)\(\)")
_ELEMENT: Final = re.compile(r"<(\w+)[ >]")

# Where the titles don't say it in a form that can be parsed.
_BY_HAND: Final = {
    "css-variables": ["function var"],
    "css-system-ui": [],
    "css-intrinsic-size": [],
    "html-h1-h6": [f"element h{level}" for level in range(1, 7)],
    "html-image-maps": ["element map"],
    "html-svg": ["element svg"],
    "html-doctype": [],
    "html-anchor-links": [],
    "html-mailto-links": [],
    "css-important": [],
}


def condense(raw: dict[str, Any]) -> dict[str, Any]:
    """The signs of each feature in HTML and CSS, and the clients whose newest version does not support it."""
    features = [feature for row in raw["data"] if (feature := _feature(row))["signs"] and feature["missing"]]
    return {"source": "https://www.caniemail.com", "updated": raw["last_update_date"], "features": features}


def _feature(row: dict[str, Any]) -> dict[str, Any]:
    slug = row["slug"]
    return {
        "slug": slug,
        "title": row["title"].strip(),
        "signs": _BY_HAND[slug] if slug in _BY_HAND else sorted(set(_signs(row))),
        "missing": [
            f"{family}.{platform}"
            for family, platforms in row["stats"].items()
            for platform, versions in platforms.items()
            if list(versions.values())[-1].startswith("n")
        ],
    }


def _signs(row: dict[str, Any]) -> Iterator[str]:
    """The signs of a feature: `property gap`, `value display flex`, and so on."""
    title, keywords = row["title"].strip(), _SEPARATOR.split((row["keywords"] or "").strip())
    if row["category"] == "image":
        yield f"image {row['slug'].removeprefix('image-')}"
    elif row["category"] == "html":
        yield from _html_signs(title, keywords)
    elif row["category"] == "css":
        yield from _css_signs(title, [word for word in keywords if "-" in word])


def _html_signs(title: str, keywords: list[str]) -> Iterator[str]:
    if title == "HTML5 semantics":
        yield from (f"element {name}" for name in keywords)
    elif "attribute" in title:
        yield from (f"attribute {name}" for name in _SEPARATOR.split(_SUFFIX.sub("", title)))
    else:
        yield from (f"element {name}" for name in _ELEMENT.findall(title))


def _css_signs(title: str, keywords: list[str]) -> Iterator[str]:
    if title.startswith("@"):
        if _WORD.fullmatch(title[1:]):
            yield f"at-rule {title[1:]}"
    elif title.startswith(":"):
        yield f"pseudo {title.strip(':').removesuffix('()')}"
    elif "()" in title:
        yield from (f"function {name}" for name in _FUNCTION.findall(title))
    elif pair := _PAIR.fullmatch(title):
        yield f"value {pair[1]} {pair[2]}"
    elif title.endswith(" unit"):
        yield f"unit {title.removesuffix(' unit')}"
    elif "selector" not in title.lower() and "combinator" not in title.lower():
        names = _SEPARATOR.split(_SUFFIX.sub("", title))
        plain = [name for name in names if _WORD.fullmatch(name)]
        yield from (f"property {name}" for name in (plain if len(plain) == len(names) else keywords))


def main(source: Path) -> None:
    condensed = condense(json.loads(source.read_text(encoding="utf-8")))
    features = ",\n".join("  " + json.dumps(feature, ensure_ascii=False) for feature in condensed["features"])
    head = json.dumps({key: condensed[key] for key in ("source", "updated")})[:-1]
    target = Path(__file__).parent / "data" / "caniemail.json"
    target.write_text(f'{head}, "features": [\n{features}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
