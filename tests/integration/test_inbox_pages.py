"""The inbox as a browser gets it, and a message as a mail server would."""

from base64 import b64encode
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import msgspec
import pytest
from tests.support.ses_requests import NOON, ManualClock, simple

from engine.local.console.desk import Desk
from engine.local.inbox import Inbox, inbox_pages, pages
from engine.local.inbox import inbox as inbox_module
from engine.local.inbox.source import headers_of, html_of, media_type, source_of
from engine.local.ses import Message, MessageAttachment, Simulator, serve
from engine.local.ses.simulator import utc_now
from engine.local.ses.wire import SendEmailRequest
from engine.local.web import pages as web_pages
from engine.operations.stack import DeployedStack, StackAddress
from engine.schemas.status import EmailStatusChanged

LOGO = MessageAttachment(
    file_name="logo.png", content_type="image/png", content=b"png", content_id="logo", disposition="INLINE"
)
FILE = MessageAttachment(file_name="Größe & Preis.csv", content_type="text/csv", content=b"a;b")
MESSAGE = Message(
    message_id="0100-1",
    accepted_at=NOON,
    sender="Shop <shop@example.com>",
    to=("ann@example.org",),
    subject="Grüße",
    text="Hi",
    html='<img src="cid:logo"><img src="cid:other">',
    headers=(("List-Unsubscribe", "<https://x.io/u>"),),
    attachments=(LOGO, FILE),
)
FUNCTION_URL = "https://0123abcd.lambda-url.us-east-1.on.aws/"
EVIL = "\"'><script>alert(1)</script>"


@pytest.fixture
def ses() -> Simulator:
    return Simulator(now=ManualClock())


@pytest.fixture
def inbox(ses: Simulator) -> Inbox:
    return Inbox(ses)


@pytest.fixture
async def browser(ses: Simulator, inbox: Inbox) -> AsyncIterator[aiohttp.ClientSession]:
    async with serve(ses, mounts=[inbox_pages(inbox, pause=0)]) as url, aiohttp.ClientSession(url) as browser:
        yield browser


async def send(ses: Simulator, **changes: Any) -> str:
    return await ses.send_email(msgspec.convert(simple(**changes), SendEmailRequest))


async def page(browser: aiohttp.ClientSession, path: str, status: int = 200) -> str:
    async with browser.get(path) as answer:
        assert answer.status == status
        return await answer.text()


def refused(inbox: Inbox, email_id: str = "e-9") -> None:
    detail: dict[str, Any] = {
        "emailId": email_id,
        "originalEmailId": email_id,
        "to": "eve@example.org",
        "templateName": "lost",
        "status": "failed",
        "previousStatus": None,
        "reason": {"code": "template-not-found", "message": "There is no template lost."},
        "sesMessageId": None,
        "originalSource": "shop",
        "retryAttempt": 0,
        "timestamp": "2026-03-01T12:00:00Z",
    }
    inbox.record_status(msgspec.convert(detail, EmailStatusChanged))


async def test_an_empty_inbox_says_what_will_appear(browser: aiohttp.ClientSession) -> None:
    assert "No emails yet" in await page(browser, "/")


async def test_the_list_shows_what_was_sent_and_what_was_refused(
    browser: aiohttp.ClientSession, ses: Simulator, inbox: Inbox
) -> None:
    key = await send(ses, Destination={"ToAddresses": ["ann@example.org", "bob@example.org"]})
    refused(inbox)
    html = await page(browser, "/")
    assert f'href="/mail/{key}"' in html
    assert 'href="/mail/e-9"' in html
    assert "There is no template lost." in html
    assert '<span class="more">+1</span>' in html
    assert "<b>2</b> of 50,000 today" in html


async def test_the_list_is_searched_and_filtered(
    browser: aiohttp.ClientSession, ses: Simulator, inbox: Inbox
) -> None:
    key = await send(ses)
    refused(inbox)
    assert f"/mail/{key}" in await page(browser, "/?q=hello")
    assert "/mail/e-9" not in await page(browser, "/?q=hello")
    assert f"/mail/{key}" not in await page(browser, "/?status=failed")
    assert "Nothing found" in await page(browser, "/?status=complained")


async def test_a_long_list_ends_with_a_note(
    browser: aiohttp.ClientSession, ses: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "PAGE_SIZE", 1)
    await send(ses)
    await send(ses)
    assert "1 older emails are not shown" in await page(browser, "/")


async def test_faults_are_shown_on_every_page(browser: aiohttp.ClientSession, ses: Simulator) -> None:
    assert "misbehave" not in await page(browser, "/")
    ses.faults.set(throttle_next=3)
    assert "<span>throttle next: 3</span>" in await page(browser, "/")


async def test_a_message_has_a_view_for_each_part(browser: aiohttp.ClientSession, ses: Simulator) -> None:
    file = {"RawContent": "YWJj", "FileName": "a.txt", "ContentType": "text/plain"}
    body = {"Html": {"Data": "<b>rich</b>"}, "Text": {"Data": "plain words"}}
    key = await send(ses, simple={"Body": body, "Attachments": [file]})
    html = await page(browser, f"/mail/{key}")
    assert f'<iframe src="/mail/{key}/html"' in html
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in html
    assert "plain words" in await page(browser, f"/mail/{key}?view=text")
    assert "MIME-Version" in await page(browser, f"/mail/{key}?view=headers")
    assert "multipart/mixed" in await page(browser, f"/mail/{key}?view=source")
    assert f'href="/mail/{key}/attachments/0"' in await page(browser, f"/mail/{key}?view=attachments")
    assert f'<iframe src="/mail/{key}/html"' in await page(browser, f"/mail/{key}?view=nonsense")


async def test_links_to_the_hosted_page_lead_to_where_it_is_answered(ses: Simulator) -> None:
    stack = cast("DeployedStack", SimpleNamespace(address=StackAddress(endpoint_url="http://127.0.0.1:4566")))
    inbox = Inbox(ses)
    desk = Desk(stack, inbox.watchers, utc_now)
    link, here = f"{FUNCTION_URL}?t=a.b", "http://127.0.0.1:4566/_aws/lambda-url/0123abcd/?t=a.b"
    header = {"Name": "List-Unsubscribe", "Value": f"<mailto:gone@example.com>, <{link}>"}
    body = {"Html": {"Data": f'<a href="{link}">Unsubscribe</a>'}, "Text": {"Data": link}}
    async with (
        serve(ses, mounts=[inbox_pages(inbox, desk=desk)]) as url,
        aiohttp.ClientSession(url) as browser,
    ):
        key = await send(ses, simple={"Body": body, "Headers": [header]})
        assert f'<a href="{here}"' in await page(browser, f"/mail/{key}")
        assert f'<a href="{here}"' in await page(browser, f"/mail/{key}/html")
        assert link in await page(browser, f"/mail/{key}?view=text")


async def test_a_message_of_text_alone_opens_with_the_text(
    browser: aiohttp.ClientSession, ses: Simulator
) -> None:
    html = await page(browser, f"/mail/{await send(ses)}")
    assert "Hi there" in html
    assert "?view=html" not in html
    assert "?view=attachments" not in html


async def test_a_long_source_is_cut_on_the_page_and_whole_in_the_download(
    browser: aiohttp.ClientSession, ses: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "SHOWN_SOURCE", 20)
    key = await send(ses)
    assert "The first 20 of" in await page(browser, f"/mail/{key}?view=source")
    async with browser.get(f"/mail/{key}/source") as answer:
        assert answer.content_type == "message/rfc822"
        assert answer.headers["Content-Disposition"] == f"attachment; filename*=UTF-8''{key}.eml"
        assert "Hi there" in await answer.text()


async def test_everything_in_a_message_is_escaped(browser: aiohttp.ClientSession, ses: Simulator) -> None:
    key = await send(
        ses,
        FromEmailAddress='"<script>alert(1)</script>" <shop@example.com>',
        simple={
            "Subject": {"Data": EVIL},
            "Body": {"Text": {"Data": EVIL}},
            "Headers": [{"Name": "X-Evil", "Value": EVIL}],
            "Attachments": [{"RawContent": "YQ==", "FileName": EVIL, "ContentType": EVIL}],
        },
        ConfigurationSetName=EVIL,
    )
    for path in ("/", *(f"/mail/{key}?view={view}" for view in ("text", "headers", "source", "attachments"))):
        assert "<script>alert" not in await page(browser, path)


async def test_a_pages_policy_lets_only_its_own_script_run(browser: aiohttp.ClientSession) -> None:
    async with browser.get("/") as answer:
        allowed = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in allowed
    assert "script-src 'self'" in allowed
    assert "unsafe" not in allowed


async def test_a_messages_html_can_run_and_load_nothing(
    browser: aiohttp.ClientSession, ses: Simulator
) -> None:
    key = await send(ses, simple={"Body": {"Html": {"Data": "<script>1</script>"}}})
    async with browser.get(f"/mail/{key}/html") as answer:
        allowed = answer.headers["Content-Security-Policy"]
        assert "<script>1</script>" in await answer.text()
    assert allowed.startswith("sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'")
    assert "script" not in allowed
    assert "allow-same-origin" not in allowed


async def test_attachments_are_downloads_under_their_own_name(
    browser: aiohttp.ClientSession, ses: Simulator
) -> None:
    file = {"RawContent": "PGI+", "FileName": "Größe.html", "ContentType": "text/html"}
    key = await send(ses, simple={"Attachments": [file]})
    async with browser.get(f"/mail/{key}/attachments/0") as answer:
        assert await answer.read() == b"<b>"
        assert answer.content_type == "application/octet-stream"
        assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''Gr%C3%B6%C3%9Fe.html"
    for number in ("1", "-1", "x"):
        await page(browser, f"/mail/{key}/attachments/{number}", 404)


async def test_a_refused_email_has_a_page_with_its_reason_and_no_buttons(
    browser: aiohttp.ClientSession, inbox: Inbox
) -> None:
    refused(inbox)
    html = await page(browser, "/mail/e-9")
    assert "The engine did not send this email" in html
    assert "There is no template lost." in html
    assert "<button" not in html
    await page(browser, "/mail/e-9/html", 404)


async def test_a_message_without_a_configuration_set_offers_no_reports(
    browser: aiohttp.ClientSession, ses: Simulator
) -> None:
    html = await page(browser, f"/mail/{await send(ses, ConfigurationSetName='')}")
    assert "SES reports nothing about it" in html
    assert "<button" not in html


async def test_an_unknown_email_is_not_found(browser: aiohttp.ClientSession) -> None:
    assert "This email is not here" in await page(browser, "/mail/unknown", 404)
    await page(browser, "/mail/unknown/html", 404)


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        ("bounce", "Bounce"),
        ("mailboxfull", "Bounce"),
        ("complaint", "Complaint"),
        ("delay", "DeliveryDelay"),
        ("open", "Open"),
        ("click", "Click"),
    ],
)
async def test_a_button_makes_ses_report_and_leads_back(
    browser: aiohttp.ClientSession, ses: Simulator, outcome: str, kind: str
) -> None:
    key = await send(ses)
    assert f'value="{outcome}"' in await page(browser, f"/mail/{key}")
    async with browser.post(f"/mail/{key}/report", data={"outcome": outcome}) as answer:
        assert (answer.status, answer.url.path) == (200, f"/mail/{key}")
    assert ses.events[-1].event_type == kind


async def test_reports_are_refused_when_unknown_or_from_another_site(
    browser: aiohttp.ClientSession, ses: Simulator
) -> None:
    key = await send(ses)
    path = f"/mail/{key}/report"
    async with browser.post(path, data={"outcome": "teleport"}) as answer:
        assert answer.status == 400
    async with browser.post(
        path, data={"outcome": "bounce"}, headers={"Origin": "https://evil.io"}
    ) as answer:
        assert answer.status == 403
    assert ses.events[-1].event_type == "Delivery"
    own = {"Origin": str(answer.url.origin())}
    async with browser.post(path, data={"outcome": "bounce"}, headers=own) as answer:
        assert answer.status == 200


async def test_other_attempts_are_linked(
    browser: aiohttp.ClientSession, ses: Simulator, inbox: Inbox
) -> None:
    keys = [await send(ses, EmailTags=[{"Name": "emailId", "Value": "e-9"}]) for _ in range(2)]
    refused(inbox)
    html = await page(browser, f"/mail/{keys[0]}")
    assert "Other attempts" in html
    assert f'href="/mail/{keys[1]}"' in html


async def test_open_pages_are_told_of_news_until_the_server_stops(ses: Simulator, inbox: Inbox) -> None:
    async with aiohttp.ClientSession() as browser:
        async with serve(ses, mounts=[inbox_pages(inbox, pause=0)]) as url:
            answer = await browser.get(f"{url}/_changes")
            assert answer.content_type == "text/event-stream"
            assert await answer.content.readuntil(b"\n\n") == b": listening\n\n"
            await send(ses)
            assert await answer.content.readuntil(b"\n\n") == b"data: changed\n\n"
        assert (await answer.content.read()).endswith(b"data: changed\n\n")


async def test_a_quiet_inbox_keeps_the_connection_alive(
    browser: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_pages, "KEEP_ALIVE_SECONDS", 0)
    async with browser.get("/_changes") as answer:
        assert await answer.content.readuntil(b"\n\n") == b": listening\n\n"
        assert await answer.content.readuntil(b"\n\n") == b": still here\n\n"


@pytest.mark.parametrize("name", ["pages.css", "pages.js", "icon.svg"])
async def test_assets_come_from_the_package(browser: aiohttp.ClientSession, name: str) -> None:
    assert await page(browser, f"/_assets/{name}")


async def test_nothing_else_comes_from_the_package(browser: aiohttp.ClientSession) -> None:
    await page(browser, "/_assets/..%2fpages.py", 404)


def parsed(message: Message) -> EmailMessage:
    return message_from_bytes(source_of(message), _class=EmailMessage, policy=policy.default)


def test_the_source_is_the_whole_message_in_mime() -> None:
    mail = parsed(MESSAGE)
    assert (mail["From"], mail["To"], mail["Subject"]) == (
        "Shop <shop@example.com>",
        "ann@example.org",
        "Grüße",
    )
    assert mail["Message-ID"] == "<0100-1@email.amazonses.com>"
    assert mail["List-Unsubscribe"] == "<https://x.io/u>"
    kinds = [part.get_content_type() for part in mail.walk()]
    assert kinds == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "text/csv",
    ]
    (file,) = mail.iter_attachments()
    assert (file.get_filename(), file.get_payload(decode=True)) == ("Größe & Preis.csv", b"a;b")


def test_a_message_of_html_alone_has_no_text_part() -> None:
    mail = parsed(msgspec.structs.replace(MESSAGE, text=None, attachments=()))
    assert mail.get_content_type() == "text/html"


def test_a_raw_message_is_its_own_source() -> None:
    assert source_of(msgspec.structs.replace(MESSAGE, raw=b"Subject: x\n\nhi")) == b"Subject: x\n\nhi"


def test_line_breaks_and_repeated_headers_do_not_break_the_source() -> None:
    odd = msgspec.structs.replace(
        MESSAGE, subject="one\r\nBcc: all@x.io", headers=(("Sender", "a@x.io"), ("Sender", "b@x.io"))
    )
    headers = headers_of(odd)
    assert ("Subject", "one Bcc: all@x.io") in headers
    assert [value for name, value in headers if name == "Sender"] == ["a@x.io"]


def test_inline_images_are_put_into_the_page() -> None:
    assert html_of(MESSAGE) == ('<img src="data:image/png;base64,cG5n"><img src="cid:other">')
    assert html_of(msgspec.structs.replace(MESSAGE, html=None)) == ""


@pytest.mark.parametrize(
    ("content_type", "media"),
    [
        ("Text/CSV; charset=utf-8", ("text", "csv", {"charset": "utf-8"})),
        (
            'text/calendar; charset="utf-8"; method=REQUEST',
            ("text", "calendar", {"charset": "utf-8", "method": "REQUEST"}),
        ),
        ("nonsense", ("application", "octet-stream", {})),
        ("multipart/mixed", ("application", "octet-stream", {})),
    ],
)
def test_content_types_are_read_leniently(content_type: str, media: tuple[str, str, dict[str, str]]) -> None:
    assert media_type(msgspec.structs.replace(FILE, content_type=content_type)) == media


DELIVERY_STATUS = b"Reporting-MTA: dns; mx.example.org\r\n\r\nFinal-Recipient: rfc822; ann@example.org\r\n"


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("message/delivery-status", DELIVERY_STATUS),
        ("message/rfc822", b"Subject: the original\r\n\r\nhi"),
        ("message/delivery-status", b"\xff\x00 no headers at all"),
        ("message/disposition-notification", b""),
    ],
)
async def test_a_part_that_holds_messages_is_shown_with_its_content(
    browser: aiohttp.ClientSession, ses: Simulator, content_type: str, content: bytes
) -> None:
    file = {"RawContent": b64encode(content).decode(), "FileName": "status.txt", "ContentType": content_type}
    key = await send(ses, simple={"Attachments": [file]})
    for view in ("headers", "source", "attachments"):
        assert "status.txt" in await page(browser, f"/mail/{key}?view={view}") or view == "headers"
    source = source_of(ses.message(key))
    assert content.rstrip() in source
    assert f"Content-Type: {content_type}".encode() in source


async def test_a_raw_message_with_a_delivery_status_is_shown(
    browser: aiohttp.ClientSession, ses: Simulator
) -> None:
    raw = (
        b"From: shop@example.com\r\nTo: ann@example.org\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/report; boundary="x"; report-type=delivery-status\r\n\r\n'
        b"--x\r\nContent-Type: text/plain\r\n\r\nIt failed.\r\n"
        b"--x\r\nContent-Type: message/delivery-status\r\n\r\n" + DELIVERY_STATUS + b"\r\n--x--\r\n"
    )
    key = await send(ses, Content={"Raw": {"Data": b64encode(raw).decode()}})
    for view in ("text", "headers", "source", "attachments"):
        await page(browser, f"/mail/{key}?view={view}")
    async with browser.get(f"/mail/{key}/attachments/0") as answer:
        assert b"Final-Recipient: rfc822; ann@example.org" in await answer.read()
