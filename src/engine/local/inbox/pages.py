"""The inbox's pages, mounted beside SES on the simulator's server.

Mail is hostile content: every value is escaped by the templates, a message's own HTML is served only with a
policy that lets nothing run and nothing load, and shown only in a sandboxed frame.
"""

import asyncio
from contextlib import suppress
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlsplit

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from engine.local.inbox.inbox import Inbox, Mail, count_by_status
from engine.local.inbox.source import headers_of, html_page, source_of
from engine.local.inbox.timeline import TONES, label_of
from engine.local.ses.faults import FaultPlan
from engine.local.ses.server import STOPPING, Mount

PAGE_SIZE = 200
"""Rows of the list; a search finds the others."""

SHOWN_SOURCE = 200_000
"""Characters of a message's source that the page shows; the download has all."""

KEEP_ALIVE_SECONDS = 15.0

REPORTS = (
    ("bounce", "Hard bounce"),
    ("mailboxfull", "Soft bounce"),
    ("complaint", "Complaint"),
    ("delay", "Delay"),
    ("open", "Open"),
    ("click", "Click"),
)
"""The buttons under a message: a fate, and what it is called there."""

_REPORTED = {name: name for name, _ in REPORTS}
_ASSETS = {"inbox.css": "text/css", "inbox.js": "text/javascript", "icon.svg": "image/svg+xml"}
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_MAIL_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data:; font-src data:; "
    "style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'self'"
)
_FILE_POLICY = "sandbox; default-src 'none'"
_INBOX = web.AppKey("inbox", Inbox)
_PAUSE = web.AppKey("pause", float)


def inbox_pages(inbox: Inbox, *, pause: float = 0.2) -> Mount:
    """Adds the inbox to the simulator's server. After each piece of news a page rests for `pause` seconds."""

    def mount(app: web.Application) -> None:
        app[_INBOX] = inbox
        app[_PAUSE] = pause
        app.add_routes(
            [
                web.get("/", _list),
                web.get("/inbox/changes", _changes),
                web.get("/inbox/assets/{name}", _asset),
                web.get("/mail/{key}", _mail),
                web.get("/mail/{key}/html", _html),
                web.get("/mail/{key}/source", _source),
                web.get("/mail/{key}/attachments/{number}", _attachment),
                web.post("/mail/{key}/report", _report),
            ]
        )
        app.on_shutdown.append(_wake)

    return mount


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("engine.local.inbox"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(label_of=label_of, tones=TONES)
    environment.filters["path"] = lambda text: quote(text, safe="")
    return environment


_TEMPLATES = _environment()


async def _list(request: web.Request) -> web.Response:
    inbox = request.app[_INBOX]
    search = request.query.get("q", "")
    wanted = request.query.get("status", "")
    found = inbox.rows(search)
    rows = [row for row in found if wanted in {"", row.status}]
    return _page(
        request,
        "list.html",
        search=search,
        wanted=wanted,
        counts=count_by_status(found),
        found=len(found),
        rows=rows[:PAGE_SIZE],
        more=max(0, len(rows) - PAGE_SIZE),
    )


async def _mail(request: web.Request) -> web.Response:
    mail = request.app[_INBOX].mail(request.match_info["key"])
    if mail is None:
        return _page(request, "missing.html", status=404)
    views = _views(mail)
    view = request.query.get("view", "")
    return _page(
        request,
        "mail.html",
        mail=mail,
        views=views,
        view=view if view in views else next(iter(views), ""),
        reports=REPORTS,
        source=lambda: source_of(_message(mail)).decode("utf-8", "replace"),
        headers=lambda: headers_of(_message(mail)),
        shown_source=SHOWN_SOURCE,
    )


async def _html(request: web.Request) -> web.Response:
    page = html_page(_message(_wanted(request)))
    headers = {"Content-Security-Policy": _MAIL_POLICY}
    return web.Response(text=page, content_type="text/html", headers=headers)


async def _source(request: web.Request) -> web.Response:
    message = _message(_wanted(request))
    return _download(source_of(message), "message/rfc822", f"{message.message_id}.eml")


async def _attachment(request: web.Request) -> web.Response:
    attachments = _message(_wanted(request)).attachments
    number = request.match_info["number"]
    if not number.isdecimal() or int(number) >= len(attachments):
        raise web.HTTPNotFound(text="No such attachment.")
    attachment = attachments[int(number)]
    return _download(attachment.content, "application/octet-stream", attachment.file_name)


async def _report(request: web.Request) -> web.Response:
    """Make SES report something; for the inbox's own buttons, since others' forms name their origin."""
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise web.HTTPForbidden(text="Only the inbox itself may do this.")
    mail = _wanted(request)
    fate = _REPORTED.get(str((await request.post()).get("fate", "")))
    if fate is None:
        raise web.HTTPBadRequest(text=f"Unknown report; one of {', '.join(_REPORTED)} was expected.")
    await request.app[_INBOX].simulator.report(_message(mail).message_id, fate)
    raise web.HTTPSeeOther(f"/mail/{quote(mail.row.key, safe='')}")


async def _changes(request: web.Request) -> web.StreamResponse:
    """Server-sent events: one for every change, until the page goes away."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    with request.app[_INBOX].watch() as changed, suppress(ConnectionError):
        await response.write(b": listening\n\n")
        while not request.app[STOPPING].is_set():
            await response.write(await _next_news(changed))
            await asyncio.sleep(request.app[_PAUSE])
    return response


async def _next_news(changed: asyncio.Event) -> bytes:
    try:
        await asyncio.wait_for(changed.wait(), KEEP_ALIVE_SECONDS)
    except TimeoutError:
        return b": still here\n\n"
    changed.clear()
    return b"data: changed\n\n"


async def _asset(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in _ASSETS:
        raise web.HTTPNotFound(text="No such file.")
    body = files("engine.local.inbox").joinpath("assets", name).read_bytes()
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=body, content_type=_ASSETS[name], headers=headers)


async def _wake(app: web.Application) -> None:
    app[_INBOX].wake()


def _wanted(request: web.Request) -> Mail:
    mail = request.app[_INBOX].mail(request.match_info["key"])
    if mail is None:
        raise web.HTTPNotFound(text="No such email; only the newest are kept.")
    return mail


def _message(mail: Mail) -> Any:
    if mail.message is None:
        raise web.HTTPNotFound(text="This email was never sent.")
    return mail.message


def _views(mail: Mail) -> dict[str, str]:
    message = mail.message
    if message is None:
        return {}
    parts = {
        "html": "HTML" if message.html is not None else "",
        "text": "Text" if message.text is not None else "",
    }
    files_label = f"Attachments ({len(message.attachments)})" if message.attachments else ""
    everything = {**parts, "headers": "Headers", "source": "Source", "attachments": files_label}
    return {name: label for name, label in everything.items() if label}


def _page(request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
    simulator = request.app[_INBOX].simulator
    plan = simulator.faults.plan
    page = _TEMPLATES.get_template(template).render(
        account=simulator.account_status(), faults=_differences(plan, FaultPlan()), **values
    )
    headers = {
        "Content-Security-Policy": _PAGE_POLICY,
        "Cache-Control": "no-store",
        # Not "no-referrer": under that a form's Origin is "null", and _report could not tell its own buttons.
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(text=page, status=status, content_type="text/html", headers=headers)


def _differences(plan: FaultPlan, usual: FaultPlan) -> list[str]:
    pairs = ((name, getattr(plan, name), getattr(usual, name)) for name in plan.__struct_fields__)
    return [f"{name.replace('_', ' ')}: {value}" for name, value, default in pairs if value != default]


def _download(body: bytes, content_type: str, name: str) -> web.Response:
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": _FILE_POLICY,
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(body=body, content_type=content_type, headers=headers)
