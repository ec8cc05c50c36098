"""The AWS emulator, started and stopped: MiniStack, in its own environment (`make .venv-emulator/.ready`)."""

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import msgspec

PROJECT = Path(__file__).resolve().parents[3]
_PYTHON = PROJECT / ".venv-emulator" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
_PROCESS = Path(__file__).with_name("emulator_process.py")
# What a process needs of the caller's environment; nothing that says where AWS is.
_INHERITED = ("PATH", "HOME", "LANG", "SYSTEMROOT")

_SECONDS_TO_START = 60
_SECONDS_TO_STOP = 5
_SECONDS_TO_SAVE = 60
_LOG_LINES_SHOWN = 20


class EmulatorError(RuntimeError):
    """The emulator can't be started; the message says what to do."""


class Emulator(msgspec.Struct, frozen=True, kw_only=True):
    """A running emulator. `environment` is what a client of AWS needs to reach it.

    `restart` stops it, with every process of a function, and starts it again at the same address; it comes
    back empty unless it keeps its state. Raises `EmulatorError`.
    """

    endpoint: str
    region: str
    log: Path
    restart: Callable[[], Awaitable[None]]

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@asynccontextmanager
async def running_emulator(
    folder: Path,
    *,
    port: int | None = None,
    region: str = "us-east-1",
    functions_environment: Mapping[str, str] | None = None,
    async_environments: int = 2,
    async_retry_seconds: float = 1.0,
    keeps_state: bool = False,
) -> AsyncIterator[Emulator]:
    """Start an empty emulator; it is stopped when the block ends, however it ends.

    `folder` is emptied, and then holds the log and what the functions unpack. `port` None takes a free one.
    `functions_environment` is what differs between this machine and AWS: every function gets it, and its own
    configuration overrides it, so that the stack stays the same. At most `async_environments` of one function
    serve EventBridge and SNS at a time; a failed event is retried after `async_retry_seconds` and twice that.
    `keeps_state`: a restart finds tables, queues, objects, functions and undelivered events as they were.
    Raises `EmulatorError` when it is not installed, the port is taken, or it does not come up.
    """
    if not _PYTHON.exists():
        raise EmulatorError("The AWS emulator is not installed; call `make .venv-emulator/.ready`.")
    try:
        with socket.create_server(("127.0.0.1", port or 0)) as server:
            port = server.getsockname()[1]
    except OSError as error:
        raise EmulatorError(
            f"The AWS emulator can't listen on 127.0.0.1:{port} ({error.strerror}). "
            "Stop what listens there, or choose another port."
        ) from error
    scratch, log = _empty_folder(folder)
    environment = {
        **{name: os.environ[name] for name in _INHERITED if name in os.environ},
        "TMPDIR": str(scratch),
        "STATE_DIR": str(scratch / "state"),
        "S3_DATA_DIR": str(scratch / "s3"),
        **(dict.fromkeys(("PERSIST_STATE", "S3_PERSIST"), "1") if keeps_state else {}),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": region,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "ASYNC_ENVIRONMENTS": str(async_environments),
        "LAMBDA_ASYNC_RETRY_BASE_SECONDS": str(async_retry_seconds),
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        **(functions_environment or {}),
    }
    process = _Process(environment, log)

    async def restart() -> None:
        await process.stop(_SECONDS_TO_SAVE)
        for unpacked in scratch.glob("ministack-lambda-*"):
            shutil.rmtree(unpacked, ignore_errors=True)
        await process.start()
        await _wait_until_healthy(emulator, process.running)

    emulator = Emulator(endpoint=f"http://127.0.0.1:{port}", region=region, log=log, restart=restart)
    await process.start()
    try:
        await _wait_until_healthy(emulator, process.running)
        yield emulator
    finally:
        await asyncio.shield(process.stop(_SECONDS_TO_STOP))
        shutil.rmtree(scratch, ignore_errors=True)


def _empty_folder(folder: Path) -> tuple[Path, Path]:
    folder = folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    scratch = folder / "tmp"
    scratch.mkdir(parents=True)
    return scratch, folder / "emulator.log"


class _Process:
    """The emulator's process, which may be another one after each start."""

    running: asyncio.subprocess.Process

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._environment = environment
        self._log = log

    async def start(self) -> None:
        with self._log.open("ab") as output:
            # -P keeps this folder, with its module names, off the emulator's path. In a session of its own it
            # gets no Ctrl-C: it must run until what depends on it has stopped.
            self.running = await asyncio.create_subprocess_exec(
                _PYTHON,
                "-P",
                _PROCESS,
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=self._environment,
            )

    async def stop(self, seconds: float) -> None:
        """Ask the emulator to stop, then make sure that nothing of its process group is left."""
        process = self.running
        if process.returncode is None:
            process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), seconds)
        if sys.platform == "win32":
            if process.returncode is None:
                process.kill()
        else:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _wait_until_healthy(emulator: Emulator, process: asyncio.subprocess.Process) -> None:
    health = asyncio.create_task(_healthy(emulator.endpoint))
    exited = asyncio.create_task(process.wait())
    try:
        await asyncio.wait({health, exited}, timeout=_SECONDS_TO_START, return_when=asyncio.FIRST_COMPLETED)
        if health.done():
            return
    finally:
        health.cancel()
        exited.cancel()
    happened = (
        f"did not answer within {_SECONDS_TO_START} s"
        if process.returncode is None
        else f"stopped at once (exit code {process.returncode})"
    )
    last = "\n".join(emulator.log.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:])
    raise EmulatorError(f"The AWS emulator {happened}. The end of {emulator.log}:\n{last}")


async def _healthy(endpoint: str) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            with suppress(aiohttp.ClientConnectionError):
                async with session.get(f"{endpoint}/_ministack/health") as answer:
                    if answer.ok:
                        return
            await asyncio.sleep(0.05)
