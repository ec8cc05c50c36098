"""The unsubscribe page in a real browser, on a phone and a laptop, in light and dark: everyone can use it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, Route, expect
from tests.browser.screens import SCHEMES, launched, screen, violations
from tests.support.cloud import Cloud
from tests.support.unsubscribe import ADA, LINKS, ask, host

from engine.handlers import unsubscribe

PHONE, LAPTOP = 390, 1280
BAD_LINK = LINKS.url(ADA)[:-1]


@pytest.fixture
def hosted(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    host(cloud, monkeypatch)
    yield cloud
    unsubscribe.environment.close()


@pytest.fixture(params=[(width, scheme) for width in (PHONE, LAPTOP) for scheme in SCHEMES])
async def page(request: pytest.FixtureRequest, hosted: Cloud) -> AsyncIterator[Page]:
    """One screen; the function answers as it is deployed."""
    assert hosted.stack
    async with launched() as browser, screen(browser, *request.param) as page:
        await page.route("https://page.example/**", _serve)
        yield page


async def _serve(route: Route) -> None:
    request = route.request
    if urlsplit(request.url).path != "/":
        await route.abort()  # a browser asks for an icon
        return
    status, body, headers = await asyncio.to_thread(
        ask,
        request.method,
        request.url,
        request.post_data or "",
        content_type=request.headers.get("content-type", ""),
    )
    await route.fulfill(status=status, body=body, headers=headers)


async def test_a_person_unsubscribes_and_takes_it_back(page: Page, hosted: Cloud) -> None:
    await page.goto(LINKS.url(ADA))
    assert await violations(page) == []
    await page.get_by_role("button", name="Unsubscribe: The <News>").click()
    await expect(page.get_by_role("status")).to_contain_text("no more emails about “The <News>”")
    assert [row["email"] for row in hosted.items("Suppression")] == ["news#ada@example.com"]
    assert await violations(page) == []
    await page.get_by_role("button", name="Undo").click()
    await expect(page.get_by_role("status")).to_contain_text("again")
    assert hosted.items("Suppression") == []


async def test_a_link_that_has_expired_is_readable_and_nothing_is_wider_than_the_screen(page: Page) -> None:
    await page.goto(BAD_LINK)
    await expect(page.get_by_role("heading")).to_have_text("This link does not work any more")
    assert await violations(page) == []
    await page.goto(LINKS.url(ADA))
    wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide
