"""The pages of the stack behind the mail: how it is and what it holds back, suppression, and the acts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

from aiohttp import web

from engine.errors import EngineError
from engine.local.console.chart import chart
from engine.local.console.desk import Desk
from engine.local.inbox.site import SITE, render
from engine.operations.actions import LONGEST_REASON
from engine.operations.health import judge_status, waits_for
from engine.operations.queues import DEAD_LETTER_QUEUES
from engine.operations.scopes import scope_named
from engine.operations.sentences import TOLD, one_error, sentence_of
from engine.operations.stack import StackAddress
from engine.operations.suppression_table import TYPES
from engine.operations.suppression_verdicts import shown_verdict
from engine.tracking.brakes import STOP, describe

Handler = Callable[[web.Request], Awaitable[web.Response]]


def stack_routes() -> list[web.RouteDef]:
    return [
        web.get("/stack", tell_errors(_stack)),
        web.post("/stack/stop", tell_errors(_stop)),
        web.post("/stack/go", tell_errors(_go)),
        web.post("/stack/redrive", tell_errors(_redrive)),
        web.get("/suppression", tell_errors(_suppression)),
        web.post("/suppression/remove", tell_errors(_remove)),
    ]


def tell_errors(handler: Handler) -> Handler:
    """A page that says what is wrong where the stack can't be asked, as the commands do."""

    async def told(request: web.Request) -> web.Response:
        try:
            with one_error():
                return await handler(request)
        except TOLD as error:
            desk = request.app[SITE].desk
            address = desk.stack.address if desk and desk.stack else StackAddress()
            return render(request, "trouble.html", status=502, sentence=sentence_of(error, address))

    return told


async def _stack(request: web.Request) -> web.Response:
    desk = _desk(request)
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(desk.status())
        drawing = group.create_task(desk.curve())
    status, curve = looking.result(), drawing.result()
    return render(
        request,
        "stack.html",
        found=status,
        verdict=judge_status(status, desk.options),
        chart=chart(curve, desk.clock()),
        source=curve.source,
        acts=desk.acts,
        waits_for=waits_for,
        describe=describe,
        is_stop=lambda brake: brake.pk.startswith(STOP),
        scope_of=lambda brake: brake.pk.removeprefix(STOP),
    )


async def _suppression(request: web.Request) -> web.Response:
    desk = _desk(request)
    address = request.query.get("address", "").strip()
    kind = request.query.get("type", "")
    if kind not in TYPES:
        kind = ""
    found = await desk.suppression(address) if address else None
    return render(
        request,
        "suppression.html",
        address=address,
        kind=kind,
        kinds=TYPES,
        found=found,
        verdict=shown_verdict(found, desk.options) if found else None,
        listed=None if found else await desk.suppressed([kind] if kind else []),
        acts=desk.acts,
    )


async def _stop(request: web.Request) -> web.Response:
    form = await request.post()
    scope = _scope(str(form.get("kind", "")), str(form.get("name", "")).strip())
    because = str(form.get("because", "")).strip()
    if not 1 <= len(because) <= LONGEST_REASON:
        raise web.HTTPBadRequest(text=f"Say why, in 1 to {LONGEST_REASON} characters.")
    await _desk(request).stop(scope, because)
    _back(request, "/stack")


async def _go(request: web.Request) -> web.Response:
    kind, _, name = str((await request.post()).get("scope", "")).partition("#")
    await _desk(request).go(_scope(kind, name))
    _back(request, "/stack")


async def _redrive(request: web.Request) -> web.Response:
    queue = str((await request.post()).get("queue", ""))
    if queue not in DEAD_LETTER_QUEUES:
        raise web.HTTPBadRequest(text=f"One of {', '.join(DEAD_LETTER_QUEUES)} was expected.")
    await _desk(request).redrive(queue)
    _back(request, "/stack")


async def _remove(request: web.Request) -> web.Response:
    form = await request.post()
    address = str(form.get("address", "")).strip()
    if "@" not in address:
        raise web.HTTPBadRequest(text="An address was expected.")
    await _desk(request).unsuppress(address, resend=form.get("resend") == "yes")
    _back(request, "/suppression")


def _scope(kind: str, name: str) -> str:
    scope = scope_named(kind, name)
    if scope is None:
        expected = "All mail, bulk mail, or the name of a template or campaign was expected."
        raise web.HTTPBadRequest(text=expected)
    return scope


def _desk(request: web.Request) -> Desk:
    desk = request.app[SITE].desk
    if desk is None:
        raise EngineError("There is no stack behind these pages.")
    return desk


def _back(request: web.Request, path: str) -> NoReturn:
    raise web.HTTPSeeOther(f"{request.app[SITE].base}{path}")
