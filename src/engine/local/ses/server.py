"""The simulator over HTTP: SES v2's endpoints, beside its `controls`.

| request | does |
| --- | --- |
| POST /v2/email/outbound-emails, /v2/email/outbound-bulk-emails, GET /v2/email/account | as SES v2 |
| GET, PUT, DELETE /v2/email/suppression/addresses[/{address}] | as SES v2 |
| PUT /v2/email/account/suppression | as SES v2 |
| GET /v2/email/identities/…, /v2/email/configuration-sets/… | as SES v2; see `settings` |

It answers this machine alone, and no page of another site.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from engine.local.ses.account import Account
from engine.local.ses.answers import SIMULATOR, json_answer, refusal
from engine.local.ses.controls import CONTROLS
from engine.local.ses.errors import SesError, bad_request, internal_failure
from engine.local.ses.settings import configuration_set, email_identity, event_destinations
from engine.local.ses.simulator import Simulator
from engine.local.ses.suppression import (
    ALL_REASONS,
    Filter,
    PutSuppressedDestinationRequest,
    SuppressedDestinationAnswer,
)
from engine.local.ses.wire import (
    SendBulkEmailRequest,
    SendBulkEmailResponse,
    SendEmailRequest,
    SendEmailResponse,
    SuppressionAttributes,
)
from engine.local.web.server import STOPPING, local_application, serve_locally

Mount = Callable[[web.Application], None]
"""Adds pages to the simulator's server."""

# A 40 MB message grows by a third in base64, and once more when a Raw message carries base64 itself.
_MAX_REQUEST_BYTES = 80 * 1024 * 1024
_T = TypeVar("_T")
_SEND_EMAIL = msgspec.json.Decoder(SendEmailRequest)
_SEND_BULK_EMAIL = msgspec.json.Decoder(SendBulkEmailRequest)
_PUT_SUPPRESSED = msgspec.json.Decoder(PutSuppressedDestinationRequest)
_SUPPRESSED_REASONS = msgspec.json.Decoder(SuppressionAttributes)


def application(simulator: Simulator, mounts: Sequence[Mount] = ()) -> web.Application:
    """The web application: SES, its controls, and the pages mounted beside them."""
    app = local_application(client_max_size=_MAX_REQUEST_BYTES)
    app[SIMULATOR] = simulator
    app.add_routes(
        [
            web.post("/v2/email/outbound-emails", _send_email),
            web.post("/v2/email/outbound-bulk-emails", _send_bulk_email),
            web.get("/v2/email/account", _get_account),
            web.put("/v2/email/account/suppression", _put_suppressed_reasons),
            web.get("/v2/email/suppression/addresses", _list_suppressed),
            web.put("/v2/email/suppression/addresses", _put_suppressed),
            web.get("/v2/email/suppression/addresses/{address}", _get_suppressed),
            web.delete("/v2/email/suppression/addresses/{address}", _delete_suppressed),
            web.get("/v2/email/identities/{name}", _looking(email_identity)),
            web.get("/v2/email/configuration-sets/{name}", _looking(configuration_set)),
            web.get("/v2/email/configuration-sets/{name}/event-destinations", _looking(event_destinations)),
            *CONTROLS,
        ]
    )
    for mount in mounts:
        mount(app)
    return app


@asynccontextmanager
async def serve(simulator: Simulator, *, port: int = 0, mounts: Sequence[Mount] = ()) -> AsyncIterator[str]:
    """Serve the simulator until the block ends; yields its URL. Port 0 takes a free one."""
    try:
        async with serve_locally(application(simulator, mounts), port) as url:
            yield url
    finally:
        await simulator.aclose()


async def _send_email(request: web.Request) -> web.StreamResponse:
    async def send(body: bytes) -> msgspec.Struct:
        email = _decoded(_SEND_EMAIL, body)
        return SendEmailResponse(message_id=await request.app[SIMULATOR].send_email(email))

    return await _sending(request, send)


async def _send_bulk_email(request: web.Request) -> web.StreamResponse:
    async def send(body: bytes) -> msgspec.Struct:
        emails = _decoded(_SEND_BULK_EMAIL, body)
        results = await request.app[SIMULATOR].send_bulk_email(emails)
        return SendBulkEmailResponse(bulk_email_entry_results=results)

    return await _sending(request, send)


async def _sending(
    request: web.Request, send: Callable[[bytes], Awaitable[msgspec.Struct]]
) -> web.StreamResponse:
    """One sending request, with the faults of the transport around it."""
    faults = request.app[SIMULATOR].faults
    body = await request.read()
    if faults.plan.answer_seconds:
        await asyncio.sleep(faults.plan.answer_seconds)
    if faults.resets_before():
        return _reset(request)
    try:
        answer = await send(body)
    except SesError as error:
        return refusal(error)
    if faults.resets_after():
        return _reset(request)
    if faults.hangs_after():
        await request.app[STOPPING].wait()
        return _reset(request)
    return json_answer(answer)


async def _get_account(request: web.Request) -> web.Response:
    simulator = request.app[SIMULATOR]
    if simulator.faults.account_fails():
        return refusal(internal_failure())
    return json_answer(simulator.account_status())


async def _put_suppressed_reasons(request: web.Request) -> web.Response:
    async def put() -> dict[str, Any]:
        reasons = _decoded(_SUPPRESSED_REASONS, await request.read()).suppressed_reasons
        request.app[SIMULATOR].configure(suppressed_reasons=ALL_REASONS & set(reasons))
        return {}

    return await _answer(put())


async def _list_suppressed(request: web.Request) -> web.Response:
    async def page() -> msgspec.Struct:
        query = request.query
        given = {
            "since": query.get("StartDate"),
            "until": query.get("EndDate"),
            "page_size": query.get("PageSize"),
            "next_token": query.get("NextToken"),
            "reasons": query.getall("Reason", None),
        }
        try:
            known = {name: value for name, value in given.items() if value is not None}
            return request.app[SIMULATOR].suppression.page(msgspec.convert(known, Filter, strict=False))
        except msgspec.ValidationError as error:
            raise bad_request(str(error)) from None

    return await _answer(page())


async def _put_suppressed(request: web.Request) -> web.Response:
    async def put() -> dict[str, Any]:
        wanted = _decoded(_PUT_SUPPRESSED, await request.read())
        request.app[SIMULATOR].suppression.put(wanted.email_address, wanted.reason)
        return {}

    return await _answer(put())


async def _get_suppressed(request: web.Request) -> web.Response:
    async def get() -> msgspec.Struct:
        found = request.app[SIMULATOR].suppression.get(request.match_info["address"])
        return SuppressedDestinationAnswer(suppressed_destination=found)

    return await _answer(get())


async def _delete_suppressed(request: web.Request) -> web.Response:
    async def delete() -> dict[str, Any]:
        request.app[SIMULATOR].suppression.delete(request.match_info["address"])
        return {}

    return await _answer(delete())


async def _answer(work: Awaitable[Any]) -> web.Response:
    """What a call about the account answers, or SES's refusal of it."""
    try:
        return json_answer(await work)
    except SesError as error:
        return refusal(error)


def _looking(answer: Callable[[Account, str], Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A request that asks for a setting of the account by its name."""

    async def look(request: web.Request) -> web.Response:
        try:
            return json_answer(answer(request.app[SIMULATOR].usage.account, request.match_info["name"]))
        except SesError as error:
            return refusal(error)

    return look


def _decoded(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    try:
        return decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise bad_request(str(error)) from None


def _reset(request: web.Request) -> web.Response:
    """Break the connection; the response returned here reaches no client."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
