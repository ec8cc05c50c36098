"""Control the simulator from outside, over HTTP.

| request | does |
| --- | --- |
| GET, PATCH, DELETE /_simulator/faults | the fault plan: read it, change fields of it, clear it |
| PATCH /_simulator/account | change settings such as `max_send_rate` |
| GET /_simulator/messages, /_simulator/events | what was accepted, what was published |
| POST /_simulator/messages/{id}/report/{outcome} | make SES report an outcome of a message |
| POST /_simulator/release | publish what the plan holds back; `?count=`, `?newest_first=1` |
"""

from typing import Any, Final

import msgspec
from aiohttp import web

from engine.local.ses.account import Account
from engine.local.ses.answers import SIMULATOR, json_answer, refusal
from engine.local.ses.errors import bad_request


async def _show_faults(request: web.Request) -> web.Response:
    return json_answer(request.app[SIMULATOR].faults.plan)


async def _change_faults(request: web.Request) -> web.Response:
    faults = request.app[SIMULATOR].faults
    try:
        faults.set(**msgspec.json.decode(await request.read(), type=dict[str, Any]))
    except msgspec.MsgspecError as error:
        return refusal(bad_request(str(error)))
    return json_answer(faults.plan)


async def _clear_faults(request: web.Request) -> web.Response:
    request.app[SIMULATOR].faults.clear()
    return web.Response(status=204)


async def _change_account(request: web.Request) -> web.Response:
    simulator = request.app[SIMULATOR]
    try:
        changes = msgspec.json.decode(await request.read(), type=dict[str, Any])
        merged = {**msgspec.structs.asdict(simulator.usage.account), **changes}
        simulator.usage.account = msgspec.convert(merged, Account)
    except msgspec.MsgspecError as error:
        return refusal(bad_request(str(error)))
    return json_answer(simulator.usage.account)


async def _messages(request: web.Request) -> web.Response:
    return json_answer(request.app[SIMULATOR].messages)


async def _events(request: web.Request) -> web.Response:
    return json_answer([event.document() for event in request.app[SIMULATOR].events])


async def _report(request: web.Request) -> web.Response:
    try:
        await request.app[SIMULATOR].report(request.match_info["message_id"], request.match_info["outcome"])
    except KeyError as error:
        raise web.HTTPNotFound(text=f"No such message or outcome: {error.args[0]}") from None
    return web.Response(status=204)


async def _release(request: web.Request) -> web.Response:
    count = request.query.get("count", "")
    released = await request.app[SIMULATOR].release(
        int(count) if count.isdecimal() else None, newest_first=bool(request.query.get("newest_first"))
    )
    return json_answer({"released": released})


CONTROLS: Final = (
    web.get("/_simulator/faults", _show_faults),
    web.patch("/_simulator/faults", _change_faults),
    web.delete("/_simulator/faults", _clear_faults),
    web.patch("/_simulator/account", _change_account),
    web.get("/_simulator/messages", _messages),
    web.get("/_simulator/events", _events),
    web.post("/_simulator/messages/{message_id}/report/{outcome}", _report),
    web.post("/_simulator/release", _release),
)
