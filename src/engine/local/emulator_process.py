"""The emulator's own process: MiniStack, with the queue that AWS has before asynchronous invocations.

Started by `engine.local.emulator` with the Python of `.venv-emulator`: nothing of the engine can be imported.

MiniStack 1.5.33 runs a function for EventBridge and SNS once, in a thread of its own: when the function fails
or is throttled the event is gone, and a burst starts one process for each event. Lambda queues the event,
invokes as concurrency allows, retries a failed one twice, and hands it to the on-failure destination. Two
functions of MiniStack are replaced to do the same. LAMBDA_ASYNC_RETRY_BASE_SECONDS is the first delay; on AWS
it is a minute. A third is wrapped to take a number that a template's parameter gives as text, as AWS does. A
fourth hands SES v2 on to AWS_ENDPOINT_URL_SESV2, where the SES simulator answers, so that one endpoint is all
that a client of this AWS needs to know.

With PERSIST_STATE=1 MiniStack writes its state when it stops and reads it when it starts. What waits in the
queue here is kept with it, in a file of its own.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

# MiniStack is installed in the emulator's environment only, which no type checker of ours sees.
_lambda: Any = import_module("ministack.services.lambda_svc")
_eventbridge: Any = import_module("ministack.services.eventbridge")
_sns: Any = import_module("ministack.services.sns")
_app: Any = import_module("ministack.app")

_log = logging.getLogger("async-invocations")

_THROTTLE_DELAY = 0.2
_RETRY_DELAY = float(os.environ["LAMBDA_ASYNC_RETRY_BASE_SECONDS"])
_ENVIRONMENTS = int(os.environ["ASYNC_ENVIRONMENTS"])
_KEPT = Path(os.environ["STATE_DIR"]) / "async-invocations.json"
_numbers = count()


@dataclass(frozen=True)
class _Invocation:
    number: int
    arn: str
    function: str
    record: dict[str, Any]
    event: dict[str, Any]
    retries: int
    on_failure: str | None
    attempt: int = 0

    def run(self) -> None:
        result = _lambda._execute_function_with_config_scope(self.record, self.event)
        if result.get("throttle"):
            _queue.later(self, _THROTTLE_DELAY)
        elif not result.get("error"):
            _log.info("%s done", self.function)
            _queue.done(self)
        elif self.attempt < self.retries:
            self._report(result, "will be retried")
            _queue.later(replace(self, attempt=self.attempt + 1), _RETRY_DELAY * 2**self.attempt)
        elif self.on_failure:
            self._report(result, f"goes to {self.on_failure}")
            _lambda._run_with_function_config_scope(
                self.record, _lambda._route_async_failure, self.on_failure, self.function, self.event, result
            )
            _queue.done(self)
        else:
            self._report(result, "is lost, for want of an on-failure destination")
            _queue.done(self)

    def _report(self, result: dict[str, Any], consequence: str) -> None:
        _log.warning(
            "%s failed (attempt %d), the event %s: %s\n%s",
            self.function,
            self.attempt + 1,
            consequence,
            result.get("body"),
            result.get("log", ""),
        )


class _Queue:
    """One pool of threads for each function; invocations beyond it wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._waiting: dict[int, _Invocation] = {}  # all that is not done, those under way included

    def put(self, invocation: _Invocation) -> None:
        with self._lock:
            self._waiting[invocation.number] = invocation
            pool = self._pools.get(invocation.function)
            if pool is None:
                pool = ThreadPoolExecutor(_ENVIRONMENTS, thread_name_prefix=invocation.function)
                self._pools[invocation.function] = pool
        pool.submit(self._run, invocation)

    def done(self, invocation: _Invocation) -> None:
        with self._lock:
            del self._waiting[invocation.number]

    def waiting(self) -> list[_Invocation]:
        with self._lock:
            return [*self._waiting.values()]

    def later(self, invocation: _Invocation, seconds: float) -> None:
        timer = threading.Timer(seconds, self.put, [invocation])
        timer.daemon = True
        timer.start()

    @staticmethod
    def _run(invocation: _Invocation) -> None:
        try:
            invocation.run()
        except Exception:  # noqa: BLE001 -- a pool would swallow it
            _log.exception("Invoking %s failed", invocation.function)


_queue = _Queue()


def _accept(arn: str, event: dict[str, Any], attempt: int = 0) -> None:
    func, config, name = _lambda._get_func_record_for_ref(arn)
    if not func or not config:
        _log.warning("There is no function %s", arn)
        return
    base, _, _ = _lambda._get_base_func_record_for_ref(arn)
    _, qualifier = _lambda._lambda_function_name_and_qualifier_from_arn(arn)
    settings = _lambda._event_invoke_config(base, qualifier) or {}
    destination = settings.get("DestinationConfig") or {}
    _queue.put(
        _Invocation(
            number=next(_numbers),
            arn=arn,
            function=name,
            record=_lambda._execution_record_for_config(func, config),
            event=event,
            retries=int(settings.get("MaximumRetryAttempts", 2)),
            on_failure=(destination.get("OnFailure") or {}).get("Destination"),
            attempt=attempt,
        )
    )


def _from_event_bridge(arn: str, payload: str) -> None:
    _accept(arn, json.loads(payload))


def _from_sns(endpoint: str, envelope: str, _topic_arn: str, subscription_arn: str, *_: Any) -> None:
    record = {
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription_arn,
        "EventSource": "aws:sns",
        "Sns": json.loads(envelope),
    }
    _accept(endpoint, {"Records": [record]})


_concurrency_of_mapping = _lambda._sqs_esm_concurrency


def _concurrency(mapping: dict[str, Any], *others: Any) -> int:
    scaling = mapping.get("ScalingConfig") or {}
    if "MaximumConcurrency" in scaling:
        scaling["MaximumConcurrency"] = int(scaling["MaximumConcurrency"])
    limit: int = _concurrency_of_mapping(mapping, *others)
    return limit


async def _ses(
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    query: dict[str, list[str]],
    _request_id: str,
) -> tuple[int, dict[str, str], bytes] | None:
    if not path.startswith("/v2/email"):
        return None
    address = f"{os.environ['AWS_ENDPOINT_URL_SESV2']}{path}?{urlencode(query, doseq=True)}"
    kept = {name: value for name, value in headers.items() if name.lower() == "content-type"}
    request = urllib.request.Request(address, body or None, kept, method=method)  # noqa: S310 -- of this machine

    def send() -> tuple[int, dict[str, str], bytes]:
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310 -- as above
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    return await asyncio.to_thread(send)


_save_all = _app.save_all
_load_all = _app._load_persisted_state


def _save_with_queue(services: dict[str, Any]) -> None:
    """The queue first: what is done while the rest is written comes again, and nothing is in neither."""
    kept = [(waiting.arn, waiting.event, waiting.attempt) for waiting in _queue.waiting()]
    _KEPT.parent.mkdir(parents=True, exist_ok=True)
    _KEPT.write_text(json.dumps(kept))
    _save_all(services)


def _load_with_queue() -> None:
    _load_all()
    if _KEPT.exists():
        for arn, event, attempt in json.loads(_KEPT.read_text()):
            _accept(arn, event, attempt)


def _stop_with_parent() -> None:
    """Stop when the parent ends, however it ends: standard input is a pipe that it holds open."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    _eventbridge._dispatch_to_lambda = _from_event_bridge
    _sns._deliver_to_lambda = _from_sns
    _lambda._sqs_esm_concurrency = _concurrency
    if "AWS_ENDPOINT_URL_SESV2" in os.environ:
        _app._handle_ses_v2_request = _ses
    _app.save_all = _save_with_queue
    _app._load_persisted_state = _load_with_queue
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    try:
        _app.main()
    finally:
        os._exit(0)  # without waiting for invocations: an environment of AWS dies with its machine, too


if __name__ == "__main__":
    main()
