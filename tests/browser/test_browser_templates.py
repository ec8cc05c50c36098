"""In a real browser, on a phone and a desktop, light and dark: everything fits, and everyone can read it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page
from tests.browser.pictures import GALLERY, digest, names, recorded
from tests.browser.screens import (
    SCHEMES,
    STARTERS,
    WIDTHS,
    Scheme,
    html_of,
    launched,
    screen,
    show,
    violations,
)

from engine.authoring.folder import Folder

pytestmark = pytest.mark.asyncio(loop_scope="module")

every_template = pytest.mark.parametrize("folder", STARTERS, ids=[folder.name for folder in STARTERS])
every_width = pytest.mark.parametrize("width", WIDTHS)
every_scheme = pytest.mark.parametrize("scheme", SCHEMES)

# Elements that reach past the screen; nothing may, or the whole email scrolls sideways.
_TOO_WIDE = """() => [...document.body.querySelectorAll('*')]
    .filter(element => {
        const box = element.getBoundingClientRect();
        return box.width > 0 && (box.right > innerWidth + 0.5 || box.left < -0.5);
    })
    .map(element => element.outerHTML.slice(0, 120))"""

# What is at the middle of the button, which something else could cover.
_ON_TOP = """button => {
    const box = button.getBoundingClientRect();
    return button.contains(document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2));
}"""

AMOUNTS = ("total", "subtotal", "shipping", "discount", "tax")
LONG = "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


async def assert_fits(page: Page) -> None:
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await page.evaluate(_TOO_WIDE) == []


@every_scheme
@every_width
@every_template
async def test_it_fits_and_its_button_shows_and_everyone_can_read_it(
    browser: Browser, folder: Folder, width: int, scheme: Scheme
) -> None:
    async with screen(browser, width, scheme) as page:
        await show(page, html_of(folder))
        await assert_fits(page)
        button = page.locator("a.button-link").first
        await button.scroll_into_view_if_needed()
        box = await button.bounding_box()
        assert box is not None
        assert box["height"] >= 44, "a finger needs that much"
        assert await button.evaluate(_ON_TOP)
        assert await page.locator(".preheader").first.is_hidden()
        assert await violations(page) == []


@every_template
async def test_long_words_do_not_make_a_phone_scroll_sideways(browser: Browser, folder: Folder) -> None:
    long = {
        key: LONG
        for key, value in (folder.sample() or {}).items()
        if isinstance(value, str) and not key.endswith("Url") and key not in {"brandColor", *AMOUNTS}
    }
    long |= {key: "CHF 1,234,567.00" for key in AMOUNTS if key in (folder.sample() or {})}
    addresses = dict.fromkeys(("actionUrl", "resetUrl", "secureUrl"), f"https://shop.example.com/{LONG * 3}")
    sample = folder.sample() or {}
    async with screen(browser, 375, "light") as page:
        await show(
            page, html_of(folder, **long, **{key: url for key, url in addresses.items() if key in sample})
        )
        await assert_fits(page)


@pytest.mark.parametrize("colour", ["#000000", "#ffffff", "#ffe600", "#e4002b", "#1d1d1f", "#777777"])
@every_scheme
async def test_any_brand_colour_can_be_read(browser: Browser, colour: str, scheme: Scheme) -> None:
    welcome = next(folder for folder in STARTERS if folder.name == "welcome")
    async with screen(browser, 800, scheme) as page:
        await show(page, html_of(welcome, brandColor=colour))
        assert await violations(page) == []


@every_template
async def test_a_dark_screen_makes_it_dark(browser: Browser, folder: Folder) -> None:
    colours = []
    for scheme in SCHEMES:
        async with screen(browser, 800, scheme) as page:
            await show(page, html_of(folder))
            colours.append(
                await page.locator("td.card").evaluate("card => getComputedStyle(card).backgroundColor")
            )
    assert colours == ["rgb(255, 255, 255)", "rgb(24, 30, 39)"]


async def test_a_logo_is_shown_in_its_size(browser: Browser) -> None:
    async with screen(browser, 375, "light") as page:
        await show(page, html_of(STARTERS[0], logoUrl="https://cdn.example.com/harbour.jpg"))
        box = await page.locator("img.logo").bounding_box()
    assert box is not None
    assert (box["height"], box["width"] <= 240) == (36, True)


@every_template
async def test_the_pictures_in_the_docs_are_of_these_templates(folder: Folder) -> None:
    again = "run `python -m tests.browser.pictures`, and look at them"
    assert recorded().get(folder.name) == digest(folder), again
    page = (GALLERY / "README.md").read_text(encoding="utf-8")
    for name in names(folder):
        assert (GALLERY / name).exists(), again
        assert name in page
