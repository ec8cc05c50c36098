"""What templates of the bucket say of themselves, as the engine reads it."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from botocore.exceptions import ClientError

from engine.aws.error_codes import is_code
from engine.errors import Refusal, Refused
from engine.operations.stack import DeployedStack
from engine.templating.template import METADATA_FILE, Metadata, read_metadata

_AT_ONCE: Final = 10


async def template_metadata(stack: DeployedStack, templates: Iterable[str]) -> dict[str, Metadata | Refusal]:
    """Those of the templates that the bucket has; or why the engine refuses to read them.

    Raises ClientError where the bucket is not there or may not be read.
    """
    s3, bucket = await stack.client("s3"), await stack.template_bucket()
    names, gate = list(templates), asyncio.Semaphore(_AT_ONCE)

    async def read(name: str) -> Metadata | Refusal | None:
        async with gate:
            return await _read(s3, bucket, name)

    found = await asyncio.gather(*map(read, names))
    return {name: metadata for name, metadata in zip(names, found, strict=True) if metadata}


def topic_in(metadata: Metadata | Refusal) -> str | None:
    """The topic that a template names; a refused one names none."""
    return metadata.topic if isinstance(metadata, Metadata) else None


async def _read(s3: Any, bucket: str, name: str) -> Metadata | Refusal | None:
    try:
        answer = await s3.get_object(Bucket=bucket, Key=f"templates/{name}/{METADATA_FILE}")
        return read_metadata(name, await answer["Body"].read())
    except ClientError as error:
        if is_code(error, "NoSuchKey"):
            return None
        raise
    except Refused as refused:
        return refused.refusal
