"""The starter templates in a real browser, on the screens that they are judged by."""

import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from playwright.async_api import Browser, Page, Route, async_playwright

from engine.authoring.folder import Folder, find_folders

ROOT: Final = Path(__file__).parents[2]
STARTERS: Final = find_folders(ROOT / "starter_templates")
WIDTHS: Final = (375, 800)
Scheme = Literal["light", "dark"]
SCHEMES: Final[tuple[Scheme, ...]] = ("light", "dark")

_PICTURES: Final = Path(__file__).parent / "pictures"
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
# No sandbox, because CI is root; and nothing that a browser likes to fetch by itself.
_FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_AXE: Final = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
_RULES: Final = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
}


def executable() -> str:
    """The browser of this machine. Skips the test where there is none, but for CI, which must have one."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found:
        return found
    if os.environ.get("CI"):
        pytest.fail("There is no Chromium: .ci/run installs one where it is root on Debian")
    pytest.skip("There is no Chromium on the path: `apt-get install chromium` brings one")


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=_FLAGS)
        yield browser
        await browser.close()


@asynccontextmanager
async def screen(browser: Browser, width: int, scheme: Scheme, scale: float = 1) -> AsyncIterator[Page]:
    """A page of that width on a light or dark screen, which loads nothing but the pictures kept here."""
    context = await browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, device_scale_factor=scale
    )
    page = await context.new_page()
    await page.route("**/*", _serve_pictures)
    yield page
    await context.close()


async def show(page: Page, html: str) -> None:
    """The email with its pictures loaded."""
    await page.set_content(html, wait_until="load")


async def violations(page: Page) -> list[str]:
    """What axe-core finds wrong, and what it could not decide of colours: https://github.com/dequelabs/axe-core."""
    await page.evaluate(_AXE)
    found: dict[str, Any] = await page.evaluate(f"axe.run({json.dumps(_RULES)})")
    undecided = [one for one in found["incomplete"] if one["id"] == "color-contrast"]
    return [
        f"{one['id']}: {one['help']}: {node['html'][:120]} {node.get('failureSummary', '')}"
        for one in [*found["violations"], *undecided]
        for node in one["nodes"]
        # A tick is no text to axe, which then leaves its colour to people; they have looked.
        if "only non-text characters" not in node.get("failureSummary", "")
    ]


def html_of(folder: Folder, **more: Any) -> str:
    """A starter with its sample, and more."""
    return folder.render((folder.sample() or {}) | more).html or ""


async def _serve_pictures(route: Route) -> None:
    picture = _PICTURES / f"{Path(route.request.url).stem}.svg"
    if route.request.url.startswith("https://cdn.example.com/") and picture.exists():
        await route.fulfill(body=picture.read_bytes(), content_type="image/svg+xml")
    else:
        await route.abort()
