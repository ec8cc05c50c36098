"""The starter templates render with everything, with the least, and with the worst that a caller may pass."""

import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.authoring.build import brand_schema, starter_files, starters
from engine.authoring.contrast import low_contrast_texts
from engine.authoring.files import PARTS, SAMPLE_FILE, SCHEMA_FILE
from engine.authoring.folder import Folder
from engine.authoring.lint import lint
from engine.authoring.markup import parse_page
from engine.errors import Refused
from engine.templating.template import (
    HTML_FILE,
    METADATA_FILE,
    TEXT_FILE,
    Rendered,
    Template,
    compile_template,
)

ROOT = Path(__file__).parents[2] / "starter_templates"
SNAPSHOTS = Path(__file__).parent / "snapshots"
NAMES = sorted(path.name for path in ROOT.iterdir())
HOSTILE = [
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "{{ 7 * 7 }}",
    "javascript:alert(1)",
    "é\n<b>'",
]
URLS = {"actionUrl", "resetUrl", "orderUrl", "logoUrl", "verificationUrl", "trackingUrl", "payUrl"} | {
    "invoiceUrl",
    "secureUrl",
    "unsubscribeUrl",
    "onlineUrl",
    "imageUrl",
}


def read(name: str, file: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((ROOT / name / file).read_text())
    return value


def metadata(name: str) -> dict[str, Any]:
    return read(name, METADATA_FILE)


def sample(name: str) -> dict[str, Any]:
    return read(name, SAMPLE_FILE)


def least(name: str) -> dict[str, Any]:
    return {key: sample(name)[key] for key in metadata(name)["requiredVariables"]}


def template(name: str) -> Template:
    html, text = ((ROOT / name / file).read_text() for file in (HTML_FILE, TEXT_FILE))
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


def texts(value: Any, without: set[str]) -> list[str]:
    """Every text in a value, however deep, but under some keys."""
    if isinstance(value, dict):
        return [text for key, one in value.items() if key not in without for text in texts(one, without)]
    if isinstance(value, list):
        return [text for one in value for text in texts(one, without)]
    return [value] if isinstance(value, str) else []


def test_there_are_eight_of_them() -> None:
    assert NAMES == [
        "account-alert",
        "email-verification",
        "invoice",
        "newsletter",
        "order-confirmation",
        "password-reset",
        "shipping-notification",
        "welcome",
    ]


def test_each_is_what_its_source_makes() -> None:
    for source in starters():
        stale = starter_files(source).stale(ROOT / source.name)
        assert stale == [], f"{source.name}: run `sesmailengine templates build --starters starter_templates`"
    assert {source.name for source in starters()} == set(NAMES)


@every_template
def test_it_has_the_files_of_a_template_and_no_others(name: str) -> None:
    assert {path.name for path in (ROOT / name).iterdir()} == {*PARTS, SAMPLE_FILE, SCHEMA_FILE}


@every_template
def test_nothing_is_found_when_it_is_checked(name: str) -> None:
    assert [finding for finding in lint(Folder(ROOT / name)) if finding.level != "note"] == []


@every_template
def test_a_sample_gives_what_there_is_and_fits_the_schema(name: str) -> None:
    known = metadata(name)["requiredVariables"] + metadata(name)["optionalVariables"]
    assert set(sample(name)) <= set(known)
    assert set(metadata(name)["requiredVariables"]) <= set(sample(name))
    assert set(known) >= set(brand_schema())
    schema = read(name, SCHEMA_FILE)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(sample(name))
    validator.validate(least(name))
    assert not validator.is_valid({})
    assert not validator.is_valid(sample(name) | {"a variable that is misspelled": ""})


@every_template
def test_html_and_text_say_the_same_with_the_sample(name: str) -> None:
    rendered = TEMPLATES[name].render(sample(name))
    said = page(rendered)
    text, html = rendered.text or "", rendered.html or ""
    for value in texts(sample(name), without={"brandColor", "preview"}):
        assert value in unescape(html), value
    # A picture beside an article is only for those who see it.
    articles = texts(sample(name).get("articles", []), without={"imageUrl", "imageAlt"})
    for value in texts(sample(name), without={"brandColor", "preview", "articles"}) + articles:
        assert value in text, value
    assert all(link.startswith(("https://", "mailto:")) for link in said.links())
    assert sample(name)["brandColor"] in html
    assert rendered.sender_email is None
    assert rendered.sender_name


@every_template
def test_subject_and_text_are_as_they_were(name: str) -> None:
    for data, kind in ((sample(name), "sample"), (least(name), "least")):
        rendered = TEMPLATES[name].render(data)
        told = f"Subject: {rendered.subject}\n\n{rendered.text}\n"
        assert told == (SNAPSHOTS / f"{name}.{kind}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["account-alert", "email-verification", "password-reset"])
def test_ses_never_rewrites_a_link_that_opens_an_account(name: str) -> None:
    # https://docs.aws.amazon.com/ses/latest/dg/faqs-metrics.html
    links = [attributes for tag, attributes in page(TEMPLATES[name].render(sample(name))).tags if tag == "a"]
    web = [link for link in links if str(link["href"]).startswith("https:")]
    assert len(web) == 2
    assert all("ses:no-track" in link for link in web)


@every_template
def test_the_required_variables_are_enough_and_each_is_needed(name: str) -> None:
    rendered = TEMPLATES[name].render(least(name))
    page(rendered)
    assert "None" not in (rendered.html or "") + (rendered.text or "") + rendered.subject
    for key in least(name):
        with pytest.raises(Refused, match=f"lacks {key}"):
            TEMPLATES[name].render({other: value for other, value in least(name).items() if other != key})


@every_template
def test_optional_variables_that_are_null_or_empty_count_as_not_given(name: str) -> None:
    bare = TEMPLATES[name].render(least(name))
    for nothing in (None, ""):
        optional = dict.fromkeys(metadata(name)["optionalVariables"], nothing)
        assert TEMPLATES[name].render(least(name) | optional) == bare


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
@settings(max_examples=25, deadline=None)
def test_only_https_and_mailto_ever_become_links(name: str, data: st.DataObject) -> None:
    scheme = st.sampled_from(
        ["javascript:", "data:", "http://", "https://", "HTTPS://", " https://", "//", ""]
    )
    path = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
    known = set(metadata(name)["requiredVariables"]) | set(metadata(name)["optionalVariables"])
    values = {key: data.draw(scheme) + data.draw(path) for key in sorted(URLS & known)}
    rendered = TEMPLATES[name].render(sample(name) | values)
    for link in Page(rendered.html or "").links():
        assert link.lower().startswith(("https://", "mailto:"))


@every_template
@pytest.mark.parametrize("address", ["nobody", "a@b?bcc=c@d", "a@b, c@d", "a@b@c", "javascript:alert(1)"])
def test_a_support_contact_that_is_no_address_makes_no_link(name: str, address: str) -> None:
    html = TEMPLATES[name].render(sample(name) | {"supportEmail": address}).html or ""
    assert "mailto:" not in html


@every_template
def test_a_brand_colour_is_a_colour_or_the_default(name: str) -> None:
    for colour in ("red;background:url(https://x.example)", "#12", "#0b6b5", "#00000;", "#zzzzzz", 5):
        html = TEMPLATES[name].render(sample(name) | {"brandColor": colour}).html or ""
        assert f"background-color:{colour}" not in html
        assert "background-color:#2453d6" in html
    short = TEMPLATES[name].render(sample(name) | {"brandColor": "#0A5"}).html or ""
    assert "background-color:#00aa55" in short


@given(st.integers(0, 0xFFFFFF))
@settings(max_examples=40, deadline=None)
def test_text_can_be_read_in_every_brand_colour(colour: int) -> None:
    html = TEMPLATES["welcome"].render(sample("welcome") | {"brandColor": f"#{colour:06x}"}).html or ""
    assert [text.message() for text in low_contrast_texts(parse_page(html))] == []


@every_template
def test_a_logo_takes_the_place_of_the_name_and_says_it(name: str) -> None:
    html = TEMPLATES[name].render(sample(name) | {"logoUrl": "https://cdn.example.com/logo.png"}).html or ""
    first = next(attrs for tag, attrs in Page(html).tags if tag == "img")
    assert (first["src"], first["alt"]) == ("https://cdn.example.com/logo.png", "Northwind")


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
    assert all(attrs.get("alt") for tag, attrs in tags if tag == "img")
    assert all(
        attrs.get("role") == "presentation" for tag, attrs in tags if tag == "table" and "class" in attrs
    )


def test_an_invoice_that_is_paid_is_a_receipt() -> None:
    paid = sample("invoice") | {"paidDate": "20 March 2026", "paymentMethod": "card"}
    rendered = TEMPLATES["invoice"].render(paid)
    assert rendered.subject == "Receipt for invoice 2026-0318 from Northwind"
    assert "we received your payment on 20 March 2026 by card" in (rendered.text or "")
    assert sample("invoice")["payUrl"] not in (rendered.html or "") + (rendered.text or "")


def test_a_newsletter_says_how_to_unsubscribe_in_both_parts() -> None:
    rendered = TEMPLATES["newsletter"].render(least("newsletter"))
    address = sample("newsletter")["unsubscribeUrl"]
    assert f'href="{address}"' in (rendered.html or "")
    assert f"Unsubscribe: {address}" in (rendered.text or "")


def test_an_email_with_a_link_is_sent_no_longer_than_its_link_works() -> None:
    """Counted from the request: the source says thirty minutes and a day where the request says nothing."""
    valid = {name: read(name, METADATA_FILE).get("validForSeconds") for name in NAMES}
    assert {name: seconds for name, seconds in valid.items() if seconds} == {
        "password-reset": 30 * 60,
        "email-verification": 24 * 3600,
    }
