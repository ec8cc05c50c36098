"""Pages with one layout and one set of headers, which show changes by themselves."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final
from urllib.parse import quote

from aiohttp import web
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from engine.local.web.server import STOPPING

KEEP_ALIVE_SECONDS = 15.0

_PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# An email is foreign HTML: nothing of it may run, and only images may load.
_EMAIL_POLICY: Final = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src {images}; "
    "font-src data:; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'self'"
)
_FILE_POLICY: Final = "sandbox; default-src 'none'"

_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class Watchers:
    """Open pages that wait for a change."""

    def __init__(self) -> None:
        self._events: set[asyncio.Event] = set()

    @contextmanager
    def watch(self) -> Iterator[asyncio.Event]:
        """An event that is set at every change; the caller clears it."""
        changed = asyncio.Event()
        self._events.add(changed)
        try:
            yield changed
        finally:
            self._events.discard(changed)

    def wake(self) -> None:
        """Tell all open pages that something has changed."""
        for changed in self._events:
            changed.set()


_WATCHERS: Final = web.AppKey("watchers", Watchers)
_ASSETS: Final = web.AppKey("assets", dict[str, Traversable])
_PAUSE: Final = web.AppKey("pause", float)


def add_live_pages(
    app: web.Application,
    watchers: Watchers,
    *,
    assets: Mapping[str, Traversable] | None = None,
    pause: float = 0.2,
) -> None:
    """Serve the layout's files and `assets`, and let pages wait for changes, at most one every `pause` s."""
    shared = files("engine.local.web").joinpath("assets")
    app[_ASSETS] = {file.name: file for file in shared.iterdir()} | dict(assets or {})
    app[_WATCHERS] = watchers
    app[_PAUSE] = pause
    app.add_routes([web.get("/_changes", _changes), web.get("/_assets/{name}", _asset)])

    async def wake(_: web.Application) -> None:
        watchers.wake()

    app.on_shutdown.append(wake)


def page_environment(package: str, folder: str) -> Environment:
    """Jinja for the pages of a package, which extend `layout.html` of this one. Escapes every value."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, folder), PackageLoader("engine.local.web")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(base="")  # what every address of a page begins with
    environment.filters.update(path=path_segment, breakable=_breakable)
    return environment


def path_segment(text: str) -> str:
    """Any text as one segment of a URL's path."""
    return quote(text, safe="")


def _breakable(addresses: str) -> Markup:
    """Addresses that may break behind the @-sign, where a narrow screen would break any word."""
    return escape(addresses).replace("@", Markup("@<wbr>"))


def page(text: str, status: int = 200) -> web.Response:
    """A page of ours, which runs and loads what this server serves and nothing else."""
    headers = {
        "Content-Security-Policy": _PAGE_POLICY,
        "Cache-Control": "no-store",
        # Not "no-referrer": under that a form's Origin is "null", and the server would refuse its own forms.
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)


def email_page(html: str, *, images: str = "data:") -> web.Response:
    """The HTML of an email, for a sandboxed frame. `images`: where they may come from, as in a policy."""
    headers = {
        "Content-Security-Policy": _EMAIL_POLICY.format(images=images),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    text = '<base target="_blank">' + html  # links open outside the frame
    return web.Response(text=text, content_type="text/html", headers=headers)


def download(body: bytes, content_type: str, name: str) -> web.Response:
    """A file that the browser saves and does not show."""
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{path_segment(name)}",
        "Content-Security-Policy": _FILE_POLICY,
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(body=body, content_type=content_type, headers=headers)


async def _changes(request: web.Request) -> web.StreamResponse:
    """Server-sent events: one for every change, until the page goes away or the server stops."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    with request.app[_WATCHERS].watch() as changed, suppress(ConnectionError):
        await response.write(b": listening\n\n")
        while not request.config_dict[STOPPING].is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), KEEP_ALIVE_SECONDS)
            await response.write(b"data: changed\n\n" if changed.is_set() else b": still here\n\n")
            changed.clear()
            await asyncio.sleep(request.app[_PAUSE])
    return response


async def _asset(request: web.Request) -> web.Response:
    file = request.app[_ASSETS].get(request.match_info["name"])
    if file is None:
        raise web.HTTPNotFound(text="No such file.")
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    content_type = _TYPES[file.name.rpartition(".")[2]]
    return web.Response(body=file.read_bytes(), content_type=content_type, headers=headers)
