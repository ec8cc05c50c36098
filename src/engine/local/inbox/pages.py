"""The pages: the list of mail, one email, and those of the stack where there is one.

The templates escape every value. A message's own HTML is served under a policy that lets nothing run and
nothing load, and is shown only in a sandboxed frame.
"""

from typing import Final

from aiohttp import web

from engine.local.console.desk import Desk
from engine.local.inbox.inbox import Inbox
from engine.local.inbox.mail import Mail, MailList, MailQuery
from engine.local.inbox.site import SITE, Site, render
from engine.local.inbox.source import headers_of, html_of, source_of
from engine.local.inbox.stack_pages import stack_routes, tell_errors
from engine.local.ses.message import Message
from engine.local.ses.server import Mount
from engine.local.unsubscribing import unsubscribe_link
from engine.local.web.pages import add_live_pages, download, email_page, path_segment
from engine.operations.timeline import TONES
from engine.tracking.lifecycle import Status

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

_FILTERS: Final = ("status", "day", "template", "campaign", "before")


def inbox_pages(inbox: Inbox, *, desk: Desk | None = None, pause: float = 0.2) -> Mount:
    """Adds the inbox to the simulator's server. Open pages reload at most every `pause` seconds."""
    site = Site(
        source=inbox, watchers=inbox.watchers, part="local inbox", simulator=inbox.simulator, desk=desk
    )

    def mount(app: web.Application) -> None:
        add_pages(app, site, pause=pause)

    return mount


def add_pages(app: web.Application, site: Site, *, pause: float = 0.2) -> None:
    """The pages of a site; `app` is all that has them."""
    app[SITE] = site
    add_live_pages(app, site.watchers, pause=pause)
    app.add_routes(
        [
            web.get("/", tell_errors(_list)),
            web.get("/mail/{key}", tell_errors(_email)),
            web.get("/mail/{key}/html", _html),
            web.get("/mail/{key}/source", _source),
            web.get("/mail/{key}/attachments/{number}", _attachment),
            web.post("/mail/{key}/report", _report),
        ]
    )
    if site.desk:
        app.add_routes(stack_routes())


async def _list(request: web.Request) -> web.Response:
    given = {name: request.query.get(name, "").strip() for name in _FILTERS}
    query = MailQuery(search=request.query.get("q", "").strip(), **given)
    found = await request.app[SITE].source.find(query)
    asked = {"q": query.search} | given
    return render(
        request,
        "list.html",
        query=query,
        found=found,
        statuses=_statuses(found),
        asked={name: value for name, value in asked.items() if value},
    )


def _statuses(found: MailList) -> list[str]:
    """Those worth a filter: of what was counted, or all that a ledger has."""
    if found.counts is None:
        return [status.value for status in Status]
    return [name for name in TONES if found.counts.get(name)]


async def _email(request: web.Request) -> web.Response:
    site = request.app[SITE]
    mail = await site.source.mail(request.match_info["key"])
    if mail is None:
        return render(request, "missing.html", status=404)
    message = mail.message
    views = _views(message) if message else {}
    view = request.query.get("view", "")
    return render(
        request,
        "email.html",
        email=mail,
        verdict=mail.verdict or (await site.desk.verdict(mail.email_id) if site.desk else None),
        views=views,
        view=view if view in views else next(iter(views), ""),
        reports=REPORTS,
        unsubscribe=site.reachable(unsubscribe_link(message) or "") if message else "",
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
    return email_page(request.app[SITE].reachable(html_of(await _message(request))))


async def _source(request: web.Request) -> web.Response:
    message = await _message(request)
    return download(source_of(message), "message/rfc822", f"{message.message_id}.eml")


async def _attachment(request: web.Request) -> web.Response:
    attachments = (await _message(request)).attachments
    number = request.match_info["number"]
    if not number.isdecimal() or int(number) >= len(attachments):
        raise web.HTTPNotFound(text="No such attachment.")
    attachment = attachments[int(number)]
    return download(attachment.content, "application/octet-stream", attachment.file_name)


async def _report(request: web.Request) -> web.Response:
    """Make the simulated SES report an outcome of the message."""
    message = await _message(request)
    site = request.app[SITE]
    outcome = str((await request.post()).get("outcome", ""))
    names = [name for name, _ in REPORTS]
    if site.simulator is None or outcome not in names:
        raise web.HTTPBadRequest(text=f"Unknown outcome; one of {', '.join(names)} was expected.")
    await site.simulator.report(message.message_id, outcome)
    raise web.HTTPSeeOther(f"{site.base}/mail/{path_segment(message.message_id)}")


async def _message(request: web.Request) -> Message:
    email: Mail | None = await request.app[SITE].source.mail(request.match_info["key"])
    if email is None:
        raise web.HTTPNotFound(text="No such email; only the newest are kept.")
    if email.message is None:
        raise web.HTTPNotFound(text="This email was never sent, or its content is not kept.")
    return email.message
