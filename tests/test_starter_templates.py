"""The starter templates render with everything, with the least, and with the worst that a caller may pass."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.failures import Refused
from engine.domain.rendering import METADATA_FILE, Rendered, Template, compile_template

ROOT = Path(__file__).parents[1] / "starter_templates"
NAMES = sorted(path.name for path in ROOT.iterdir())
BRAND = {"brandName", "brandColor", "logoUrl", "supportEmail", "companyAddress", "lang"}
HOSTILE = [
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "{{ 7 * 7 }}",
    "javascript:alert(1)",
    "é\n<b>'",
]
URLS = {"actionUrl", "resetUrl", "orderUrl", "logoUrl"}


def metadata(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((ROOT / name / METADATA_FILE).read_text())
    return read


def sample(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((ROOT / name / "sample.json").read_text())
    return read


def template(name: str) -> Template:
    html, text = ((ROOT / name / file).read_text() for file in ("template.html", "template.txt"))
    return compile_template(name, html, text, (ROOT / name / METADATA_FILE).read_bytes())


TEMPLATES = {name: template(name) for name in NAMES}
every_template = pytest.mark.parametrize("name", NAMES)


class Page(HTMLParser):
    """The tags of a rendered email, each with its attributes, and what is open."""

    VOID = frozenset({"meta", "img", "br", "link", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.html = html
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def links(self) -> list[str]:
        """Wherever anything leads to, also inside the comments that only Outlook reads."""
        return re.findall(r'\b(?:href|src)="([^"]*)"', self.html)


def page(rendered: Rendered) -> Page:
    assert rendered.html is not None
    assert rendered.text is not None
    parsed = Page(rendered.html)
    assert parsed.open == []
    return parsed


def test_the_three_that_the_demo_uses_are_there() -> None:
    assert {"welcome", "password-reset", "order-confirmation"} <= set(NAMES)


@every_template
def test_a_sample_gives_every_variable_there_is(name: str) -> None:
    known = metadata(name)["requiredVariables"] + metadata(name)["optionalVariables"]
    assert set(sample(name)) <= set(known)
    assert set(metadata(name)["requiredVariables"]) <= set(sample(name))
    assert set(known) >= BRAND


@every_template
def test_html_and_text_say_the_same_with_the_sample(name: str) -> None:
    rendered = TEMPLATES[name].render(sample(name))
    said = page(rendered)
    values = [value for key, value in sample(name).items() if isinstance(value, str) and key != "brandColor"]
    text = rendered.text or ""
    html = rendered.html or ""
    for value in values:
        assert value in text, value
        assert value in html, value
    assert all(link.startswith(("https://", "mailto:")) for link in said.links())
    assert sample(name)["brandColor"] in html
    assert rendered.sender_email is None
    assert rendered.sender_name


@every_template
def test_the_required_variables_are_enough_and_each_is_needed(name: str) -> None:
    least = {key: sample(name)[key] for key in metadata(name)["requiredVariables"]}
    rendered = TEMPLATES[name].render(least)
    page(rendered)
    assert "None" not in (rendered.html or "") + (rendered.text or "") + rendered.subject
    for key in least:
        with pytest.raises(Refused, match=f"lacks {key}"):
            TEMPLATES[name].render({other: value for other, value in least.items() if other != key})


@every_template
def test_optional_variables_that_are_null_or_empty_count_as_not_given(name: str) -> None:
    least = {key: sample(name)[key] for key in metadata(name)["requiredVariables"]}
    bare = TEMPLATES[name].render(least)
    for nothing in (None, ""):
        optional = dict.fromkeys(metadata(name)["optionalVariables"], nothing)
        assert TEMPLATES[name].render(least | optional) == bare


def replaced(value: Any, hostile: str) -> Any:
    if isinstance(value, dict):
        return {key: replaced(one, hostile) for key, one in value.items()}
    return [replaced(one, hostile) for one in value] if isinstance(value, list) else hostile


@every_template
@pytest.mark.parametrize("hostile", HOSTILE)
def test_whatever_a_caller_passes_is_shown_and_never_obeyed(name: str, hostile: str) -> None:
    data = {key: replaced(value, hostile.replace("\n", " ")) for key, value in sample(name).items()} | {
        "lang": hostile,
        "logoUrl": hostile,
        "senderEmail": "",
    }
    rendered = TEMPLATES[name].render(data)
    said = page(rendered)
    shape = page(TEMPLATES[name].render(sample(name) | {"logoUrl": ""}))
    assert {tag for tag, _ in said.tags} <= {tag for tag, _ in shape.tags}
    assert not any(attr.startswith("on") for _, attrs in said.tags for attr in attrs)
    assert said.links() == [], "a value that is no https: address made a link"
    assert "49" not in (rendered.text or "")


@every_template
@given(st.data())
@settings(max_examples=25)
def test_only_https_and_mailto_ever_become_links(name: str, data: st.DataObject) -> None:
    scheme = st.sampled_from(
        ["javascript:", "data:", "http://", "https://", "HTTPS://", " https://", "//", ""]
    )
    values = {key: data.draw(scheme) + data.draw(st.text(max_size=20)) for key in sorted(URLS)}
    rendered = TEMPLATES[name].render(sample(name) | values)
    for link in Page(rendered.html or "").links():
        assert link.lower().startswith(("https://", "mailto:"))


@every_template
def test_a_brand_colour_is_a_colour_or_the_default(name: str) -> None:
    for colour in ("red;background:url(https://x.example)", "#12", "#0b6b5", "#00000;", 5):
        html = TEMPLATES[name].render(sample(name) | {"brandColor": colour}).html or ""
        assert f"solid {colour}" not in html
        assert "solid #2453d6" in html


@every_template
def test_a_logo_takes_the_place_of_the_name_and_says_it(name: str) -> None:
    html = TEMPLATES[name].render(sample(name) | {"logoUrl": "https://cdn.example.com/logo.png"}).html or ""
    images = [attrs for tag, attrs in Page(html).tags if tag == "img"]
    assert [(image["src"], image["alt"]) for image in images] == [
        ("https://cdn.example.com/logo.png", "Northwind")
    ]


@every_template
def test_it_is_built_for_mail_clients(name: str) -> None:
    rendered = TEMPLATES[name].render(sample(name))
    html = rendered.html or ""
    tags = page(rendered).tags
    assert len(html.encode()) < 60_000
    assert ("html", "en") in [(tag, attrs.get("lang")) for tag, attrs in tags]
    assert "max-width:600px" in html
    assert "prefers-color-scheme: dark" in html
    assert "v:roundrect" in html, "the button of Outlook"
    assert "mso-hide:all" in html, "the preheader"
    assert "&amp;#" not in html
    assert not {"script", "link", "form", "iframe", "video", "svg"} & {tag for tag, _ in tags}
    assert "url(" not in html
    assert "@import" not in html
    tables = [attrs for tag, attrs in tags if tag == "table"]
    layout = [attrs for attrs in tables if attrs.get("role") == "presentation"]
    assert len(tables) - len(layout) == (1 if name == "order-confirmation" else 0), (
        "only data is a real table"
    )
