"""Templates and attachments out of the template bucket, each template fetched and compiled once."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from botocore.exceptions import ClientError

from engine.aws.error_codes import is_code, service_errors
from engine.concurrency import concurrently
from engine.errors import FailureCode, Refusal, Refused, ServiceUnavailable, unwrap
from engine.templating.template import HTML_FILE, METADATA_FILE, TEXT_FILE, Template, compile_template

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_FILES: Final = (HTML_FILE, TEXT_FILE, METADATA_FILE)

# Gmail shows the first 102 KB of an email; nothing that a person would sign comes near this.
MAX_SOURCE_BYTES: Final = 512 * 1024
# What SES's 40 MB a message leaves before base64: https://docs.aws.amazon.com/ses/latest/dg/quotas.html
MAX_ATTACHMENT_BYTES: Final = 29_000_000
MAX_TEMPLATES: Final = 256
# While S3 fails, a stale copy serves, and S3 is asked again after this many seconds.
_PATIENCE: Final = 15.0
_FORBIDDEN: Final = "may not be read by this function, or is not there"


class _Object(NamedTuple):
    """One object of a template: what it holds, and the ETag to ask about it again."""

    etag: str
    content: bytes


class _Cached(NamedTuple):
    """A template as it was found: compiled, or why it would not compile."""

    objects: Sequence[_Object | None]
    outcome: Template | Refusal
    fresh_until: float


class _Unreadable(Exception):  # noqa: N818 - never leaves this file
    """Why an object that may be there can't be used."""


class S3TemplateStore:
    """Implements `TemplateStore` over a bucket with `templates/{name}/` and `attachments/`.

    A template serves `cache_seconds` without a question; then its objects are revalidated by ETag. `clock` is
    in epoch seconds.
    """

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        *,
        cache_seconds: float = 300,
        clock: Callable[[], float] = time.time,
        max_templates: int = MAX_TEMPLATES,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._max_templates = max_templates
        self._cache: OrderedDict[str, _Cached] = OrderedDict()

    async def load(self, name: str) -> Template:
        """The compiled template.

        Raises Refused (`template-not-found`, `template-error`), and ServiceUnavailable where S3 does not
        answer (and no stale copy is there) or this function may not read the bucket.
        """
        cached = self._cache.get(name)
        if cached is None or self._clock() >= cached.fresh_until:
            cached = self._cache[name] = await self._refresh(name, self._cache.pop(name, None))
        self._cache.move_to_end(name)
        while len(self._cache) > self._max_templates:
            self._cache.popitem(last=False)
        return unwrap(cached.outcome)

    def known_topic(self, name: str) -> str | None:
        """The topic of a template that was loaded before, perhaps some time ago."""
        cached = self._cache.get(name)
        return cached.outcome.topic if cached and isinstance(cached.outcome, Template) else None

    async def _refresh(self, name: str, old: _Cached | None) -> _Cached:
        known = old.objects if old else (None,) * len(_FILES)
        found = await concurrently(
            self._template_file(f"templates/{name}/{file}", before)
            for file, before in zip(_FILES, known, strict=True)
        )
        objects = [one for one in found if not isinstance(one, Exception)]
        for problem in (one for one in found if isinstance(one, Exception)):
            if isinstance(problem, ServiceUnavailable) and old and not isinstance(old.outcome, Refusal):
                return old._replace(fresh_until=self._clock() + _PATIENCE)
            raise problem
        if not any(objects):
            raise Refused(
                Refusal(
                    FailureCode.TEMPLATE_NOT_FOUND,
                    f"template {name!r} is not there: no {', '.join(_FILES[:-1])} or {_FILES[-1]} under"
                    f" s3://{self._bucket}/templates/{name}/",
                )
            )
        outcome = old.outcome if old and old.objects == objects else _compiled(name, objects)
        # A template that won't compile is asked about every time: whoever mends it is waiting.
        lasts = 0 if isinstance(outcome, Refusal) else self._cache_seconds
        return _Cached(objects, outcome, self._clock() + lasts)

    async def _template_file(
        self, key: str, before: _Object | None
    ) -> _Object | ServiceUnavailable | Refused | None:
        try:
            return await self._get(key, MAX_SOURCE_BYTES, before)
        except ServiceUnavailable as error:
            return error
        except _Unreadable as error:
            where = f"s3://{self._bucket}/{key} {error}"
            if isinstance(error.__cause__, ClientError):
                # Every template fails like this: the deployment is at fault, the mail waits for its repair.
                return ServiceUnavailable(f"S3: {where}; grant s3:GetObject and s3:ListBucket")
            return Refused(Refusal(FailureCode.TEMPLATE_ERROR, where))

    async def attachment_size(self, s3_key: str) -> int:
        """Bytes of an object of the bucket. Raises Refused (`validation`) naming the key.

        The deployed role reads `templates/*` and `attachments/*`. It may not list attachments, and then S3
        answers AccessDenied for a missing key too:
        https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
        """
        with service_errors("S3"):
            try:
                answer = await self._client.head_object(Bucket=self._bucket, Key=s3_key)
            except ClientError as error:
                # The answer has no body, and so no code but the status.
                if is_code(error, "404"):
                    raise self._bad_attachment(s3_key, "is not there") from error
                if is_code(error, "403"):
                    raise self._bad_attachment(s3_key, _FORBIDDEN) from error
                raise
        if answer["ContentLength"] > MAX_ATTACHMENT_BYTES:
            raise self._bad_attachment(s3_key, f"has {answer['ContentLength']:,} bytes")
        return answer["ContentLength"]

    async def load_attachment(self, s3_key: str) -> bytes:
        """An object of the bucket. Raises as `attachment_size`."""
        try:
            found = await self._get(s3_key, MAX_ATTACHMENT_BYTES)
        except _Unreadable as error:
            raise self._bad_attachment(s3_key, str(error)) from error
        if found is None:
            raise self._bad_attachment(s3_key, "is not there")
        return found.content

    def _bad_attachment(self, s3_key: str, complaint: str) -> Refused:
        return Refused(
            Refusal(
                FailureCode.VALIDATION,
                f"attachments: s3Key {s3_key!r} {complaint}; expected an object of the bucket {self._bucket},"
                f" under attachments/, of at most {MAX_ATTACHMENT_BYTES:,} bytes",
            )
        )

    async def _get(self, key: str, limit: int, before: _Object | None = None) -> _Object | None:
        """The object, `before` itself where it has not changed, or None where there is none."""
        unchanged: Any = {"IfNoneMatch": before.etag} if before else {}
        with service_errors("S3"):
            try:
                answer = await self._client.get_object(Bucket=self._bucket, Key=key, **unchanged)
                body = answer["Body"]
                async with body:  # `as` would give aiohttp's answer, whose `read` compares no checksum
                    if answer["ContentLength"] > limit:
                        raise _Unreadable(
                            f"has {answer['ContentLength']:,} bytes, over the {limit:,} allowed"
                        )
                    return _Object(answer["ETag"], await body.read())
            except ClientError as error:
                if is_code(error, "304"):
                    return before
                if is_code(error, "NoSuchKey"):
                    return None
                if is_code(error, "AccessDenied") or is_code(error, "InvalidObjectState"):
                    raise _Unreadable(_FORBIDDEN) from error
                raise


def _compiled(name: str, objects: Sequence[_Object | None]) -> Template | Refusal:
    html, text, metadata = objects
    problem = f"{METADATA_FILE} is missing; expected a subject in it"
    if metadata:
        try:
            sources = [found.content.decode("utf-8-sig") if found else None for found in (html, text)]
            return compile_template(name, sources[0], sources[1], metadata.content)
        except Refused as refused:
            return refused.refusal
        except UnicodeDecodeError as error:
            file = HTML_FILE if html and html.content == error.object else TEXT_FILE
            problem = f"{file} is not UTF-8 at byte {error.start}"
    return Refusal(FailureCode.TEMPLATE_ERROR, f"template {name!r}: {problem}")
