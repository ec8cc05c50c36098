"""A proxy between the functions and AWS or SES that cuts, delays and corrupts connections, by dice.

It may also kill the process at the other end of a connection, which so dies exactly while its call is under
way. Calls are HTTP: what the network does to bytes is done to a request or its answer as a whole.
"""

import asyncio
import base64
import random
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Literal

import aiohttp
from aiohttp import web
from msgspec import Struct
from multidict import CIMultiDict
from yarl import URL

from engine.local.web.server import local_application, serve_locally

Fault = Literal[
    "cut before",  # the request never arrives
    "cut after",  # it arrives, its answer does not
    "truncated",  # the answer ends in the middle
    "corrupted",  # a bit of the answer is another one
    "late request",  # it arrives late, perhaps when nobody waits for it any more
    "late answer",
    "killed before",  # the caller dies as its request leaves
    "killed after",  # ... as the answer comes
]
# Seconds: the SDK gives up on AWS after five and on SES after ten.
_LATE: Final = (0.2, 12.0)
_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding"})
_WRITTEN_BY_US: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_MOST_BYTES: Final = 80 * 1024 * 1024


class Exchange(Struct, frozen=True, kw_only=True):
    """One call, as the proxy saw it. `status` is None where it never arrived; `answer` as it was sent."""

    operation: str
    request: bytes
    fault: Fault | None
    status: int | None = None
    answer: bytes = b""


class _Answer(Struct, frozen=True):
    status: int
    headers: CIMultiDict[str]
    body: bytes


@dataclass
class Proxy:
    """`odds`: how likely each fault is; none as long as it is empty. `upstream` may be set when it is known.

    `kill` gets the port of a connection's other end, and says whether there was a process to kill. `watch`
    hears of every call that has ended.
    """

    dice: random.Random
    kill: Callable[[int], bool]
    watch: Callable[[Exchange], None]
    upstream: str = ""
    odds: dict[Fault, float] = field(default_factory=dict)
    struck: Counter[Fault] = field(default_factory=Counter)
    calls: int = 0
    _session: aiohttp.ClientSession = field(init=False)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Listen until the block ends; yields the URL."""
        app = local_application(client_max_size=_MOST_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        connector = aiohttp.TCPConnector(limit=0)
        async with (
            aiohttp.ClientSession(auto_decompress=False, connector=connector) as self._session,
            serve_locally(app) as url,
        ):
            yield url

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        operation = operation_of(request)
        fault = self._roll()
        self.calls += 1
        if fault == "killed before" and not self.kill(_port(request)):
            fault = None
        if fault in {"cut before", "killed before"}:
            self._seen(Exchange(operation=operation, request=body, fault=fault))
            return _cut(request)
        if fault == "late request":
            await asyncio.sleep(self.dice.uniform(*_LATE))
        try:
            answer = await self._forward(request, body)
        except (aiohttp.ClientError, OSError):  # it is being restarted
            return _cut(request)
        if fault == "late answer":
            await asyncio.sleep(self.dice.uniform(*_LATE))
        if fault == "killed after" and not self.kill(_port(request)):
            fault = None
        self._seen(
            Exchange(operation=operation, request=body, fault=fault, status=answer.status, answer=answer.body)
        )
        match fault:
            case "cut after" | "killed after":
                return _cut(request)
            case "truncated":
                return await _truncated(request, answer)
            case "corrupted":
                answer = corrupted(answer, operation, self.dice)
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    def _roll(self) -> Fault | None:
        roll = self.dice.random()
        for fault, odds in self.odds.items():
            roll -= odds
            if roll < 0:
                return fault
        return None

    def _seen(self, exchange: Exchange) -> None:
        if exchange.fault:
            self.struck[exchange.fault] += 1
        self.watch(exchange)

    async def _forward(self, request: web.Request, body: bytes) -> _Answer:
        headers = CIMultiDict(request.headers)
        headers.popall("Transfer-Encoding", None)
        async with self._session.request(
            request.method,
            URL(self.upstream + request.raw_path, encoded=True),
            data=body,
            headers=headers,
            skip_auto_headers=_WRITTEN_BY_US,
            allow_redirects=False,
        ) as answer:
            kept = CIMultiDict(
                (name, value) for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP
            )
            return _Answer(answer.status, kept, await answer.read())


def operation_of(request: web.Request) -> str:
    """As `DynamoDB_20120810.PutItem`, or method and path where no header tells."""
    return request.headers.get("X-Amz-Target") or f"{request.method} {request.path}"


def corrupted(answer: _Answer, operation: str, dice: random.Random) -> _Answer:
    """The answer with one bit turned.

    Connections to AWS are encrypted, so that such a bit ends a connection and never makes another answer of
    one. Here it has to be noticed otherwise: DynamoDB's and S3's answers have a checksum, which the SDK
    checks (the emulator's S3 leaves it out, so it is added); in other answers the bit is one that no text in
    UTF-8 has there.
    """
    if not answer.body:
        return answer
    body, headers, place = bytearray(answer.body), answer.headers.copy(), dice.randrange(len(answer.body))
    if operation.startswith("GET /") and "email" not in operation:
        checksum = zlib.crc32(answer.body).to_bytes(4)
        headers["x-amz-checksum-crc32"] = base64.b64encode(checksum).decode()
    body[place] ^= (
        1 << dice.randrange(8) if "x-amz-crc32" in headers or "x-amz-checksum-crc32" in headers else 128
    )
    return _Answer(answer.status, headers, bytes(body))


def _port(request: web.Request) -> int:
    """Of the connection's other end; 0 where it has gone."""
    name = request.transport.get_extra_info("peername") if request.transport else None
    return name[1] if name else 0


def _cut(request: web.Request) -> web.Response:
    """Break the connection; the response returned here reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _truncated(request: web.Request, answer: _Answer) -> web.StreamResponse:
    """The head, half of the body, and nothing more."""
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_length = len(answer.body)
    with suppress(ConnectionError):
        await response.prepare(request)
        await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
