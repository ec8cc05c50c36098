"""TemplateSeeder: CloudFormation calls it when the stack is created, updated or deleted; so may a person.

It is deployed alone, with the SDK of the Lambda runtime, and so imports nothing else of the engine. It also
answers what CloudFormation can't work out itself, the fingerprint of some settings: a function's version
carries it in its description, so that a changed parameter publishes a new one: see
docs/decisions/0017-parameters.md.

A starter template never touches one that the customer made their own. Each object that is put here carries
the MD5 of its content as metadata. S3 gives the same MD5 as the ETag of an object that was put in one piece
and is encrypted with SSE-S3, so both agree exactly as long as nobody has put anything else there:
https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
"""

import hashlib
import json
import logging
import mimetypes
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, cast
from urllib.request import Request, urlopen

from botocore.exceptions import ClientError
from botocore.session import get_session

# Lambda unpacks the zip here; beside `engine` lie the templates.
# In a checkout they lie one folder further up.
_PLACES = [folder / "starter_templates" for folder in Path(__file__).resolve().parents[2:4]]
_SOURCE = next((place for place in _PLACES if place.is_dir()), _PLACES[0])
_PHYSICAL_ID = "starter-templates"
_FINGERPRINT = "Custom::Fingerprint"
_SEEDED = "seeded-md5"

_log = logging.getLogger(__name__)
_log.setLevel(logging.INFO)

Outcome = Literal["created", "updated", "unchanged", "kept"]
"""What became of a template; `kept` is the customer's own version, left as it is."""


class ObjectStore(Protocol):
    """The two calls of an S3 client that seeding needs."""

    def head_object(self, *, Bucket: str, Key: str) -> Mapping[str, Any]: ...  # noqa: N803 -- S3's own names

    def put_object(self, **request: Any) -> Mapping[str, Any]: ...


def handler(event: dict[str, Any], context: Any) -> Any:
    """Seed, and answer whoever asked: CloudFormation over its URL, everybody else by the return value."""
    if "ResponseURL" not in event:
        return _seed()
    if event.get("ResourceType") == _FINGERPRINT:
        # The same for the same properties, and so for the same settings.
        settings = json.dumps(event["ResourceProperties"], sort_keys=True)
        fingerprint = hashlib.sha256(settings.encode()).hexdigest()[:16]
        _answer(event, {"Status": "SUCCESS", "Data": {"Fingerprint": fingerprint}})
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


def _seed() -> dict[Outcome, list[str]]:
    # botocore makes the client's methods at run time, so their types are said here.
    store = cast("ObjectStore", get_session().create_client("s3"))
    report = seed(store, os.environ["TEMPLATE_BUCKET"], _SOURCE)
    _log.info("Starter templates: %s", json.dumps(report))
    return report


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


def seed(store: ObjectStore, bucket: str, source: Path) -> dict[Outcome, list[str]]:
    """Copy every folder of `source` to `templates/{name}/` in `bucket`; a template counts as a whole."""
    report: dict[Outcome, list[str]] = {"created": [], "updated": [], "unchanged": [], "kept": []}
    for template in sorted(path for path in source.iterdir() if path.is_dir()):
        report[_seed_template(store, bucket, template)].append(template.name)
    return report


def _seed_template(store: ObjectStore, bucket: str, template: Path) -> Outcome:
    files = {
        f"templates/{template.name}/{path.relative_to(template).as_posix()}": path.read_bytes()
        for path in sorted(template.rglob("*"))
        if path.is_file()
    }
    etags: dict[str, str | None] = {}
    for key in files:
        try:
            found = store.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
            etags[key] = None
            continue
        etags[key] = found["ETag"].strip('"')
        if etags[key] != found.get("Metadata", {}).get(_SEEDED):
            return "kept"
    stale = {key: body for key, body in files.items() if etags[key] != _md5(body)}
    for key, body in stale.items():
        try:
            store.put_object(
                Bucket=bucket,
                Key=key,
                Body=body,
                ContentType=mimetypes.guess_type(key)[0] or "application/octet-stream",
                Metadata={_SEEDED: _md5(body)},
                # Only if the object is still what was looked at.
                **({"IfMatch": f'"{etags[key]}"'} if etags[key] else {"IfNoneMatch": "*"}),
            )
        except ClientError as error:
            # 412 when another object is there by now, 409 when a concurrent write is under way.
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in {409, 412}:
                return "kept"
            raise
    if not stale:
        return "unchanged"
    return "updated" if any(etags.values()) else "created"


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()
