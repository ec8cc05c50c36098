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

from benchmarks.bundle import MeasuredHandler
from benchmarks.fake_aws.cloud import serving

_TIMEOUT: Final = 30.0  # seconds; the sender's own time-out
_PATIENCE: Final = 60.0  # seconds until a function that says nothing is given up


class FunctionError(Exception):
    """The function failed; the message is what it said, and the end of its log."""


class Invocation(msgspec.Struct, frozen=True):
    """What an invocation answered. `seconds`: from handing over the event to the arrival of the answer."""

    body: Any
    seconds: float


class FunctionProcess:
    """One environment of a function. Invocations come one after the other, as Lambda has it."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._events: asyncio.Queue[bytes] = asyncio.Queue()
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._number = 0
        self._handed_over = self._answered = 0.0
        self._ended = ""  # why the process is no more
        self.started = asyncio.get_running_loop().time()
        self.ready: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.restored = asyncio.Event()
        self.process = psutil.Process()

    async def invoke(self, event: object) -> Invocation:
        """Raises FunctionError when the function raises or dies, or says nothing for a minute."""
        if self._ended:
            raise FunctionError(self._ended)
        self._answer = asyncio.get_running_loop().create_future()
        await self._events.put(msgspec.json.encode(event))
        try:
            async with asyncio.timeout(_PATIENCE):
                body = await self._answer
        except TimeoutError:
            raise FunctionError(f"no answer in {_PATIENCE:g} s\n{self._end_of_log()}") from None
        return Invocation(msgspec.json.decode(body), self._answered - self._handed_over)

    @property
    def init_seconds(self) -> float:
        """From the start of the process until it asked for work."""
        return self.ready.result() - self.started

    def cpu_seconds(self) -> float:
        """User and system time of the process so far, of all its threads."""
        times = self.process.cpu_times()
        return times.user + times.system

    def megabytes(self) -> float:
        """Resident memory."""
        return float(self.process.memory_info().rss) / 1024**2

    def log_size(self) -> int:
        """Bytes that the function has logged so far."""
        return self._log.stat().st_size

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer the Runtime API."""
        now = asyncio.get_running_loop().time()
        if request.path.endswith(("/restore/next", "/invocation/next")) and not self.ready.done():
            self.ready.set_result(now)
        if request.path.endswith("/restore/next"):
            await self.restored.wait()
            return web.Response()
        if request.path.endswith("/invocation/next"):
            return await self._next_event()
        if request.path.endswith("/response"):
            self._answered = now
            self._answer.set_result(await request.read())
        elif not request.path.endswith("/init/error"):  # after which the process ends
            self._answer.set_exception(FunctionError(f"{await request.text()}\n{self._end_of_log()}"))
        return web.Response(status=202)

    async def _next_event(self) -> web.Response:
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
        """Tell whoever waits that nothing more will come."""
        self._ended = f"the process ended with {code}\n{self._end_of_log()}"
        for waiting in (self.ready, self._answer):
            if not waiting.done():
                waiting.set_exception(FunctionError(self._ended))
                waiting.exception()  # seen, also when nobody waits
        # Requests that are still being served end, so that the server can close.
        self._events.put_nowait(b"")
        self.restored.set()

    def _end_of_log(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]


@asynccontextmanager
async def running(measured: MeasuredHandler, variables: Mapping[str, str]) -> AsyncIterator[FunctionProcess]:
    """A function that has been initialised and waits for work. Raises FunctionError if it does not start."""
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch, "log")
        function = FunctionProcess(log)
        async with serving(function.serve) as address:
            with log.open("wb") as output:  # noqa: ASYNC230 - before anything is timed
                process = await asyncio.create_subprocess_exec(
                    # Without `site`: on the path is what Lambda has on it, and no more.
                    sys.executable, "-S", "-m", "awslambdaric", measured.handler,
                    cwd=scratch,
                    env={
                        **variables,
                        **measured.variables,
                        "PYTHONPATH": ":".join(map(str, measured.path)),
                        "AWS_LAMBDA_RUNTIME_API": address,
                    },
                    stdout=output,
                    stderr=asyncio.subprocess.STDOUT,
                )  # fmt: skip
            function.process = psutil.Process(process.pid)
            watch = asyncio.create_task(_watch(process, function))
            try:
                await function.ready
                yield function
            finally:
                if process.returncode is None:
                    process.kill()
                await watch


async def _watch(process: asyncio.subprocess.Process, function: FunctionProcess) -> None:
    function.died(await process.wait())
