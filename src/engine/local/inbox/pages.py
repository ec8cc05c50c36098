"""The inbox's pages, mounted beside SES on the simulator's server.

The templates escape every value. A message's own HTML is served under a policy that lets nothing run and
nothing load, and is shown only in a sandboxed frame.
"""

from typing import Any, Final

from aiohttp import web
from msgspec.structs import asdict

from engine.local.inbox.inbox import Inbox, InboxEmail, count_by_status
from engine.local.inbox.source import headers_of, html_of, source_of
from engine.local.inbox.timeline import TONES, label_of
from engine.local.ses.faults import FaultPlan
from engine.local.ses.message import Message
from engine.local.ses.server import Mount
from engine.local.web.pages import add_live_pages, download, email_page, page, page_environment, path_segment

PAGE_SIZE = 200
"""Rows of the list; a search finds the others."""

SHOWN_SOURCE = 200_000
"""Characters of a message's source that the page shows; the download has all."""

REPORTS: Final = (
    ("bounce", "Hard bounce"),
    ("mailboxfull", "Soft bounce"),
    ("complaint", "Complaint"),
    ("delay", "Delay"),
    ("open", "Open"),
    ("click", "Click"),
)
"""The buttons under a message: an outcome, and its label."""

_INBOX: Final = web.AppKey("inbox", Inbox)

_TEMPLATES: Final = page_environment("engine.local.inbox", "templates")
_TEMPLATES.globals.update(label_of=label_of, tones=TONES)


def inbox_pages(inbox: Inbox, *, pause: float = 0.2) -> Mount:
    """Adds the inbox to the simulator's server. Open pages reload at most every `pause` seconds."""

    def mount(app: web.Application) -> None:
        app[_INBOX] = inbox
        add_live_pages(app, inbox.watchers, pause=pause)
        app.add_routes(
            [
                web.get("/", _list),
                web.get("/mail/{key}", _email),
                web.get("/mail/{key}/html", _html),
                web.get("/mail/{key}/source", _source),
                web.get("/mail/{key}/attachments/{number}", _attachment),
                web.post("/mail/{key}/report", _report),
            ]
        )

    return mount


async def _list(request: web.Request) -> web.Response:
    search = request.query.get("q", "")
    wanted = request.query.get("status", "")
    found = request.app[_INBOX].rows(search)
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


async def _email(request: web.Request) -> web.Response:
    email = request.app[_INBOX].email(request.match_info["key"])
    if email is None:
        return _page(request, "missing.html", status=404)
    message = email.message
    views = _views(message) if message else {}
    view = request.query.get("view", "")
    return _page(
        request,
        "email.html",
        email=email,
        views=views,
        view=view if view in views else next(iter(views), ""),
        reports=REPORTS,
        source=lambda: source_of(message).decode("utf-8", "replace") if message else "",
        headers=lambda: headers_of(message) if message else [],
        shown_source=SHOWN_SOURCE,
    )


def _views(message: Message) -> dict[str, str]:
    """The tabs over a message: name and label."""
    tabs = {
        "html": "HTML" if message.html is not None else "",
        "text": "Text" if message.text is not None else "",
        "headers": "Headers",
        "source": "Source",
        "attachments": f"Attachments ({len(message.attachments)})" if message.attachments else "",
    }
    return {name: label for name, label in tabs.items() if label}


async def _html(request: web.Request) -> web.Response:
    return email_page(html_of(_message(request)))


async def _source(request: web.Request) -> web.Response:
    message = _message(request)
    return download(source_of(message), "message/rfc822", f"{message.message_id}.eml")


async def _attachment(request: web.Request) -> web.Response:
    attachments = _message(request).attachments
    number = request.match_info["number"]
    if not number.isdecimal() or int(number) >= len(attachments):
        raise web.HTTPNotFound(text="No such attachment.")
    attachment = attachments[int(number)]
    return download(attachment.content, "application/octet-stream", attachment.file_name)


async def _report(request: web.Request) -> web.Response:
    """Make SES report an outcome of the message."""
    message = _message(request)
    outcome = str((await request.post()).get("outcome", ""))
    names = [name for name, _ in REPORTS]
    if outcome not in names:
        raise web.HTTPBadRequest(text=f"Unknown outcome; one of {', '.join(names)} was expected.")
    await request.app[_INBOX].simulator.report(message.message_id, outcome)
    raise web.HTTPSeeOther(f"/mail/{path_segment(message.message_id)}")


def _message(request: web.Request) -> Message:
    email: InboxEmail | None = request.app[_INBOX].email(request.match_info["key"])
    if email is None:
        raise web.HTTPNotFound(text="No such email; only the newest are kept.")
    if email.message is None:
        raise web.HTTPNotFound(text="This email was never sent.")
    return email.message


def _page(request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
    simulator = request.app[_INBOX].simulator
    usual = asdict(FaultPlan())
    faults = [
        f"{name.replace('_', ' ')}: {value}"
        for name, value in asdict(simulator.faults.plan).items()
        if value != usual[name]
    ]
    text = _TEMPLATES.get_template(template).render(
        account=simulator.account_status(), faults=faults, **values
    )
    return page(text, status)
