"""The inbox in a real browser: mail shows by itself, the buttons work, and everyone can read every page."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from tests.browser.screens import SCHEMES, WIDTHS, Scheme, launched, violations
from tests.support.ses_requests import simple

from engine.local.inbox import Inbox, inbox_pages
from engine.local.ses import Simulator, serve
from engine.local.ses.wire import SendEmailRequest
from engine.schemas.status import EmailStatusChanged, Reason

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = "a-recipient-with-a-rather-long-name@subdomain.of-a-company.example"
HTML = "<!doctype html><h1>Hello</h1><script>document.querySelector('h1').textContent = 'It ran'</script>"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


class Server:
    """The inbox beside a simulator of SES."""

    def __init__(self) -> None:
        self.ses = Simulator()
        self.inbox = Inbox(self.ses)
        self.url = ""

    async def send(self, to: str = LONG, **changes: Any) -> str:
        request = simple(
            Destination={"ToAddresses": [to]},
            simple={"Body": {"Html": {"Data": HTML}, "Text": {"Data": "Hi"}}},
            **changes,
        )
        return await self.ses.send_email(msgspec.convert(request, SendEmailRequest))

    def refuse(self) -> None:
        change = EmailStatusChanged(
            email_id="e-9",
            original_email_id="e-9",
            to=LONG,
            template_name="farewell",
            status="failed",
            previous_status=None,
            reason=Reason(code="template-not-found", message="There is no template farewell."),
            ses_message_id=None,
            original_source="shop",
            retry_attempt=0,
            timestamp="2026-11-24T08:15:30.250Z",
        )
        self.inbox.record_status(change)


@pytest_asyncio.fixture(loop_scope="module")
async def server() -> AsyncIterator[Server]:
    server = Server()
    async with serve(server.ses, mounts=[inbox_pages(server.inbox, pause=0)]) as server.url:
        yield server


async def assert_fits(page: Page) -> None:
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_an_email_shows_by_itself_and_a_button_makes_ses_report(
    browser: Browser, server: Server
) -> None:
    page = await browser.new_page()
    async with page.expect_response("**/_changes"):
        await page.goto(server.url)
    await server.send()
    await page.locator(".row").click()
    await expect(page.locator("#status")).to_have_text("delivered")
    await page.locator("#report-complaint").click()
    await expect(page.locator("#status")).to_have_text("complained")
    await expect(page.locator("#timeline li").last).to_contain_text("Feedback type abuse")
    await page.close()


async def test_nothing_of_an_email_runs(browser: Browser, server: Server) -> None:
    page = await browser.new_page()
    await page.goto(f"{server.url}/mail/{await server.send()}")
    await expect(page.frame_locator("iframe").locator("h1")).to_have_text("Hello")
    await page.close()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_every_page_fits_and_everyone_can_read_it(
    browser: Browser, server: Server, scheme: Scheme, width: int
) -> None:
    key = await server.send()
    server.refuse()
    server.ses.faults.set(throttle_next=3)
    context = await browser.new_context(
        color_scheme=scheme, bypass_csp=True, viewport={"width": width, "height": 800}
    )
    page = await context.new_page()
    views = [f"/mail/{key}?view={view}" for view in ("html", "text", "headers", "source")]
    for path in ("/", "/?q=nothing", "/mail/e-9", *views):
        await page.goto(server.url + path)
        await assert_fits(page)
        assert await violations(page) == [], path
    await context.close()
