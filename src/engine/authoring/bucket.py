"""Templates in the bucket: listed, fetched, pushed, and put back to what they were.

A push marks every object that it writes with the same `change`, so that going back takes back the whole push
and nothing else. The bucket keeps all versions: https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html
"""

import mimetypes
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import aioboto3
from botocore.exceptions import BotoCoreError, ClientError

from engine.authoring.folder import SHARED
from engine.templating.template import METADATA_FILE

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_PREFIX: Final = "templates/"
_CHANGE: Final = "change"
# What carries no mark, such as the starter templates of a deployment, was written within this of each other.
_TOGETHER: Final = timedelta(seconds=60)


class BucketError(Exception):
    """The bucket can't be read or written; says which, and what AWS said."""


@dataclass(frozen=True)
class Listed:
    """A template of the bucket: its files, and when the newest of them came."""

    name: str
    files: tuple[str, ...]
    changed: datetime


@dataclass(frozen=True)
class Version:
    """What an object was from `at` on; a `deleted` one was nothing."""

    file: str
    version_id: str
    at: datetime
    deleted: bool


@dataclass(frozen=True)
class Restored:
    """What going back did to a file: when the version came that is there again, or None where it is gone."""

    file: str
    to: datetime | None


@asynccontextmanager
async def open_bucket(bucket: str, **options: Any) -> AsyncIterator["TemplateBucket"]:
    """The bucket, with a client of its own. Errors of AWS come out as BucketError."""
    try:
        async with aioboto3.Session().client("s3", **options) as client:
            yield TemplateBucket(client, bucket)
    except (ClientError, BotoCoreError) as error:
        raise BucketError(f"s3://{bucket}: {error}") from error


class TemplateBucket:
    """The templates under `templates/` of one bucket."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    async def listed(self) -> list[Listed]:
        """Every template, by name."""
        found: dict[str, list[tuple[str, datetime]]] = {}
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=_PREFIX)
        async for page in pages:
            for told in page.get("Contents", []):
                name, slash, file = told["Key"].removeprefix(_PREFIX).partition("/")
                if slash and file:
                    found.setdefault(name, []).append((file, told["LastModified"]))
        return [
            Listed(name, tuple(sorted(file for file, _ in files)), max(at for _, at in files))
            for name, files in sorted(found.items())
        ]

    async def fetch(self, name: str) -> dict[str, str]:
        """The template's files that belong to a folder; none where there is no such template."""
        found = {file: await self._get(name, file) for file in SHARED}
        return {file: content for file, content in found.items() if content is not None}

    async def push(self, name: str, files: Mapping[str, str]) -> None:
        """Writes `files` as one change; metadata.json last, because it makes a template of the others."""
        change = uuid4().hex
        for file in sorted(files, key=lambda file: (file == METADATA_FILE, file)):
            await self._client.put_object(
                Bucket=self.bucket,
                Key=_key(name, file),
                Body=files[file].encode(),
                ContentType=f"{mimetypes.guess_type(file)[0] or 'text/plain'}; charset=utf-8",
                Metadata={_CHANGE: change},
            )

    async def roll_back(self, name: str) -> list[Restored]:
        """Takes back the newest change of a template. Raises BucketError where nothing came before it."""
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
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise
        async with answer["Body"] as body:
            return (await body.read()).decode("utf-8-sig")

    async def _history(self, name: str) -> dict[str, list[Version]]:
        """Each file's versions, newest first."""
        found: dict[str, list[Version]] = {}
        prefix = _key(name, "")
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix)
        async for page in pages:
            for told, deleted in (
                *((one, False) for one in page.get("Versions", [])),
                *((one, True) for one in page.get("DeleteMarkers", [])),
            ):
                file = told["Key"].removeprefix(prefix)
                version = Version(file, told["VersionId"], told["LastModified"], deleted)
                versions = found.setdefault(file, [])
                # Within a key S3 lists the newest first; markers come in a list of their own.
                versions.insert(0 if told["IsLatest"] else len(versions), version)
        for versions in found.values():
            versions[1:] = sorted(versions[1:], key=lambda version: version.at, reverse=True)
        return found

    async def _newest_change(self, name: str, history: dict[str, list[Version]]) -> list[str]:
        """The files that were written together last."""
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

    async def _change_of(self, name: str, version: Version) -> str | None:
        if version.deleted:
            return None
        told = await self._client.head_object(
            Bucket=self.bucket, Key=_key(name, version.file), VersionId=version.version_id
        )
        return told["Metadata"].get(_CHANGE)

    async def _restore(self, name: str, file: str, version: Version | None, change: str) -> Restored:
        key = _key(name, file)
        if version is None or version.deleted:
            await self._client.delete_object(Bucket=self.bucket, Key=key)
            return Restored(file, None)
        await self._client.copy_object(
            Bucket=self.bucket,
            Key=key,
            CopySource={"Bucket": self.bucket, "Key": key, "VersionId": version.version_id},
            MetadataDirective="REPLACE",
            ContentType=f"{mimetypes.guess_type(file)[0] or 'text/plain'}; charset=utf-8",
            Metadata={_CHANGE: change},
        )
        return Restored(file, version.at)


def _key(name: str, file: str) -> str:
    return f"{_PREFIX}{name}/{file}"
