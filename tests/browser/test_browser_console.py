"""The console in a real browser: changes show by themselves, acts ask first, everyone can read every page."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Page, expect
from tests.browser.screens import SCHEMES, Scheme, launched, violations

from engine.local.console.desk import Desk
from engine.local.inbox.mail import Entry, Mail, MailList, MailQuery, MailRow
from engine.local.inbox.pages import add_pages
from engine.local.inbox.site import Site
from engine.local.web.pages import Watchers
from engine.local.web.server import local_application, serve_locally
from engine.operations.curve import SLOTS, Curve
from engine.operations.queues import QueueDepth
from engine.operations.ses_account import SesAccount
from engine.operations.status import Alarm, StackStatus
from engine.operations.suppression import Listed, Suppression
from engine.operations.suppression_table import Entry as SuppressionEntry
from engine.operations.today import Culprit, Reputation, StatusCounts, Trouble
from engine.operations.verdict import Verdict
from engine.schemas.rows import BrakeRow
from engine.tracking.bounce_quota import QuotaPolicy

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = datetime(2026, 11, 24, 18, 0, tzinfo=UTC)
LONG = "a-recipient-with-a-rather-long-name@subdomain.of-a-company.example"
BRAKE = BrakeRow(
    pk="stop#campaign#autumn-sale-in-all-our-shops-of-the-north",
    because="the wrong price stands in it",
    by="arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Operator_0123456789abcdef/ada",
    since="2026-11-24T17:42:00.000Z",
)
NEWS = Culprit(name="newsletter", count=30)
TROUBLE = Trouble(count=40, whole=True, template=NEWS, campaign=Culprit(name="spring", count=30))
STATUS = StackStatus(
    ses=SesAccount(
        sending_enabled=True,
        production=False,
        enforcement="PROBATION",
        max_send_rate=14,
        daily_quota=50_000,
        sent_last_24_hours=12_345,
    ),
    lanes=[
        QueueDepth(queue="BulkEmailQueue", visible=8_400, in_flight=50, delayed=3),
        QueueDepth(queue="ParkedEmailQueue", visible=1_200),
    ],
    dead_letters=[
        QueueDepth(queue="EventBridgeDLQ", visible=3),
        QueueDepth(queue="FeedbackProcessorDLQ", visible=0),
    ],
    today=StatusCounts(source="rows", by_status={"sent": 3}, whole=True),
    reputation=Reputation(sends=2_000, bounces=40, bounced=TROUBLE, complained=TROUBLE),
    quota=QuotaPolicy(5, 100),
    brakes=[BRAKE],
    alarms=[Alarm(name="sesmailengine-SES-Paused", since="2026-11-24T11:00:00+00:00", says="Look.")],
    unknown={"queues": "GetQueueAttributes answered AccessDenied"},
)


def row(key: str, status: str, **more: Any) -> MailRow:
    known: dict[str, Any] = {"sender": "", "subject": None, "template": "newsletter"}
    known |= {"reason": "", "attempt": 1, "attachments": 0}
    at = NOW - timedelta(minutes=len(key))
    return MailRow(key=key, at=at, to=(LONG,), status=status, **(known | more))


class Ledger:
    """A few emails, each with what a screen finds hard."""

    looks_for = "address, email id or SES id"

    def __init__(self) -> None:
        self.rows = [
            row("one", "failed", reason="suppressed: since May", campaign="spring", attempt=2),
            row("three", "delivered"),
        ]

    async def find(self, query: MailQuery) -> MailList:
        rows = [] if query.search else self.rows
        return MailList(rows=rows, counts=None, older="2026-11-24T08:00:00.000Z" if rows else "")

    async def mail(self, key: str) -> Mail | None:
        found = [each for each in self.rows if each.key == key]
        if not found:
            return None
        entries = [
            Entry(
                at=NOW,
                who="Application",
                title="Asked",
                tone="quiet",
                about="com.example.shop, key order-1042",
            ),
            Entry(at=None, who="SES", title="Bounced after delivery", tone="warn", about="x" * 90),
        ]
        command = f"sesmailengine suppression remove {LONG} --stack sesmailengine-staging"
        verdict = Verdict(good=False, sentence=f"{LONG} is suppressed.", next_command=command)
        facts = [("SES message id", "0100017e4bccb684-777bc8de-afa7-4970-92b0-f515137b1497-000000")]
        return Mail(
            row=found[0], entries=entries, attempts=self.rows[1:], email_id=key, verdict=verdict, facts=facts
        )


class StillDesk(Desk):
    """A desk over a stack that stands still; it keeps what it was asked to do."""

    def __init__(self, watchers: Watchers) -> None:
        super().__init__(None, watchers, lambda: NOW)
        self.asked: list[tuple[str, ...]] = []

    async def status(self) -> StackStatus:
        return STATUS

    async def curve(self) -> Curve:
        counts = [slot % 17 for slot in range(SLOTS)]
        return Curve(source="rows", slots={"sent": counts, "delivered": counts, "bounced": [0] * SLOTS})

    async def suppressed(self, kinds: Any) -> Listed:
        entries = [SuppressionEntry(address=LONG, type=kind) for kind in kinds or ["bounce"]]
        return Listed(entries=entries, more=True)

    async def suppression(self, address: str) -> Suppression:
        why = "y" * 90
        entry = SuppressionEntry(address=address, type="bounce", reason="hard-bounce", diagnostic_code=why)
        return Suppression(address=address, entries=[entry], ses=[], came_of=[])

    async def stop(self, scope: str, because: str) -> None:
        self.asked.append(("stop", scope, because))
        await self._begin("Stop", self._done)

    async def go(self, scope: str) -> None:
        self.asked.append(("go", scope))

    async def redrive(self, queue: str) -> None:
        self.asked.append(("redrive", queue))

    async def unsuppress(self, address: str, *, resend: bool) -> None:
        self.asked.append(("unsuppress", address, str(resend)))

    async def _done(self) -> Verdict:
        return Verdict(good=True, sentence="It is stopped.")


class Console:
    """The pages behind a token, as `sesmailengine console` serves them."""

    def __init__(self) -> None:
        self.watchers = Watchers()
        self.ledger = Ledger()
        self.desk = StillDesk(self.watchers)
        self.url = ""

    def application(self) -> web.Application:
        pages = web.Application()
        site = Site(source=self.ledger, watchers=self.watchers, part="console", base="/token", desk=self.desk)
        add_pages(pages, site, pause=0)
        app = local_application()
        app.add_subapp("/token", pages)
        return app


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def console() -> AsyncIterator[Console]:
    console = Console()
    async with serve_locally(console.application()) as url:
        console.url = f"{url}/token"
        yield console


async def assert_fits(page: Page) -> None:
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_an_email_that_is_new_shows_by_itself(browser: Browser, console: Console) -> None:
    page = await browser.new_page()
    async with page.expect_response("**/_changes"):
        await page.goto(f"{console.url}/")
    console.ledger.rows.insert(0, row("newest", "bounced"))
    console.watchers.wake()
    await expect(page.locator(".row")).to_have_count(3)
    await page.close()


async def test_every_act_asks_before_it_is_done(browser: Browser, console: Console) -> None:
    page = await browser.new_page()
    await page.goto(f"{console.url}/stack")
    for summary, button in (("Let it go", "Let it go"), ("Redrive", "Redrive EventBridgeDLQ")):
        act = page.get_by_role("button", name=button, exact=True)
        await expect(act).to_be_hidden()
        await page.locator("summary", has_text=summary).first.click()
        await act.click()
        await expect(page).to_have_url(f"{console.url}/stack")
    await page.locator("summary", has_text="Stop mail").click()
    await page.get_by_label("What").select_option("template")
    await page.get_by_label("Name of the template").fill("welcome")
    await page.get_by_label("Because").fill("typo")
    await page.get_by_role("button", name="Stop it").click()
    await expect(page.locator("#acts")).to_contain_text("It is stopped.")
    await page.goto(f"{console.url}/suppression?address={LONG}")
    await page.locator("summary", has_text="Take it off both lists").click()
    await page.get_by_label("Send again").check()
    await page.get_by_role("button", name="Take it off", exact=True).click()
    assert console.desk.asked == [
        ("go", "campaign#autumn-sale-in-all-our-shops-of-the-north"),
        ("redrive", "EventBridgeDLQ"),
        ("stop", "template#welcome", "typo"),
        ("unsuppress", LONG, "True"),
    ]
    await page.close()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_every_page_fits_and_everyone_can_read_it(
    browser: Browser, console: Console, scheme: Scheme, width: int
) -> None:
    await console.desk.stop("all", "typo")
    context = await browser.new_context(
        color_scheme=scheme, bypass_csp=True, viewport={"width": width, "height": 800}
    )
    page = await context.new_page()
    paths = ("/", "/?q=nothing", "/?template=newsletter", "/mail/one", "/mail/none", "/stack", "/suppression")
    for path in (*paths, f"/suppression?address={LONG}"):
        await page.goto(console.url + path)
        await page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        await assert_fits(page)
        assert await violations(page) == [], path
    await context.close()
