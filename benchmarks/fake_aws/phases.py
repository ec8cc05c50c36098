"""`python -m benchmarks.fake_aws.phases KIND SPAWNED`: one cold start in this process, split into phases.

SPAWNED: `time.time_ns()` of whoever started the process. The event comes on stdin. Prints seconds as JSON.
"""

import sys
import time

_entered = time.time_ns()

import importlib  # noqa: E402 - the interpreter's part ends above
import json  # noqa: E402 - as above
import os  # noqa: E402 - as above
from collections.abc import Callable  # noqa: E402 - as above
from typing import Any  # noqa: E402 - as above

# Which module holds the handler.
KINDS = {
    "engine": "engine.handlers.email_sender",
    "naive aioboto3": "benchmarks.peers.naive_aioboto3",
    "bare": "benchmarks.peers.bare",
}


class Context:
    """What handlers read of Lambda's."""

    aws_request_id = "request-1"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 30_000


def main(kind: str, spawned: int) -> dict[str, float]:
    event = json.loads(sys.stdin.buffer.read())
    began = time.perf_counter()
    prepared = _time_prepare() if kind == "engine" else {"clients": 0.0}
    handlers = importlib.import_module(KINDS[kind])
    imported = time.perf_counter()
    handlers.handler(event, Context())
    answered = time.perf_counter()
    opened = getattr(handlers, "spent", {}).get("clients", 0.0)
    return {
        "interpreter": (_entered - spawned) / 1e9,
        "imports": imported - began - prepared["clients"],
        "clients": prepared["clients"] + opened,
        "first": answered - imported - opened,
    }


def _time_prepare() -> dict[str, float]:
    """The engine opens its clients when its handler is imported; how long that took will stand in here."""
    from engine.bootstrap.runtime import Environment  # noqa: PLC0415 - part of what is timed

    prepare: Callable[[Any], None] = Environment.prepare
    spent = {"clients": 0.0}

    def timed(environment: Any) -> None:
        began = time.perf_counter()
        prepare(environment)
        spent["clients"] += time.perf_counter() - began

    setattr(Environment, "prepare", timed)  # noqa: B010 - mypy lets nobody replace a method otherwise
    return spent


if __name__ == "__main__":
    spans = main(sys.argv[1], int(sys.argv[2]))
    sys.stderr.flush()
    sys.stdout.write("\n" + json.dumps(spans) + "\n")
    sys.stdout.flush()
    os._exit(0)  # nothing to wait for, and no client to close
