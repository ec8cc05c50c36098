"""Writes docs/templates: every starter on every screen, and one picture of all.

python -m tests.browser.pictures
"""

import asyncio
import hashlib
import json
from base64 import b64encode
from pathlib import Path
from typing import Final

from playwright.async_api import Browser
from tests.browser.screens import ROOT, SCHEMES, STARTERS, WIDTHS, Scheme, html_of, launched, screen, show

from engine.authoring.folder import Folder

GALLERY: Final = ROOT / "docs" / "templates"
_RECORD: Final = GALLERY / "pictures.json"
_ORDER: Final = (
    "welcome",
    "order-confirmation",
    "newsletter",
    "shipping-notification",
    "invoice",
    "account-alert",
    "email-verification",
    "password-reset",
)

_ALL: Final = """<!doctype html><style>
body {{ margin: 0; padding: 40px; background: #dfe4ec; }}
main {{ display: grid; grid-template-columns: repeat(4, 1fr); gap: 28px; }}
figure {{ margin: 0; height: 480px; overflow: hidden; border-radius: 14px; box-shadow: 0 10px 30px rgb(20 30 50 / 16%); }}
img {{ display: block; width: 100%; }}
.light {{ background: #f3f5f8; }} .dark {{ background: #0f131a; }}
</style><main>{}</main>"""  # noqa: E501 - a rule a line


def picture(folder: Folder, width: int, scheme: Scheme) -> str:
    return f"{folder.name}-{width}-{scheme}.png"


def names(folder: Folder) -> list[str]:
    """The pictures of a template."""
    return [picture(folder, width, scheme) for width in WIDTHS for scheme in SCHEMES]


def digest(folder: Folder) -> str:
    """Changes when the rendered email does."""
    return hashlib.sha256(html_of(folder).encode()).hexdigest()[:16]


def recorded() -> dict[str, str]:
    """What the pictures in the docs were taken of."""
    read: dict[str, str] = json.loads(_RECORD.read_text(encoding="utf-8")) if _RECORD.exists() else {}
    return read


async def write() -> None:
    GALLERY.mkdir(parents=True, exist_ok=True)
    async with launched() as browser:
        for folder in STARTERS:
            for width in WIDTHS:
                for scheme in SCHEMES:
                    await _take(browser, folder, width, scheme, GALLERY / picture(folder, width, scheme))
        await _take_all(browser)
    record = {folder.name: digest(folder) for folder in STARTERS}
    _RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


async def _take(browser: Browser, folder: Folder, width: int, scheme: Scheme, path: Path) -> None:
    async with screen(browser, width, scheme) as page:
        await show(page, html_of(folder))
        await page.screenshot(path=path, full_page=True)


async def _take_all(browser: Browser) -> None:
    """Two rows: light ones and, beside the last of each, a dark one."""
    by_name = {folder.name: folder for folder in STARTERS}
    figures = []
    for number, name in enumerate(_ORDER):
        scheme: Scheme = "dark" if number in {3, 4} else "light"
        async with screen(browser, 640, scheme, scale=1) as page:
            await show(page, html_of(by_name[name]))
            taken = b64encode(await page.screenshot(full_page=True)).decode()
        figures.append(f'<figure class="{scheme}"><img src="data:image/png;base64,{taken}" alt=""></figure>')
    context = await browser.new_context(viewport={"width": 1600, "height": 800})
    page = await context.new_page()
    await page.set_content(_ALL.format("".join(figures)), wait_until="load")
    await page.screenshot(path=GALLERY / "gallery.png", full_page=True)
    await context.close()


if __name__ == "__main__":
    asyncio.run(write())
