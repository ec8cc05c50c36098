"""A live preview of templates in the browser: both screens, light and dark, plain text, data and checks."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from engine.authoring.build import BuildError, build
from engine.authoring.files import BadFileError, json_text, read_object
from engine.authoring.folder import Folder, NoTemplateError, find_folder, find_folders
from engine.authoring.lint import lint
from engine.errors import Refused
from engine.local.web.pages import Watchers, add_live_pages, email_page, page, page_environment, path_segment
from engine.local.web.server import local_application
from engine.templating.template import HTML_FILE, Rendered

VIEWS: Final = {"html": "HTML", "text": "Plain text", "data": "Data", "checks": "Checks"}
SCHEMES: Final = ("light", "dark")

# The author's own images may load, as they would in a mail client.
_IMAGES: Final = "https: data:"
_SCHEME_QUERY: Final = re.compile(r"\(\s*prefers-color-scheme\s*:\s*(dark|light)\s*\)")
_PAGES: Final = page_environment("engine.authoring", "pages")

Watch = Callable[[Path], AsyncIterator[Any]]
"""Yields whenever something in a directory has changed."""


@dataclass(frozen=True)
class Preview:
    """The templates of `directory`, rendered with their samples, or all with the data of one file."""

    directory: Path
    data_file: Path | None = None
    watchers: Watchers = field(default_factory=Watchers)

    def rebuild(self) -> None:
        """Build what has a source, so that the page shows what a push would; the checks show the errors."""
        with suppress(NoTemplateError):  # the last one may just have been renamed
            for folder in find_folders(self.directory):
                with suppress(BuildError, BadFileError):
                    build(folder.path).write(folder.path)

    def data(self, folder: Folder) -> dict[str, Any]:
        """What the template is rendered with. Raises BadFileError."""
        if self.data_file is None:
            return folder.sample() or {}
        value = read_object(self.data_file)
        if value is None:
            raise BadFileError(self.data_file, "is missing")
        return value

    def rendered(self, folder: Folder) -> Rendered | str:
        """The email, or the reason why there is none."""
        try:
            return folder.render(self.data(folder))
        except Refused as refused:
            return refused.refusal.message
        except BadFileError as error:
            return str(error)


_PREVIEW: Final = web.AppKey("preview", Preview)


def application(preview: Preview, watch: Watch) -> web.Application:
    """The preview's pages. Open pages reload after each change that `watch` yields."""
    preview.rebuild()
    app = local_application()
    app[_PREVIEW] = preview
    style = files("engine.authoring").joinpath("pages", "preview.css")
    add_live_pages(app, preview.watchers, assets={"preview.css": style}, pause=0)
    app.add_routes([web.get("/", _first), web.get("/{name}", _page), web.get("/{name}/html", _html)])

    async def follow() -> None:
        async for _ in watch(preview.directory):
            preview.rebuild()
            preview.watchers.wake()

    async def following(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(follow())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    app.cleanup_ctx.append(following)
    return app


def in_scheme(html: str, scheme: str) -> str:
    """The HTML as a screen of that scheme shows it, whatever the scheme of this one is."""
    return _SCHEME_QUERY.sub(lambda match: "all" if match[1] == scheme else "not all", html)


async def _first(request: web.Request) -> web.Response:
    try:
        name = find_folders(request.app[_PREVIEW].directory)[0].name
    except NoTemplateError as error:
        raise web.HTTPNotFound(text=str(error)) from error
    raise web.HTTPFound(f"/{path_segment(name)}")


async def _page(request: web.Request) -> web.Response:
    preview, folder = request.app[_PREVIEW], _folder(request)
    rendered = preview.rendered(folder)
    email = rendered if isinstance(rendered, Rendered) else None
    severity = {"error": 0, "warning": 1, "note": 2}
    text = _PAGES.get_template("preview.html").render(
        folder=folder,
        names=[one.name for one in find_folders(preview.directory)],
        views=VIEWS,
        view=_choice(request, "view", VIEWS),
        scheme=_choice(request, "scheme", SCHEMES),
        schemes=SCHEMES,
        email=email,
        problem="" if email else rendered,
        size=len((email.html or "").encode()) if email else 0,
        # Changes with the email, so that the browser loads the frames again.
        mark=hashlib.sha256(repr(rendered).encode()).hexdigest()[:12],
        data=_data_text(preview, folder),
        findings=sorted(lint(folder), key=lambda finding: severity[finding.level]),
        html_file=HTML_FILE,
    )
    return page(text)


def _data_text(preview: Preview, folder: Folder) -> str:
    try:
        return json_text(preview.data(folder))
    except BadFileError as error:
        return str(error)


async def _html(request: web.Request) -> web.Response:
    rendered = request.app[_PREVIEW].rendered(_folder(request))
    if not isinstance(rendered, Rendered) or rendered.html is None:
        raise web.HTTPNotFound(text="There is no HTML.")
    return email_page(in_scheme(rendered.html, _choice(request, "scheme", SCHEMES)), images=_IMAGES)


def _folder(request: web.Request) -> Folder:
    """The template that the path names; only folders of the preview's own directory have a name."""
    try:
        return find_folder(request.app[_PREVIEW].directory, request.match_info["name"])
    except NoTemplateError as error:
        raise web.HTTPNotFound(text=str(error)) from error


def _choice(request: web.Request, name: str, among: Any) -> str:
    choice = request.query.get(name, "")
    return choice if choice in among else str(next(iter(among)))
