"""Starter templates into the customer's bucket, without ever touching one that the customer made their own.

Each object that is put here carries the MD5 of its content as metadata. S3 gives the same MD5 as the ETag of
an object that was put in one piece and is encrypted with SSE-S3, so metadata and ETag agree exactly as long
as nobody has put anything else there: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
"""

import hashlib
import mimetypes
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from botocore.exceptions import ClientError
from botocore.session import get_session

_SEEDED = "seeded-md5"


class ObjectStore(Protocol):
    """The two calls of an S3 client that seeding needs."""

    def head_object(self, *, Bucket: str, Key: str) -> Mapping[str, Any]: ...  # noqa: N803 -- S3's own names

    def put_object(self, **request: Any) -> Mapping[str, Any]: ...


@dataclass(frozen=True, kw_only=True)
class SeedingReport:
    """What became of each template, by name. `kept` are the customer's own versions, left as they are."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Existing:
    etag: str
    seeded_md5: str | None

    @property
    def is_ours(self) -> bool:
        return self.etag == self.seeded_md5


def seed_bucket(bucket: str, source: Path) -> dict[str, list[str]]:
    """`seed` with an S3 client from the environment: botocore's, which the Lambda runtime brings along."""
    # botocore makes the client's methods at run time, so their types are said here.
    store = cast("ObjectStore", get_session().create_client("s3"))
    return asdict(seed(store, bucket, source))


def seed(store: ObjectStore, bucket: str, source: Path) -> SeedingReport:
    """Copy every folder of `source` to `templates/{name}/` in `bucket`; a template counts as a whole."""
    report = SeedingReport()
    for template in sorted(path for path in source.iterdir() if path.is_dir()):
        outcome = _seed_template(store, bucket, template)
        getattr(report, outcome).append(template.name)
    return report


def _seed_template(store: ObjectStore, bucket: str, template: Path) -> str:
    files = dict(_files(template))
    existing = {key: _look_up(store, bucket, key) for key in files}
    present = [found for found in existing.values() if found is not None]
    if any(not found.is_ours for found in present):
        return "kept"
    stale = {
        key: body
        for key, body in files.items()
        if (found := existing[key]) is None or found.etag != _md5(body)
    }
    for key, body in stale.items():
        if not _put(store, bucket, key, body, existing[key]):
            return "kept"
    if not stale:
        return "unchanged"
    return "updated" if present else "created"


def _files(template: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(template.rglob("*")):
        if path.is_file():
            yield f"templates/{template.name}/{path.relative_to(template).as_posix()}", path.read_bytes()


def _look_up(store: ObjectStore, bucket: str, key: str) -> _Existing | None:
    try:
        found = store.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise
    return _Existing(etag=found["ETag"].strip('"'), seeded_md5=found.get("Metadata", {}).get(_SEEDED))


def _put(store: ObjectStore, bucket: str, key: str, body: bytes, replaces: _Existing | None) -> bool:
    """Put `body` only if the object is still what was looked at; False when somebody was faster."""
    condition = {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": f'"{replaces.etag}"'}
    try:
        store.put_object(
            Bucket=bucket,
            Key=key,
            Body=body,
            ContentType=mimetypes.guess_type(key)[0] or "application/octet-stream",
            Metadata={_SEEDED: _md5(body)},
            **condition,
        )
    except ClientError as error:
        # 412 when another object is there by now, 409 when a concurrent write is under way.
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in {409, 412}:
            return False
        raise
    return True


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()
