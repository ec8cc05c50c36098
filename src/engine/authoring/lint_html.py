"""Check a template's HTML: what mail clients lack, links, images, structure and contrast."""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from engine.authoring.contrast import low_contrast_texts
from engine.authoring.findings import Level, LintFinding
from engine.authoring.folder import Folder
from engine.authoring.markup import Element, Page, parse_page, with_lines, without_jinja
from engine.authoring.support import unsupported
from engine.errors import Refused
from engine.templating.template import HTML_FILE

HOSTILE_URL: Final = "javascript:alert(1)"

_SCHEMES: Final = frozenset({"https", "mailto", "tel"})
_DANGEROUS: Final = frozenset({"applet", "base", "embed", "form", "frame", "iframe", "object", "script"})


def lint_html(folder: Folder, sample: dict[str, Any] | None) -> Iterator[LintFinding]:
    """Check template.html: every branch as it is written, and the email as rendered with `sample`."""
    source = folder.read(HTML_FILE)
    if source is None:
        return
    written = parse_page(without_jinja(source))
    for use in unsupported(written):
        feature = use.feature
        level: Level = "note" if feature.is_graceful else "error"
        yield LintFinding(HTML_FILE, use.line, feature.slug, feature.message(), level, feature.url)
    yield from _structure(written)
    if sample is not None:
        rendered = _rendered(folder, source, sample)
        yield from _links(rendered)
        yield from _images(rendered)
        for text in low_contrast_texts(rendered):
            yield LintFinding(HTML_FILE, text.line, "contrast", text.message())
        yield from _unchecked_links(folder, source, sample)


def _rendered(folder: Folder, source: str, data: dict[str, Any]) -> Page:
    return parse_page(folder.compile(with_lines(source)).render(data).html or "")


def _structure(page: Page) -> Iterator[LintFinding]:
    for element in page.elements:
        if element.tag in _DANGEROUS or (
            element.tag == "link" and "stylesheet" in element.attributes.values()
        ):
            yield LintFinding(
                HTML_FILE, element.line, "forbidden", f"<{element.tag}> has no place in an email"
            )
        if any(name.startswith("on") for name in element.attributes):
            yield LintFinding(HTML_FILE, element.line, "forbidden", "scripts have no place in an email")
        if element.tag == "table" and _has_no_purpose(element, page):
            message = 'a table of layout needs role="presentation", a table of data needs headers'
            yield LintFinding(HTML_FILE, element.line, "table-role", message, "warning")
    root = next(page.named("html"), None)
    if root is None or not root.attributes.get("lang"):
        line = root.line if root else 1
        yield LintFinding(HTML_FILE, line, "lang", "<html> has no lang: screen readers guess the language")


def _has_no_purpose(table: Element, page: Page) -> bool:
    """Whether a screen reader can't know if the table is layout or data."""
    if table.attributes.get("role") in {"presentation", "none"}:
        return False
    return not any(table in header.ancestors() for header in page.named("th"))


def _links(page: Page) -> Iterator[LintFinding]:
    for element in page.elements:
        target = element.attributes.get("href") if element.tag in {"a", "area"} else None
        if target is None:
            continue
        scheme = _scheme(target)
        if scheme not in _SCHEMES:
            shown = target[:60] or "nothing"
            message = f"a link leads to {shown}; expected an https: or mailto: address"
            yield LintFinding(HTML_FILE, element.line, "link", message)


def _images(page: Page) -> Iterator[LintFinding]:
    for image in page.named("img"):
        source = image.attributes.get("src", "")
        if "alt" not in image.attributes:
            message = 'an image has no alt: say what it shows, or alt="" where it only decorates'
            yield LintFinding(HTML_FILE, image.line, "alt", message)
        if _scheme(source) not in {"https", "cid"}:
            message = (
                f"an image is loaded from {source[:60] or 'nowhere'}; expected an https: or cid: address"
            )
            yield LintFinding(HTML_FILE, image.line, "image-source", message)
        if not image.attributes.get("width") and not image.attributes.get("height"):
            message = "an image has neither width nor height: Outlook shows it in its own size"
            yield LintFinding(HTML_FILE, image.line, "image-size", message, "warning")


def _unchecked_links(folder: Folder, source: str, sample: dict[str, Any]) -> Iterator[LintFinding]:
    """Links whose address comes from the data unchecked: data with a hostile address shows them."""
    try:
        page = _rendered(folder, source, _with_hostile_urls(sample))
    except Refused:
        return  # refused, so no link is made of it
    for element in page.elements:
        if HOSTILE_URL in {element.attributes.get("href"), element.attributes.get("src")}:
            message = "templateData may put any address here, also a javascript: one; check for https: first"
            yield LintFinding(HTML_FILE, element.line, "link-unchecked", message, "warning")


def _with_hostile_urls(value: Any) -> Any:
    """The data with an address that must not become a link in place of every text."""
    if isinstance(value, dict):
        return {key: _with_hostile_urls(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_with_hostile_urls(one) for one in value]
    return HOSTILE_URL if isinstance(value, str) else value


def _scheme(address: str) -> str:
    try:
        return urlsplit(address.strip()).scheme.lower()
    except ValueError:
        return ""
