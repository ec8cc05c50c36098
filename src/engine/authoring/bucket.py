"""The templates in the bucket: list, fetch, push and roll back.

A push marks every object that it writes with the same `change`, so that a rollback takes back the whole push
and nothing else. The bucket keeps all versions: https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html
"""

import mimetypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from engine.authoring.files import ENCODING, SHARED, TemplateToolError, is_template_name
from engine.aws.error_codes import is_code
from engine.templating.template import METADATA_FILE

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_PREFIX: Final = "templates/"
_CHANGE: Final = "change"
# Objects without a mark, such as the starter templates of a deployment, count as one change if they were
# written within this time of each other.
_TOGETHER: Final = timedelta(seconds=60)


class BucketError(TemplateToolError):
    """The bucket can't be read or written; the message names it and has AWS's reason."""


@dataclass(frozen=True)
class BucketTemplate:
    """A template of the bucket: its files, and when the newest of them was written."""

    name: str
    files: tuple[str, ...]
    changed: datetime


@dataclass(frozen=True)
class ObjectVersion:
    """A version of an object, written at `at`; `deleted` if it is a delete marker."""

    file: str
    version_id: str
    at: datetime
    deleted: bool


@dataclass(frozen=True)
class RestoredFile:
    """A file after a rollback: `to` is when its present version was first written, None if it is gone."""

    file: str
    to: datetime | None


@contextmanager
def bucket_errors(bucket: str) -> Iterator[None]:
    """What AWS or the network refuses becomes a BucketError."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise BucketError(f"s3://{bucket}: {error}") from None  # its message has all that AWS said


class TemplateBucket:
    """The templates under `templates/` of one bucket."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    async def list_templates(self) -> list[BucketTemplate]:
        """Every template, by name."""
        found: dict[str, list[tuple[str, datetime]]] = {}
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=_PREFIX)
        async for page in pages:
            for item in page.get("Contents", []):
                name, _, file = item["Key"].removeprefix(_PREFIX).partition("/")
                if file and is_template_name(name):
                    found.setdefault(name, []).append((file, item["LastModified"]))
        return [
            BucketTemplate(name, tuple(sorted(file for file, _ in files)), max(at for _, at in files))
            for name, files in sorted(found.items())
        ]

    async def fetch(self, name: str) -> dict[str, str]:
        """The template's files that an author has in a folder; empty where there is no such template."""
        found = {file: await self._get(name, file) for file in SHARED}
        return {file: content for file, content in found.items() if content is not None}

    async def push(self, name: str, files: Mapping[str, str]) -> None:
        """Write `files` as one change; metadata.json last, since without it the others are no template."""
        change = uuid4().hex
        for file in sorted(files, key=lambda file: (file == METADATA_FILE, file)):
            await self._client.put_object(
                Bucket=self.bucket,
                Key=_key(name, file),
                Body=files[file].encode(),
                ContentType=f"{mimetypes.guess_type(file)[0] or 'text/plain'}; charset=utf-8",
                Metadata={_CHANGE: change},
            )

    async def roll_back(self, name: str) -> list[RestoredFile]:
        """Take back the newest change of a template. Raises BucketError if nothing was there before it."""
        history = await self._history(name)
        if not history:
            raise BucketError(f"s3://{self.bucket} has no template {name}")
        newest = await self._newest_change(name, history)
        before = {file: history[file][1] if len(history[file]) > 1 else None for file in newest}
        if not any(version and not version.deleted for version in before.values()):
            raise BucketError(
                f"s3://{self.bucket} has no earlier {name}: was it pushed twice, and is versioning on?"
            )
        change = uuid4().hex
        return [await self._restore(name, file, version, change) for file, version in before.items()]

    async def _get(self, name: str, file: str) -> str | None:
        try:
            answer = await self._client.get_object(Bucket=self.bucket, Key=_key(name, file))
        except ClientError as error:
            if is_code(error, "NoSuchKey"):
                return None
            raise
        body = answer["Body"]
        async with body:  # `as` would give aiohttp's answer, whose `read` compares no checksum
            return (await body.read()).decode(ENCODING)

    async def _history(self, name: str) -> dict[str, list[ObjectVersion]]:
        """Each file's versions, newest first."""
        found: dict[str, list[ObjectVersion]] = {}
        prefix = _key(name, "")
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix)
        async for page in pages:
            for item, deleted in (
                *((one, False) for one in page.get("Versions", [])),
                *((one, True) for one in page.get("DeleteMarkers", [])),
            ):
                file = item["Key"].removeprefix(prefix)
                version = ObjectVersion(file, item["VersionId"], item["LastModified"], deleted)
                versions = found.setdefault(file, [])
                # S3 lists the newest of a key first; delete markers are in a list of their own.
                versions.insert(0 if item["IsLatest"] else len(versions), version)
        for versions in found.values():
            versions[1:] = sorted(versions[1:], key=lambda version: version.at, reverse=True)
        return found

    async def _newest_change(self, name: str, history: dict[str, list[ObjectVersion]]) -> list[str]:
        """The files of the newest change."""
        newest = max((versions[0] for versions in history.values()), key=lambda version: version.at)
        change = await self._change_of(name, newest)
        members = []
        for file, (latest, *_) in history.items():
            if change is None:
                together = newest.at - latest.at <= _TOGETHER
            else:
                together = await self._change_of(name, latest) == change
            if together:
                members.append(file)
        return members

    async def _change_of(self, name: str, version: ObjectVersion) -> str | None:
        if version.deleted:
            return None
        head = await self._client.head_object(
            Bucket=self.bucket, Key=_key(name, version.file), VersionId=version.version_id
        )
        return head["Metadata"].get(_CHANGE)

    async def _restore(
        self, name: str, file: str, version: ObjectVersion | None, change: str
    ) -> RestoredFile:
        key = _key(name, file)
        if version is None or version.deleted:
            await self._client.delete_object(Bucket=self.bucket, Key=key)
            return RestoredFile(file, None)
        await self._client.copy_object(
            Bucket=self.bucket,
            Key=key,
            CopySource={"Bucket": self.bucket, "Key": key, "VersionId": version.version_id},
            MetadataDirective="REPLACE",
            ContentType=f"{mimetypes.guess_type(file)[0] or 'text/plain'}; charset=utf-8",
            Metadata={_CHANGE: change},
        )
        return RestoredFile(file, version.at)


def _key(name: str, file: str) -> str:
    return f"{_PREFIX}{name}/{file}"
