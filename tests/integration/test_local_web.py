"""Everything that listens on this machine answers this machine alone, and no page of another site."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.support.ses_requests import refusal, served, simple
from yarl import URL

from engine.authoring.preview import Preview, application
from engine.authoring.scaffold import create
from engine.local.inbox import Inbox, inbox_pages
from engine.local.ses import Simulator, serve
from engine.local.web.server import serve_locally


async def never(_directory: Path) -> AsyncIterator[Any]:
    return
    yield


@asynccontextmanager
async def simulator(_: Path) -> AsyncIterator[str]:
    ses = Simulator()
    async with serve(ses, mounts=[inbox_pages(Inbox(ses))]) as url:
        yield url


@asynccontextmanager
async def preview(path: Path) -> AsyncIterator[str]:
    create(path / "templates", "mine")
    async with serve_locally(application(Preview(path / "templates"), never)) as url:
        yield url


every_server = pytest.mark.parametrize("server", [simulator, preview])


async def status(url: str, path: str, method: str = "GET", **headers: str) -> int:
    async with (
        aiohttp.ClientSession() as browser,
        browser.request(method, url + path, headers=headers, allow_redirects=False) as answer,
    ):
        return answer.status


@every_server
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8025", "127.0.0.1.evil.example", "[", "", "10.0.0.1"]
)
async def test_a_name_that_was_made_to_resolve_to_this_machine_is_refused(
    server: Any, host: str, tmp_path: Path
) -> None:
    async with server(tmp_path) as url:
        assert await status(url, "/", Host=host) == 403
        assert await status(url, "/_simulator/faults", "PATCH", Host=host) == 403


@every_server
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
async def test_the_names_of_this_machine_are_answered(server: Any, host: str, tmp_path: Path) -> None:
    async with server(tmp_path) as url:
        port = url.rpartition(":")[2]
        assert await status(url, "/", Host=f"{host}:{port}") in {200, 302}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/email/outbound-emails"),
        ("POST", "/v2/email/outbound-bulk-emails"),
        ("PATCH", "/_simulator/faults"),
        ("DELETE", "/_simulator/faults"),
        ("PATCH", "/_simulator/account"),
        ("POST", "/_simulator/release"),
        ("POST", "/_simulator/messages/1/report/bounce"),
        ("POST", "/mail/1/report"),
    ],
)
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1"])
async def test_a_page_of_another_site_can_change_nothing(
    method: str, path: str, origin: str, tmp_path: Path
) -> None:
    async with simulator(tmp_path) as url:
        assert await status(url, path, method, Origin=origin) == 403
        assert await status(url, path, method, Origin=url) != 403


async def test_an_sdk_names_no_origin_and_is_answered() -> None:
    ses = Simulator()
    async with served(ses) as client:
        await client.send_email(**simple())
        assert await refusal(client.send_email(**simple(Destination={}))) is not None
    assert len(ses.messages) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/..%2fother",
        "/..%2fother/html",
        "/%2e%2e%2fother",
        "/..%5cother",
        "/mine%2f..%2f..%2fother",
        "/{absolute}",
        "/_hidden",
        "/.",
    ],
)
async def test_the_preview_serves_the_templates_of_its_directory_and_no_other(
    path: str, tmp_path: Path
) -> None:
    create(tmp_path, "other")
    async with preview(tmp_path) as url:
        create(tmp_path / "templates", "hidden").rename(tmp_path / "templates" / "_hidden")
        absolute = str(tmp_path / "other").replace("/", "%2f")
        raw = path.format(absolute=absolute)
        async with aiohttp.ClientSession() as browser, browser.get(URL(url + raw, encoded=True)) as answer:
            assert answer.status == 404, await answer.text()
