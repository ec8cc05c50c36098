"""Starter templates into the customer's bucket, without ever touching one that the customer made their own.

Each object that is put here carries the MD5 of its content as metadata. S3 gives the same MD5 as the ETag of
an object that was put in one piece and is encrypted with SSE-S3, so metadata and ETag agree exactly as long
as nobody has put anything else there: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
"""

import hashlib
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from botocore.exceptions import ClientError
from botocore.session import get_session

_SEEDED = "seeded-md5"

Outcome = Literal["created", "updated", "unchanged", "kept"]
"""What became of a template; `kept` is the customer's own version, left as it is."""


class ObjectStore(Protocol):
    """The two calls of an S3 client that seeding needs."""

    def head_object(self, *, Bucket: str, Key: str) -> Mapping[str, Any]: ...  # noqa: N803 -- S3's own names

    def put_object(self, **request: Any) -> Mapping[str, Any]: ...


def seed_bucket(bucket: str, source: Path) -> dict[Outcome, list[str]]:
    """`seed` with an S3 client from the environment: botocore's, which the Lambda runtime brings along."""
    # botocore makes the client's methods at run time, so their types are said here.
    return seed(cast("ObjectStore", get_session().create_client("s3")), bucket, source)


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
