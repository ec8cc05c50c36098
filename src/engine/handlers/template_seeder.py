"""TemplateSeeder: CloudFormation calls it when the stack is created, updated or deleted; so may a person.

It is deployed alone, with the SDK of the Lambda runtime, and so imports nothing else of the engine. It also
answers what CloudFormation can't work out itself, the fingerprint of some settings: a function's version
carries it in its description, so that a changed parameter publishes a new one: see
docs/decisions/0017-parameters.md.
"""

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from engine.aws import starter_templates

# Lambda unpacks the zip here; beside `engine` lie the templates.
# In a checkout they lie one folder further up.
_PLACES = [folder / "starter_templates" for folder in Path(__file__).resolve().parents[2:4]]
_SOURCE = next((place for place in _PLACES if place.is_dir()), _PLACES[0])
_PHYSICAL_ID = "starter-templates"
_FINGERPRINT = "Custom::Fingerprint"

_log = logging.getLogger(__name__)
_log.setLevel(logging.INFO)


def handler(event: dict[str, Any], context: Any) -> Any:
    """Seed, and answer whoever asked: CloudFormation over its URL, everybody else by the return value."""
    if "ResponseURL" not in event:
        return _seed()
    if event.get("ResourceType") == _FINGERPRINT:
        _answer(event, {"Status": "SUCCESS", "Data": {"Fingerprint": _fingerprint(event)}})
        return {}
    try:
        # The bucket and what is in it stay when the stack goes.
        report = {} if event["RequestType"] == "Delete" else _seed()
    except Exception as error:  # noqa: BLE001 -- CloudFormation waits for an answer, whatever happened
        _log.exception("Seeding the starter templates failed")
        _answer(
            event,
            {"Status": "FAILED", "Reason": f"{type(error).__name__}: {error}; see {context.log_stream_name}"},
        )
        return {}
    _answer(
        event, {"Status": "SUCCESS", "Data": {outcome: ",".join(names) for outcome, names in report.items()}}
    )
    return report


def _seed() -> dict[starter_templates.Outcome, list[str]]:
    report = starter_templates.seed_bucket(os.environ["TEMPLATE_BUCKET"], _SOURCE)
    _log.info("Starter templates: %s", json.dumps(report))
    return report


def _fingerprint(event: dict[str, Any]) -> str:
    """The same for the same properties, and so for the same settings."""
    return hashlib.sha256(json.dumps(event["ResourceProperties"], sort_keys=True).encode()).hexdigest()[:16]


def _answer(event: dict[str, Any], outcome: dict[str, Any]) -> None:
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
    body = json.dumps(
        {
            "PhysicalResourceId": event.get("PhysicalResourceId", _PHYSICAL_ID),
            "StackId": event["StackId"],
            "RequestId": event["RequestId"],
            "LogicalResourceId": event["LogicalResourceId"],
            **outcome,
        }
    ).encode()
    # The signature of the URL covers an empty content type.
    request = Request(event["ResponseURL"], data=body, method="PUT", headers={"Content-Type": ""})  # noqa: S310 -- the address comes from CloudFormation
    with urlopen(request, timeout=30):  # noqa: S310 -- as above
        pass
