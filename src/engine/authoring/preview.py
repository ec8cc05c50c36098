"""A template in the browser as its author changes it: on two screens, light and dark, as text, and checked.

Pages look like the local inbox, out of the same style sheet and script.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from engine.authoring.build import BuildError, build
from engine.authoring.findings import Finding
from engine.authoring.folder import Folder, NoTemplateError, find_folder, find_folders
from engine.authoring.lint import lint
from engine.errors import Refused
from engine.templating.template import HTML_FILE, Rendered

VIEWS: Final = {"html": "HTML", "text": "Plain text", "data": "Data", "checks": "Checks"}
SCHEMES: Final = ("light", "dark")

_ASSETS: Final = {"inbox.css": "text/css", "inbox.js": "text/javascript", "icon.svg": "image/svg+xml"}
_PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Its author's own pictures may load, which a mail client would load too; nothing may run.
_MAIL_POLICY: Final = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src https: data:; "
    "style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'self'"
)
_SCHEME_QUERY: Final = re.compile(r"\(\s*prefers-color-scheme\s*:\s*(dark|light)\s*\)")
_KEEP_ALIVE_SECONDS: Final = 15.0

Watch = Callable[[Path], AsyncIterator[Any]]
"""Yields whenever something in a directory has changed."""


@dataclass
class Preview:
    """The templates of `directory`, rendered with their samples, or all with the data of one file."""

    directory: Path
    data_file: Path | None = None
    changed: set[asyncio.Event] = field(default_factory=set)

    def rebuild(self) -> None:
        """Build what has a source, so that what is shown would be pushed; errors are among the checks."""
        for folder in find_folders(self.directory):
            with suppress(BuildError):
                build(folder.path).write(folder.path)

    def wake(self) -> None:
        for event in self.changed:
            event.set()

    def data(self, folder: Folder) -> dict[str, Any]:
        """What the template is rendered with; raises NoTemplateError where the file is not a JSON object."""
        if self.data_file is None:
            return folder.sample() or {}
        try:
            value = json.loads(self.data_file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise NoTemplateError(f"{self.data_file}: {error}") from error
        if not isinstance(value, dict):
            raise NoTemplateError(f"{self.data_file} is not a JSON object")
        return value

    def rendered(self, folder: Folder) -> Rendered | str:
        """The email, or why there is none."""
        try:
            return folder.render(self.data(folder))
        except Refused as refused:
            return refused.refusal.message
        except NoTemplateError as error:
            return str(error)


_PREVIEW: Final = web.AppKey("preview", Preview)
_STOPPING: Final = web.AppKey("stopping", asyncio.Event)


def application(preview: Preview, watch: Watch) -> web.Application:
    """The pages. `watch` tells of changes in the directory, after each of which open pages look again."""
    preview.rebuild()
    app = web.Application()
    app[_PREVIEW], app[_STOPPING] = preview, asyncio.Event()
    app.add_routes(
        [
            web.get("/", _first),
            web.get("/inbox/changes", _changes),
            web.get("/inbox/assets/{name}", _asset),
            web.get("/{name}", _page),
            web.get("/{name}/html", _html),
        ]
    )
    app.cleanup_ctx.append(_watching(watch))
    app.on_shutdown.append(_stop)
    return app


def in_scheme(html: str, scheme: str) -> str:
    """The HTML as a screen of that scheme shows it, whatever the scheme of this one is."""
    return _SCHEME_QUERY.sub(lambda match: "all" if match[1] == scheme else "not all", html)


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("engine.authoring", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


_PAGES: Final = _environment()


async def _first(request: web.Request) -> web.Response:
    raise web.HTTPFound(f"/{find_folders(request.app[_PREVIEW].directory)[0].name}")


async def _page(request: web.Request) -> web.Response:
    preview, folder = request.app[_PREVIEW], _folder(request)
    rendered = preview.rendered(folder)
    email = rendered if isinstance(rendered, Rendered) else None
    page = _PAGES.get_template("preview.html").render(
        folder=folder,
        names=[one.name for one in find_folders(preview.directory)],
        views=VIEWS,
        view=_choice(request, "view", VIEWS),
        scheme=_choice(request, "scheme", SCHEMES),
        schemes=SCHEMES,
        email=email,
        problem="" if email else rendered,
        size=len((email.html or "").encode()) if email else 0,
        mark=hashlib.sha256(repr(rendered).encode()).hexdigest()[:12],
        data=lambda: json.dumps(preview.data(folder), indent=2, ensure_ascii=False),
        findings=_findings(folder),
        html_file=HTML_FILE,
    )
    headers = {"Content-Security-Policy": _PAGE_POLICY, "Cache-Control": "no-store"}
    return web.Response(text=page, content_type="text/html", headers=headers)


async def _html(request: web.Request) -> web.Response:
    rendered = request.app[_PREVIEW].rendered(_folder(request))
    if not isinstance(rendered, Rendered) or rendered.html is None:
        raise web.HTTPNotFound(text="There is no HTML.")
    html = '<base target="_blank">' + in_scheme(rendered.html, _choice(request, "scheme", SCHEMES))
    headers = {"Content-Security-Policy": _MAIL_POLICY, "Cache-Control": "no-store"}
    return web.Response(text=html, content_type="text/html", headers=headers)


async def _changes(request: web.Request) -> web.StreamResponse:
    """Server-sent events: one for every change, until the page goes away."""
    preview, changed = request.app[_PREVIEW], asyncio.Event()
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    preview.changed.add(changed)
    with suppress(ConnectionError):
        await response.write(b": listening\n\n")
        while not request.app[_STOPPING].is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), _KEEP_ALIVE_SECONDS)
            await response.write(b"data: changed\n\n" if changed.is_set() else b": still here\n\n")
            changed.clear()
    preview.changed.discard(changed)
    return response


async def _asset(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name == "preview.css":
        body, kind = files("engine.authoring").joinpath("pages", name).read_bytes(), "text/css"
    elif name in _ASSETS:
        body, kind = files("engine.local.inbox").joinpath("assets", name).read_bytes(), _ASSETS[name]
    else:
        raise web.HTTPNotFound(text="No such file.")
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=body, content_type=kind, headers=headers)


def _watching(watch: Watch) -> Callable[[web.Application], AsyncIterator[None]]:
    async def follow(preview: Preview) -> None:
        async for _ in watch(preview.directory):
            preview.rebuild()
            preview.wake()

    async def context(app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(follow(app[_PREVIEW]))
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    return context


async def _stop(app: web.Application) -> None:
    app[_STOPPING].set()
    app[_PREVIEW].wake()


def _folder(request: web.Request) -> Folder:
    try:
        return find_folder(request.app[_PREVIEW].directory, request.match_info["name"])
    except NoTemplateError as error:
        raise web.HTTPNotFound(text=str(error)) from error


def _choice(request: web.Request, name: str, among: Any) -> str:
    asked = request.query.get(name, "")
    return asked if asked in among else str(next(iter(among)))


def _findings(folder: Folder) -> list[Finding]:
    rank = {"error": 0, "warning": 1, "note": 2}
    return sorted(lint(folder), key=lambda finding: rank[finding.level])
