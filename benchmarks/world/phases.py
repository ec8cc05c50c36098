"""`python -m benchmarks.world.phases KIND SPAWNED`: one cold start in this process, split into phases.

SPAWNED: `time.time_ns()` of whoever started the process. The event comes on stdin. Prints seconds as JSON.
"""

import sys
import time

_entered = time.time_ns()

import importlib  # noqa: E402 - the interpreter's part ends above
import json  # noqa: E402 - as above
import os  # noqa: E402 - as above

# What is imported, and which module holds the handler: opening the engine's clients is all that is left of
# the handler's own import.
KINDS = {
    "engine": (("engine.composition", "engine.runtime"), "engine.handlers.email_sender"),
    "naive aioboto3": (("benchmarks.peers.naive_aioboto3",), "benchmarks.peers.naive_aioboto3"),
    "bare": ((), "benchmarks.peers.bare"),
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
    imports, module = KINDS[kind]
    if kind == "engine":
        from engine.cold_start import quick_imports  # noqa: PLC0415 - part of what is timed

        with quick_imports():
            for name in imports:
                importlib.import_module(name)
    else:
        for name in imports:
            importlib.import_module(name)
    imported = time.perf_counter()
    handlers = importlib.import_module(module)
    opened = time.perf_counter()
    handlers.handler(event, Context())
    answered = time.perf_counter()
    clients = opened - imported + getattr(handlers, "spent", {}).get("clients", 0.0)
    return {
        "interpreter": (_entered - spawned) / 1e9,
        "imports": imported - began,
        "clients": clients,
        "first": answered - imported - clients,
    }


if __name__ == "__main__":
    spans = main(sys.argv[1], int(sys.argv[2]))
    sys.stderr.flush()
    sys.stdout.write("\n" + json.dumps(spans) + "\n")
    sys.stdout.flush()
    os._exit(0)  # nothing to wait for, and no client to close
