"""What templates of the bucket say of themselves, as far as an operator asks."""

import asyncio
from codecs import BOM_UTF8
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from botocore.exceptions import ClientError
from msgspec import Struct

from engine.aws.error_codes import is_code
from engine.operations.stack import DeployedStack

_AT_ONCE: Final = 10


class TemplateFacts(Struct, frozen=True, rename="camel"):
    """`topic`: what people can unsubscribe from. `required_variables`: what its data must hold."""

    topic: str | None = None
    required_variables: tuple[str, ...] = ()


async def template_facts(stack: DeployedStack, templates: Iterable[str]) -> dict[str, TemplateFacts]:
    """Those of the templates that the bucket has, from their metadata.

    Raises ClientError where the bucket is not there or may not be read.
    """
    s3, bucket = await stack.client("s3"), await stack.template_bucket()
    names, gate = list(templates), asyncio.Semaphore(_AT_ONCE)

    async def read(name: str) -> TemplateFacts | None:
        async with gate:
            return await _read(s3, bucket, name)

    found = await asyncio.gather(*map(read, names))
    return {name: facts for name, facts in zip(names, found, strict=True) if facts}


async def _read(s3: Any, bucket: str, name: str) -> TemplateFacts | None:
    try:
        answer = await s3.get_object(Bucket=bucket, Key=f"templates/{name}/metadata.json")
        content = (await answer["Body"].read()).removeprefix(BOM_UTF8)
        return msgspec.json.decode(content, type=TemplateFacts)
    except ClientError as error:
        if is_code(error, "NoSuchKey"):
            return None
        raise
    except (ValueError, RecursionError):  # of msgspec, for what is not UTF-8, or nested too deeply
        return TemplateFacts()  # `templates lint` says what is wrong with it
