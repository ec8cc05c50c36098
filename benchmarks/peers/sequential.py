"""A sequential boto3 handler: one step after the other, one email after the other."""

import json
import logging
from typing import Any

from benchmarks.peers import steps

_log = logging.getLogger()
_log.setLevel(logging.INFO)


def deliver(email: dict[str, Any]) -> dict[str, str]:
    if steps.is_needless(email):
        return {"status": "needless"}
    steps.claim(email)
    if steps.is_suppressed(email) or steps.is_over_quota():
        steps.record(email, "failed")
        steps.tell(email, "failed")
        return {"status": "failed"}
    name = email["templateName"]
    template = steps.cached_template(name) or steps.compile_template(
        name, [steps.read_object(name, file) for file in steps.FILES]
    )
    steps.keep(email)
    message_id = steps.send(email, template)
    steps.record(email, "sent", message_id)
    steps.count()
    steps.tell(email, "sent")
    _log.info(json.dumps({"emailId": email["emailId"], "status": "sent"}))
    return {"status": "sent"}


def handler(event: dict[str, Any], context: Any) -> Any:  # noqa: ARG001 - Lambda's signature
    if "Records" not in event:
        return deliver(steps.read_email(event))
    failures = []
    for record in event["Records"]:
        try:
            deliver(steps.read_email(json.loads(record["body"])))
        except Exception:  # noqa: BLE001 - one email's trouble is no reason to fail the others
            _log.exception("an email failed")
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}
