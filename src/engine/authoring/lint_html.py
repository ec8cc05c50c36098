"""What is wrong with a template's HTML: what clients lack, links, pictures, and text that can't be read."""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from engine.authoring.contrast import faint_texts
from engine.authoring.findings import Finding
from engine.authoring.folder import Folder
from engine.authoring.markup import Element, Page, read_page, with_lines, without_jinja
from engine.authoring.support import GRACEFUL, unsupported
from engine.errors import Refused
from engine.templating.template import HTML_FILE

HOSTILE_URL: Final = "javascript:alert(1)"

_SCHEMES: Final = frozenset({"https", "mailto", "tel"})
_DANGEROUS: Final = frozenset({"applet", "base", "embed", "form", "frame", "iframe", "object", "script"})


def lint_html(folder: Folder, sample: dict[str, Any] | None) -> Iterator[Finding]:
    """Findings about template.html: every branch as it is written, and the email as `sample` renders it."""
    source = folder.read(HTML_FILE)
    if source is None:
        return
    written = read_page(without_jinja(source))
    yield from _support(written)
    yield from _structure(written)
    if sample is not None:
        rendered = _rendered(folder, source, sample)
        yield from _links(rendered)
        yield from _pictures(rendered)
        for faint in faint_texts(rendered):
            yield Finding(HTML_FILE, faint.line, "contrast", faint.told())
        yield from _obedience(folder, source, sample)


def _rendered(folder: Folder, source: str, data: dict[str, Any]) -> Page:
    return read_page(folder.compile(with_lines(source)).render(data).html or "")


def _support(page: Page) -> Iterator[Finding]:
    for use in unsupported(page):
        feature = use.feature
        if feature.is_graceful:
            message = f"{feature.told()}: {GRACEFUL[feature.slug]}"
            yield Finding(HTML_FILE, use.line, feature.slug, message, "note")
        else:
            yield Finding(HTML_FILE, use.line, feature.slug, feature.told())


def _structure(page: Page) -> Iterator[Finding]:
    for element in page.elements:
        if element.tag in _DANGEROUS or (
            element.tag == "link" and "stylesheet" in element.attributes.values()
        ):
            yield Finding(HTML_FILE, element.line, "forbidden", f"<{element.tag}> has no place in an email")
        if any(name.startswith("on") for name in element.attributes):
            yield Finding(HTML_FILE, element.line, "forbidden", "scripts have no place in an email")
        if element.tag == "table" and _is_unexplained(element, page):
            message = 'a table of layout needs role="presentation", a table of data needs headers'
            yield Finding(HTML_FILE, element.line, "table-role", message, "warning")
    root = next(page.named("html"), None)
    if root is None or not root.attributes.get("lang"):
        line = root.line if root else 1
        yield Finding(HTML_FILE, line, "lang", "<html> has no lang: screen readers guess the language")


def _is_unexplained(table: Element, page: Page) -> bool:
    if table.attributes.get("role") in {"presentation", "none"}:
        return False
    return not any(table in header.lineage() for header in page.named("th"))


def _links(page: Page) -> Iterator[Finding]:
    for element in page.elements:
        target = element.attributes.get("href") if element.tag in {"a", "area"} else None
        if target is None:
            continue
        scheme = _scheme(target)
        if scheme not in _SCHEMES:
            shown = target[:60] or "nothing"
            message = f"a link leads to {shown}; expected an https: or mailto: address"
            yield Finding(HTML_FILE, element.line, "link", message)


def _pictures(page: Page) -> Iterator[Finding]:
    for image in page.named("img"):
        source = image.attributes.get("src", "")
        if "alt" not in image.attributes:
            message = 'an image has no alt: say what it shows, or alt="" where it only decorates'
            yield Finding(HTML_FILE, image.line, "alt", message)
        if _scheme(source) not in {"https", "cid"}:
            message = (
                f"an image is loaded from {source[:60] or 'nowhere'}; expected an https: or cid: address"
            )
            yield Finding(HTML_FILE, image.line, "image-source", message)
        if not image.attributes.get("width") and not image.attributes.get("height"):
            message = "an image has neither width nor height: Outlook shows it in its own size"
            yield Finding(HTML_FILE, image.line, "image-size", message, "warning")


def _obedience(folder: Folder, source: str, sample: dict[str, Any]) -> Iterator[Finding]:
    """Links that lead wherever the data says."""
    try:
        page = _rendered(folder, source, _poisoned(sample))
    except Refused:
        return  # a template that refuses such data makes no link of it
    for element in page.elements:
        if HOSTILE_URL in {element.attributes.get("href"), element.attributes.get("src")}:
            message = "templateData may put any address here, also a javascript: one; check for https: first"
            yield Finding(HTML_FILE, element.line, "link-unchecked", message, "warning")


def _poisoned(value: Any) -> Any:
    """The data with every text an address that must not become a link."""
    if isinstance(value, dict):
        return {key: _poisoned(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_poisoned(one) for one in value]
    return HOSTILE_URL if isinstance(value, str) else value


def _scheme(address: str) -> str:
    try:
        return urlsplit(address.strip()).scheme.lower()
    except ValueError:
        return ""
