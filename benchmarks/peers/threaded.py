"""A boto3 handler with thread pools: an email's questions at the same time, and a batch's emails."""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.peers import steps

_log = logging.getLogger()
_log.setLevel(logging.INFO)

# Two pools: an email that waits for its own steps in the pool it runs in would block it for good.
_emails = ThreadPoolExecutor(16, "email")
_steps = ThreadPoolExecutor(48, "step")


def deliver(email: dict[str, Any]) -> dict[str, str]:
    if steps.is_needless(email):
        return {"status": "needless"}
    claimed = _steps.submit(steps.claim, email)
    suppressed = _steps.submit(steps.is_suppressed, email)
    over_quota = _steps.submit(steps.is_over_quota)
    kept = _steps.submit(steps.keep, email)
    name = email["templateName"]
    template = steps.cached_template(name)
    if template is None:
        objects = [_steps.submit(steps.read_object, name, file) for file in steps.FILES]
        template = steps.compile_template(name, [found.result() for found in objects])
    claimed.result()
    if suppressed.result() or over_quota.result():
        steps.record(email, "failed")
        steps.tell(email, "failed")
        return {"status": "failed"}
    kept.result()
    message_id = steps.send(email, template)
    after = [
        _steps.submit(steps.record, email, "sent", message_id),
        _steps.submit(steps.count),
        _steps.submit(steps.tell, email, "sent"),
    ]
    for step in after:
        step.result()
    _log.info(json.dumps({"emailId": email["emailId"], "status": "sent"}))
    return {"status": "sent"}


def _try(record: dict[str, Any]) -> str | None:
    """The id of a record that failed."""
    try:
        deliver(steps.read_email(json.loads(record["body"])))
    except Exception:  # noqa: BLE001 - one email's trouble is no reason to fail the others
        _log.exception("an email failed")
        return str(record["messageId"])
    return None


def handler(event: dict[str, Any], context: Any) -> Any:  # noqa: ARG001 - Lambda's signature
    if "Records" not in event:
        return deliver(steps.read_email(event))
    failed = [record_id for record_id in _emails.map(_try, event["Records"]) if record_id]
    return {"batchItemFailures": [{"itemIdentifier": record_id} for record_id in failed]}
