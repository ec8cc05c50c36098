"""A Lambda function at work: a process under Lambda's own runtime client, fed by a Runtime API of ours.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil
from aiohttp import web

from benchmarks.fake_aws.cores import on_any_core, on_the_functions_core
from benchmarks.fake_aws.web import serving

ROOT: Final = Path(__file__).resolve().parents[2]
_TIMEOUT: Final = 30.0  # seconds; the sender's own time-out
_PATIENCE: Final = 60.0  # seconds until an invocation that says nothing is given up


class FunctionError(Exception):
    """The function failed; the message is what it said, and the end of its log."""


class Answer(msgspec.Struct, frozen=True):
    """What an invocation answered. `seconds`: from handing over the event to the arrival of the answer."""

    body: Any
    seconds: float


class Function:
    """One environment of a function. Invocations come one after the other, as Lambda has it."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._events: asyncio.Queue[bytes] = asyncio.Queue()
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._ended = ""  # why the process is no more
        self._number = 0
        self._handed_over = 0.0
        self._answered = 0.0
        self.waiting = asyncio.Event()
        self.first_poll = 0.0  # loop time at which the function first asked for work: its init is over
        self.restored = asyncio.Event()
        self.process: psutil.Process | None = None

    async def invoke(self, event: object) -> Answer:
        """Raises FunctionError when the function raises or dies, or never came up."""
        if self._ended:
            raise FunctionError(self._ended)
        self._answer = asyncio.get_running_loop().create_future()
        await self._events.put(msgspec.json.encode(event))
        try:
            async with asyncio.timeout(_PATIENCE):
                body = await self._answer
        except TimeoutError:
            raise FunctionError(f"no answer in {_PATIENCE:g} s\n{self._end_of_log()}") from None
        return Answer(msgspec.json.decode(body), self._answered - self._handed_over)

    def cpu_seconds(self) -> float:
        """User and system time of the process so far, of all its threads."""
        assert self.process is not None  # noqa: S101 - set before anyone holds the function
        times = self.process.cpu_times()
        return times.user + times.system

    def memory(self) -> int:
        """Resident bytes."""
        assert self.process is not None  # noqa: S101 - as above
        return int(self.process.memory_info().rss)

    def log_size(self) -> int:
        """Bytes that the function has logged so far."""
        return self._log.stat().st_size

    # -- the Runtime API ---------------------------------------------------------------------------------

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        now = asyncio.get_running_loop().time()
        if request.path.endswith("/restore/next"):
            self.waiting.set()
            await self.restored.wait()
            return web.Response()
        if request.path.endswith("/invocation/next"):
            return await self._next(now)
        self._answered = now
        body = await request.read()
        if request.path.endswith("/response"):
            self._answer.set_result(body)
        else:
            self._fail(body.decode())
        return web.Response(status=202)

    async def _next(self, now: float) -> web.Response:
        self.first_poll = self.first_poll or now
        self.waiting.set()
        body = await self._events.get()
        self._number += 1
        headers = {
            "Lambda-Runtime-Aws-Request-Id": f"request-{self._number}",
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + _TIMEOUT) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:123456789012:function:bench",
            "Lambda-Runtime-Trace-Id": f"Root=1-{self._number:08x}-000000000000000000000000",
        }
        self._handed_over = asyncio.get_running_loop().time()
        return web.Response(body=body, headers=headers, content_type="application/json")

    def died(self, code: int) -> None:
        self._ended = f"the process ended with {code}\n{self._end_of_log()}"
        self._fail(f"the process ended with {code}")
        self.waiting.set()
        # Whoever is still being served is let go, so that the server can close.
        self.restored.set()
        self._events.put_nowait(b"")

    def _fail(self, why: str) -> None:
        if self._number and not self._answer.done():  # somebody waits for it
            self._answer.set_exception(FunctionError(f"{why}\n{self._end_of_log()}"))

    def _end_of_log(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]


@asynccontextmanager
async def running(
    handler: str, variables: Mapping[str, str], *, options: tuple[str, ...] = (), own_core: bool = True
) -> AsyncIterator[Function]:
    """A function that has been initialised and waits for work.

    `options` go to the interpreter. Without `own_core` it may use all of the machine.
    """
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch, "log")
        function = Function(log)
        async with serving(function.serve) as address:
            with log.open("wb") as output:  # noqa: ASYNC230 - before anything is timed
                process = await asyncio.create_subprocess_exec(
                    sys.executable, *options, "-m", "awslambdaric", handler,
                    cwd=ROOT,
                    env={**variables, "AWS_LAMBDA_RUNTIME_API": address},
                    stdout=output,
                    stderr=asyncio.subprocess.STDOUT,
                )  # fmt: skip
            function.process = psutil.Process(process.pid)
            keep = on_the_functions_core if own_core else on_any_core
            keep(function.process)
            watch = asyncio.create_task(_watch(process, function))
            try:
                await function.waiting.wait()
                yield function
            finally:
                if process.returncode is None:
                    process.kill()
                await watch


async def _watch(process: asyncio.subprocess.Process, function: Function) -> None:
    function.died(await process.wait())
