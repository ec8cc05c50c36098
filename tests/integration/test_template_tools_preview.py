"""A preview shows a template as it is now, tells open pages of changes, and lets nothing run."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from shutil import move
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from typer.testing import CliRunner

from engine.authoring.files import BadFileError
from engine.authoring.folder import Folder
from engine.authoring.preview import Preview, application, in_scheme
from engine.authoring.scaffold import create
from engine.cli import app as command


class Changes:
    """A watcher of files that tells of a change when the test says so."""

    def __init__(self) -> None:
        self._told: asyncio.Queue[None] = asyncio.Queue()

    async def __call__(self, directory: Path) -> AsyncIterator[Any]:
        assert directory.name
        while True:
            await self._told.get()
            yield None

    def tell(self) -> None:
        self._told.put_nowait(None)


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return create(tmp_path, "mine")


@pytest.fixture
async def browser(mine: Path, changes: Changes) -> AsyncIterator[aiohttp.ClientSession]:
    server = TestServer(application(Preview(mine.parent), changes))
    await server.start_server()
    async with aiohttp.ClientSession(server.make_url("")) as session:
        yield session
    await server.close()


async def page(browser: aiohttp.ClientSession, path: str, status: int = 200) -> str:
    async with browser.get(path) as answer:
        assert answer.status == status
        return await answer.text()


async def test_the_page_shows_subject_sender_and_both_screens(browser: aiohttp.ClientSession) -> None:
    shown = await page(browser, "/mine")
    assert "<h1>Mine</h1>" in shown
    assert "Northwind &lt;the default sender&gt;" in shown
    assert shown.count("<iframe") == 2
    assert shown == await page(browser, "/")


async def test_text_data_and_checks_have_a_view_each(browser: aiohttp.ClientSession, mine: Path) -> None:
    assert "Hello Ada," in await page(browser, "/mine?view=text")
    assert "&#34;userName&#34;: &#34;Ada&#34;" in await page(browser, "/mine?view=data")
    assert "css-border-radius" in await page(browser, "/mine?view=checks")
    (mine / "template.txt").unlink()
    assert "There is no plain text." in await page(browser, "/mine?view=text")
    assert "text-missing" in await page(browser, "/mine?view=checks")


async def test_a_dark_screen_is_shown_on_any_screen(browser: aiohttp.ClientSession) -> None:
    assert "@media all {" in await page(browser, "/mine/html?scheme=dark")
    assert "@media not all {" in await page(browser, "/mine/html?scheme=light")
    assert in_scheme("@media (prefers-color-scheme:light) and (x)", "light") == "@media all and (x)"


async def test_the_email_is_served_so_that_nothing_in_it_runs(browser: aiohttp.ClientSession) -> None:
    async with browser.get("/mine/html") as answer:
        policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox ")
    assert "allow-scripts" not in policy
    assert "default-src 'none'" in policy


async def test_a_change_is_built_and_told_to_open_pages(
    browser: aiohttp.ClientSession, changes: Changes, mine: Path
) -> None:
    source = mine / "source.txt"
    async with browser.get("/_changes") as news:
        assert await news.content.readline() == b": listening\n"
        source.write_text(source.read_text().replace("say here", "Read here"))
        changes.tell()
        lines = [await news.content.readline() for _ in range(2)]
        assert lines == [b"\n", b"data: changed\n"]
    assert "Read here what it is about." in await page(browser, "/mine?view=text")


async def test_a_template_that_is_renamed_while_it_is_shown_ends_nothing(
    browser: aiohttp.ClientSession, changes: Changes, mine: Path
) -> None:
    async with browser.get("/_changes") as news:
        away = move(mine, mine.with_name("_away"))
        changes.tell()
        assert await news.content.readuntil(b"data: changed\n\n")
        assert "there is no template" in await page(browser, "/", status=404)
        move(away, mine)
        changes.tell()
        assert await news.content.readuntil(b"data: changed\n\n")
    await page(browser, "/mine")


async def test_a_template_that_does_not_render_says_why(browser: aiohttp.ClientSession, mine: Path) -> None:
    (mine / "sample.json").write_text("{}")
    shown = await page(browser, "/mine")
    assert "It does not render" in shown
    assert "templateData lacks userName" in shown
    await page(browser, "/mine/html", status=404)


async def test_files_that_cannot_be_read_are_said_so_in_every_view(
    browser: aiohttp.ClientSession, mine: Path
) -> None:
    (mine / "sample.json").write_text("{")
    for view in ("html", "text", "data", "checks"):
        assert "sample.json" in await page(browser, f"/mine?view={view}")
    (mine / "template.txt").write_bytes(b"\xff")
    assert "is not UTF-8" in await page(browser, "/mine?view=checks")


async def test_what_is_not_there_is_not_found(browser: aiohttp.ClientSession) -> None:
    assert "`sesmailengine templates new nothing`" in await page(browser, "/nothing", status=404)
    await page(browser, "/_assets/nothing.css", status=404)


async def test_style_sheet_and_script_are_those_of_all_pages(browser: aiohttp.ClientSession) -> None:
    assert "--accent" in await page(browser, "/_assets/pages.css")
    assert "EventSource" in await page(browser, "/_assets/pages.js")
    assert ".pair" in await page(browser, "/_assets/preview.css")


def test_data_of_another_file_takes_the_place_of_the_sample(tmp_path: Path, mine: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text(json.dumps({"userName": "Grace"}))
    assert Preview(tmp_path, file).data(Folder(mine)) == {"userName": "Grace"}
    for content in ("[]", "{"):
        file.write_text(content)
        assert "data.json" in str(Preview(tmp_path, file).rendered(Folder(mine)))
        with pytest.raises(BadFileError, match=r"data\.json"):
            Preview(tmp_path, file).data(Folder(mine))


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(command, ["templates", *arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_new_build_and_lint_work_from_the_command_line(tmp_path: Path) -> None:
    directory = str(tmp_path / "templates")
    assert "write source.html and source.txt" in run("new", "mine", "--dir", directory)
    assert "is there already" in run("new", "mine", "--dir", directory, code=1)
    assert run("build", directory) == "mine: up to date\n"
    assert "1 template: 0 errors, 0 warnings" in run("lint", directory)
    assert "note css-border-radius" in run("lint", directory, "--notes")
    assert "templates/mine/template.html:" in run("lint", directory, "--notes")


def test_build_and_lint_take_the_folder_as_an_option_too(tmp_path: Path) -> None:
    create(tmp_path, "mine")
    assert run("build", "--dir", str(tmp_path)) == "mine: up to date\n"
    assert "1 template: 0 errors" in run("lint", "--dir", str(tmp_path))
    assert "welcome: template.html" in run("build", "--starters", "--dir", str(tmp_path / "starters"))
    create(tmp_path, "wrong").rename(tmp_path / "wrong name")
    assert "no request can name a template 'wrong name'" in run("lint", "--dir", str(tmp_path), code=1)


def test_lint_fails_on_errors_and_if_asked_on_warnings(tmp_path: Path) -> None:
    folder = create(tmp_path, "mine")
    (folder / "sample.json").unlink()
    assert "warning sample-missing" in run("lint", str(tmp_path))
    run("lint", str(tmp_path), "--strict", code=1)
    (folder / "template.txt").unlink()
    said = run("lint", str(tmp_path), code=1)
    assert f"{folder / 'template.txt'}:1: error text-missing" in said
    assert "there is no template" in run("lint", str(tmp_path / "nothing"), code=1)


def test_the_starters_can_be_written_anywhere(tmp_path: Path) -> None:
    assert "welcome: template.html, template.txt" in run("build", str(tmp_path), "--starters")
    assert "8 templates: 0 errors, 0 warnings" in run("lint", str(tmp_path), "--strict")


def test_a_preview_needs_a_template_and_a_free_port(tmp_path: Path) -> None:
    assert "there is no template" in run("preview", "mine", "--dir", str(tmp_path), code=1)
    create(tmp_path, "mine")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = run("preview", "mine", "--dir", str(tmp_path), "--port", port, code=1)
    assert f"Cannot serve on port {port}" in said
    assert "choose another by --port" in said
