"""The console: a stack's mail, lanes, brakes and suppression in a browser, behind a token."""

import json
import re
import socket
import urllib.request
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import aiohttp
import pytest
from tests.support.cloud import Cloud
from tests.support.operators import Operator
from typer.testing import Result

from engine.local.console.serve import serve_console
from engine.local.ses.threaded import ThreadedSimulator
from engine.operations.queues import DEAD_LETTER_QUEUES, PARKED
from engine.operations.stack import StackAddress, connect
from engine.requests.email_job import retry_id
from engine.schemas.times import iso

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SECRET = "what-the-email-said"


def now() -> datetime:
    return NOW


class Browser:
    """A browser that was given the console's address. `url` ends with the token and a slash."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def page(self, path: str = "", status: int = 200) -> str:
        async with self.session.get(self.url + path) as answer:
            assert answer.status == status, await answer.text()
            return await answer.text()

    async def post(self, path: str, status: int = 200, **form: str) -> str:
        """The page that the act leads to."""
        async with self.session.post(self.url + path, data=form) as answer:
            assert answer.status == status, await answer.text()
            return await answer.text()


@pytest.fixture
async def browser(
    cloud: Cloud, ses: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Browser]:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", ses.url)
    for queue in (PARKED, *DEAD_LETTER_QUEUES):
        cloud.sqs.create_queue(QueueName=cloud.name(queue))
    address = StackAddress(stack=cloud.stack, region="eu-west-1", endpoint_url=cloud.endpoint)
    async with (
        connect(address) as stack,
        serve_console(stack, now) as url,
        aiohttp.ClientSession() as session,
    ):
        yield Browser(session, url)


def ask(cloud: Cloud, own_id: str, *, minutes_ago: float = 1, **more: Any) -> str:
    at = iso(NOW - timedelta(minutes=minutes_ago))
    cloud.put_email(own_id, at, **more)
    return at


async def pages(browser: Browser, query: str) -> AsyncIterator[list[str]]:
    """The emails of each page of a list, which is left by its link."""
    path: str | None = query
    while path is not None:
        html = await browser.page(path)
        yield re.findall(r'class="row".*?/mail/([^"]+)"', html, re.DOTALL)
        link = re.search(r'href="[^"]*/(\?[^"]*)">Older emails', html)
        path = unescape(link[1]) if link else None


def suppress(cloud: Cloud, address: str, kind: str = "bounce", **more: Any) -> None:
    row = {"email": address, "suppressionType": kind, "addedToSuppressionDate": iso(NOW)}
    cloud.put("Suppression", **(row | {"reason": "hard-bounce"} | more))


class TestToken:
    async def test_every_address_needs_it(self, browser: Browser) -> None:
        root = browser.url.rsplit("/", 2)[0]
        for path in ("/", "/stack", "/mail/x", "/_assets/pages.css", "/_changes", "/wrong-token/stack"):
            async with browser.session.get(root + path) as answer:
                assert answer.status == 403
                assert "lacks the token" in await answer.text()
        async with browser.session.post(f"{root}/stack/stop", data={"kind": "all", "because": "x"}) as answer:
            assert answer.status == 403

    async def test_it_is_another_one_each_time(self, browser: Browser, cloud: Cloud) -> None:
        address = StackAddress(stack=cloud.stack, endpoint_url=cloud.endpoint)
        async with connect(address) as stack, serve_console(stack, now) as url:
            assert url.rsplit("/", 2)[1] != browser.url.rsplit("/", 2)[1]

    async def test_with_it_everything_of_a_page_is_there(self, browser: Browser) -> None:
        html = await browser.page()
        token = browser.url.rsplit("/", 2)[1]
        assert f'href="/{token}/_assets/pages.css"' in html
        assert f'data-base="/{token}"' in html
        assert "EventSource" in await browser.page("_assets/pages.js")

    async def test_another_sites_page_can_do_nothing_with_it(self, browser: Browser) -> None:
        headers = {"Origin": "https://evil.example"}
        form = {"kind": "all", "because": "x"}
        async with browser.session.post(f"{browser.url}stack/stop", data=form, headers=headers) as answer:
            assert answer.status == 403

    async def test_nothing_from_elsewhere_runs_or_loads(self, browser: Browser) -> None:
        async with browser.session.get(browser.url) as answer:
            policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy


class TestMail:
    async def test_the_list_shows_the_newest_first_and_nothing_of_what_they_said(
        self, browser: Browser, cloud: Cloud
    ) -> None:
        ask(cloud, "older", minutes_ago=9, templateName="invoice", keptRequest=SECRET)
        why: dict[str, Any] = {"failureCode": "suppressed", "failureReason": "since May"}
        ask(cloud, "newer", status="failed", campaign="spring", **why)
        html = await browser.page()
        assert html.index("mail/newer") < html.index("mail/older")
        for text in ("suppressed: since May", "invoice", "spring", "ada@example.com"):
            assert text in html
        assert SECRET not in html

    @pytest.mark.parametrize(
        ("query", "shown"),
        [
            ("q=bob@example.com", "bob"),
            ("q=5e5a11e4-91e6-5d0c-9b0e-2f6a7c1d3e5b", "5e5a11e4-91e6-5d0c-9b0e-2f6a7c1d3e5b"),
            ("q=0100-m", "sesid"),
            ("status=failed", "failed"),
            ("template=invoice", "invoice"),
            ("campaign=spring", "spring"),
            ("day=2026-01-02", "january"),
        ],
    )
    async def test_it_is_searched_and_filtered(
        self, browser: Browser, cloud: Cloud, query: str, shown: str
    ) -> None:
        ask(cloud, "bob", toEmail="bob@example.com")
        ask(cloud, "5e5a11e4-91e6-5d0c-9b0e-2f6a7c1d3e5b")
        ask(cloud, "sesid", sesMessageId="0100-m")
        ask(cloud, "failed", status="failed")
        ask(cloud, "invoice", templateName="invoice")
        ask(cloud, "spring", campaign="spring")
        ask(cloud, "january", timestamp="2026-01-02T08:00:00.000Z", datePartition="2026-01-02")
        html = await browser.page(f"?{query}")
        assert html.count('class="row"') == 1
        assert f"/mail/{shown}" in html

    async def test_a_long_list_goes_on_where_it_ended(
        self, browser: Browser, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("engine.local.console.ledger_source.PAGE_SIZE", 2)
        for number in range(3):
            ask(cloud, f"e{number}", minutes_ago=number + 1)
        assert [page async for page in pages(browser, "")] == [["e0", "e1"], ["e2"]]

    @pytest.mark.parametrize("query", ["", "?q=ada@example.com", f"?day={NOW.date()}"])
    async def test_emails_of_one_moment_are_all_listed_once(
        self, browser: Browser, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, query: str
    ) -> None:
        monkeypatch.setattr("engine.local.console.ledger_source.PAGE_SIZE", 3)
        for number in range(7):
            ask(cloud, f"e{number}", minutes_ago=0)
        listed = [key async for page in pages(browser, query) for key in page]
        assert sorted(listed) == [f"e{number}" for number in range(7)]

    async def test_one_email_shows_its_timeline_and_what_it_means(
        self, browser: Browser, cloud: Cloud
    ) -> None:
        ask(cloud, "one", status="failed", failureCode="suppressed", keptRequest=SECRET)
        suppress(cloud, "ada@example.com")
        html = await browser.page("mail/one")
        for text in ("Asked", "Suppressed", "It was not sent, because", "sesmailengine suppression remove"):
            assert text in html
        assert SECRET not in html

    async def test_an_attempt_leads_to_the_other(self, browser: Browser, cloud: Cloud) -> None:
        again = retry_id("first", 1)
        ask(cloud, "first", minutes_ago=20, status="soft_bounced", softBouncedAt=iso(NOW))
        ask(cloud, again, originalEmailId="first", retryAttempt=1)
        assert f"/mail/{again}" in await browser.page("mail/first")
        assert "/mail/first" in await browser.page(f"mail/{again}")

    async def test_an_email_that_is_not_there_says_why_it_may_not_be(self, browser: Browser) -> None:
        assert "it was a dry run" in await browser.page("mail/nothing", 404)
        await browser.page("mail/nothing/html", 404)

    async def test_it_has_no_button_that_makes_ses_report(self, browser: Browser, cloud: Cloud) -> None:
        ask(cloud, "one")
        assert "Make SES report" not in await browser.page("mail/one")
        await browser.post("mail/one/report", 404, outcome="bounce")


class TestStack:
    async def test_it_shows_account_curve_lanes_brakes_and_dead_letters(
        self, browser: Browser, cloud: Cloud
    ) -> None:
        ask(cloud, "one", minutes_ago=0, sentAt=iso(NOW), deliveredAt=iso(NOW))
        cloud.put("State", pk="stop#bulk", because="wrong price", by="ops", since=iso(NOW))
        cloud.sqs.send_message(QueueUrl=cloud.bulk_queue, MessageBody="{}")
        html = await browser.page("stack")
        texts = ("BulkEmailQueue", "EventBridgeDLQ", "wrong price", "Mail is stopped")
        for text in (*texts, "`go`: the lane is stopped"):
            assert text in html
        assert "Today's emails: 1 sent, 1 delivered, 0 bounced." in html

    async def test_mail_is_stopped_and_goes_again(self, browser: Browser, cloud: Cloud) -> None:
        html = await browser.post("stack/stop", kind="template", name="welcome", because="typo")
        assert "Stop mail of template welcome" in html
        assert [item["pk"] for item in cloud.items("State") if item.get("because") == "typo"] == [
            "stop#template#welcome"
        ]
        await browser.post("stack/go", scope="template#welcome")
        assert not [item for item in cloud.items("State") if item.get("because") == "typo"]

    @pytest.mark.parametrize(
        "form",
        [
            {"kind": "template", "name": "../x", "because": "typo"},
            {"kind": "campaign", "name": "", "because": "typo"},
            {"kind": "everything", "name": "", "because": "typo"},
            {"kind": "all", "name": "", "because": " "},
        ],
    )
    async def test_a_brake_without_a_scope_or_a_reason_is_refused(
        self, browser: Browser, cloud: Cloud, form: dict[str, str]
    ) -> None:
        await browser.post("stack/stop", 400, **form)
        assert cloud.items("State") == []

    async def test_dead_letters_are_redriven(self, browser: Browser, cloud: Cloud) -> None:
        url = cloud.sqs.get_queue_url(QueueName=cloud.name("EventBridgeDLQ"))["QueueUrl"]
        event = {"id": "1", "detail-type": "Email Request", "source": "shop", "detail": {"to": "a@b.example"}}
        cloud.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event))
        assert "Redrive EventBridgeDLQ" in await browser.page("stack")
        html = await browser.post("stack/redrive", queue="EventBridgeDLQ")
        assert "What was done here" in html
        await browser.post("stack/redrive", 400, queue="EmailRetryQueue")


class TestSuppression:
    async def test_the_newest_are_listed_by_type(self, browser: Browser, cloud: Cloud) -> None:
        suppress(cloud, "gone@example.com")
        suppress(cloud, "angry@example.com", "complaint")
        html = await browser.page("suppression")
        assert "gone@example.com" in html
        assert "angry@example.com" in html
        assert "gone@example.com" not in await browser.page("suppression?type=complaint")

    async def test_an_address_is_looked_up_and_taken_off(self, browser: Browser, cloud: Cloud) -> None:
        suppress(cloud, "gone@example.com", diagnosticCode="smtp; 550 no such user")
        html = await browser.page("suppression?address=Gone@example.com")
        assert "gets no mail: it is on the engine" in html.replace("<wbr>", "")
        assert "smtp; 550 no such user" in html
        html = await browser.post("suppression/remove", address="gone@example.com")
        assert "was taken off the engine" in html
        assert cloud.items("Suppression") == []

    async def test_what_is_no_address_is_refused(self, browser: Browser) -> None:
        await browser.post("suppression/remove", 400, address="nobody")


async def test_a_stack_that_does_not_answer_says_so_on_every_page(cloud: Cloud) -> None:
    address = StackAddress(stack="elsewhere", region="eu-west-1", endpoint_url=cloud.endpoint)
    async with (
        connect(address) as stack,
        serve_console(stack, now) as url,
        aiohttp.ClientSession() as session,
    ):
        browser = Browser(session, url)
        for path in ("", "mail/x", "stack", "suppression"):
            html = await browser.page(path, 502)
            assert "found no such resource of the stack &#39;elsewhere&#39; in region eu-west-1" in html


async def test_open_pages_look_again_by_themselves(cloud: Cloud) -> None:
    address = StackAddress(stack=cloud.stack, region="eu-west-1", endpoint_url=cloud.endpoint)
    async with (
        connect(address) as stack,
        serve_console(stack, now, refresh_seconds=0.01) as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}_changes") as changes,
    ):
        lines = [line async for line, _ in _first(changes, 3)]
    assert b"data: changed\n" in lines


async def _first(answer: aiohttp.ClientResponse, count: int) -> AsyncIterator[tuple[bytes, int]]:
    for number in range(count):
        yield await answer.content.readline(), number


class TestCommand:
    def run(self, cloud: Cloud, *words: str) -> Result:
        return Operator(cloud).run("console", *words)

    def test_it_opens_a_browser_at_the_address_and_serves_until_it_is_interrupted(
        self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened: list[str] = []

        def open_and_interrupt(url: str) -> None:
            with urllib.request.urlopen(url) as answer:  # noqa: S310 - of this machine
                opened.append(answer.read().decode())
            raise KeyboardInterrupt

        monkeypatch.setattr("webbrowser.open", open_and_interrupt)
        result = self.run(cloud)
        assert result.exit_code == 130
        assert f"The console of {cloud.stack} is at http://127.0.0.1:" in result.output
        assert "No emails yet" in opened[0]

    def test_a_stack_that_is_not_there_is_told_at_once(self, cloud: Cloud) -> None:
        result = self.run(cloud, "--stack", "elsewhere")
        assert result.exit_code == 1
        assert "no such resource of the stack 'elsewhere'" in result.output

    def test_a_taken_port_is_named(self, cloud: Cloud) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            result = self.run(cloud, "--port", port, "--no-open")
        assert result.exit_code == 1
        assert f"can't listen on 127.0.0.1:{port}" in result.output
