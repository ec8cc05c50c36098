"""The preview in a real browser: a change of a file shows by itself, on both screens, and can be read."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, expect
from tests.browser.screens import SCHEMES, Scheme, launched, violations

from engine.authoring.preview import Preview, application
from engine.authoring.scaffold import create

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


class Files:
    """A template's folder on a server, and the watcher that tells of its changes."""

    def __init__(self, directory: Path) -> None:
        self.source = create(directory, "mine") / "source.html"
        self._told: asyncio.Queue[None] = asyncio.Queue()
        self.server = TestServer(application(Preview(directory), self._watch))

    def change(self, before: str, after: str) -> None:
        self.source.write_text(self.source.read_text().replace(before, after))
        self._told.put_nowait(None)

    async def _watch(self, _directory: Path) -> AsyncIterator[None]:
        while True:
            await self._told.get()
            yield


@pytest_asyncio.fixture(loop_scope="module")
async def files(tmp_path: Path) -> AsyncIterator[Files]:
    files = Files(tmp_path)
    await files.server.start_server()
    yield files
    await files.server.close()


async def test_a_change_shows_by_itself_on_both_screens(browser: Browser, files: Files) -> None:
    page = await browser.new_page()
    async with page.expect_response("**/_changes"):
        await page.goto(str(files.server.make_url("/mine")))
    for frame in (".desktop iframe", ".phone iframe"):
        await expect(page.frame_locator(frame).locator("h1")).to_have_text("Mine")
    files.change("<p class", "<p>Changed just now.</p><p class")
    for frame in (".desktop iframe", ".phone iframe"):
        await expect(page.frame_locator(frame).locator("p").nth(0)).to_have_text("Changed just now.")
    await page.close()


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_the_switch_shows_the_email_dark_whatever_the_screen(
    browser: Browser, files: Files, scheme: Scheme
) -> None:
    page = await browser.new_page(color_scheme=scheme)
    await page.goto(str(files.server.make_url("/mine")))
    card = page.frame_locator(".phone iframe").locator("td.card")
    await expect(card).to_have_css("background-color", "rgb(255, 255, 255)")
    await page.locator("#scheme-dark").click()
    await expect(card).to_have_css("background-color", "rgb(24, 30, 39)")
    await page.close()


@pytest.mark.parametrize("view", ["html", "text", "data", "checks"])
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_everyone_can_read_every_view(
    browser: Browser, files: Files, scheme: Scheme, view: str
) -> None:
    context = await browser.new_context(color_scheme=scheme, bypass_csp=True)
    page = await context.new_page()
    await page.goto(str(files.server.make_url(f"/mine?view={view}")))
    assert await violations(page) == []
    await context.close()
