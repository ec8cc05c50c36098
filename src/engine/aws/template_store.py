"""Templates and attachments out of the template bucket, each template fetched and compiled once."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

import aiohttp
from botocore.exceptions import ClientError

from engine.aws.error_codes import is_code, service_errors
from engine.errors import FailureCode, Refusal, Refused, ServiceUnavailable
from engine.templating.template import HTML_FILE, METADATA_FILE, TEXT_FILE, Template, compile_template

if TYPE_CHECKING:
    from aiobotocore.response import StreamingBody
    from types_aiobotocore_s3 import S3Client

_FILES: Final = (HTML_FILE, TEXT_FILE, METADATA_FILE)

# Gmail shows the first 102 KB of an email; nothing that a person would sign comes near this.
MAX_SOURCE_BYTES: Final = 512 * 1024
# What SES's 40 MB a message leaves before base64: https://docs.aws.amazon.com/ses/latest/dg/quotas.html
MAX_ATTACHMENT_BYTES: Final = 29_000_000
MAX_TEMPLATES: Final = 256
# While S3 fails, a stale copy serves, and S3 is asked again after this many seconds.
_PATIENCE: Final = 15.0


class _Object(NamedTuple):
    """One object of a template: what it holds, and the ETag to ask about it again."""

    etag: str
    content: bytes


class _Unreadable(Exception):  # noqa: N818 - never leaves this file
    """An object that is there and can't be used, or that this function may not see; says why."""

    def __init__(self, complaint: str) -> None:
        super().__init__(complaint)
        self.complaint = complaint


class _Cached(NamedTuple):
    """A template as it was found: compiled, or why it would not compile."""

    objects: tuple[_Object | None, ...]
    outcome: Template | Refusal
    fresh_until: float


class S3TemplateStore:
    """Implements `TemplateStore` over a bucket with `templates/{name}/` and `attachments/`.

    A template serves `cache_seconds` without a question; then its objects are revalidated by ETag. Callers
    that ask for one template at the same time share one fetch. `clock` gives epoch seconds: a freeze of
    the environment may stop a monotonic clock.
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
        self._loading: dict[str, asyncio.Task[_Cached]] = {}

    async def load(self, name: str) -> Template:
        """The compiled template.

        Raises Refused (`template-not-found`, `template-error`), and ServiceUnavailable where S3 does not
        answer (and no stale copy is there) or this function may not read the bucket.
        """
        cached = self._cache.get(name)
        if cached is None or self._clock() >= cached.fresh_until:
            cached = await self._shared_refresh(name)
        self._cache.move_to_end(name)
        if isinstance(cached.outcome, Refusal):
            raise Refused(cached.outcome)
        return cached.outcome

    async def load_attachment(self, s3_key: str) -> bytes:
        """An object of the bucket. Raises Refused (`validation`) naming the key, or ServiceUnavailable.

        The deployed role reads `templates/*` and `attachments/*`. It may not list attachments, and then S3
        answers AccessDenied for a missing key too:
        https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        """
        try:
            found = await self._get(s3_key, MAX_ATTACHMENT_BYTES)
        except _Unreadable as error:
            raise self._bad_attachment(s3_key, error.complaint) from error
        if found is None:
            raise self._bad_attachment(s3_key, "is not there")
        return found.content

    async def attachment_size(self, s3_key: str) -> int:
        """Bytes of an object of the bucket. Raises as `load_attachment`."""
        with service_errors("S3"):
            try:
                answer = await self._client.head_object(Bucket=self._bucket, Key=s3_key)
            except ClientError as error:
                # The answer to HeadObject has no body, and so no code but the status.
                if is_code(error, "404"):
                    raise self._bad_attachment(s3_key, "is not there") from error
                if is_code(error, "403"):
                    complaint = "may not be read by this function, or is not there"
                    raise self._bad_attachment(s3_key, complaint) from error
                raise
        size = answer["ContentLength"]
        if size > MAX_ATTACHMENT_BYTES:
            complaint = f"has {size:,} bytes, over the {MAX_ATTACHMENT_BYTES:,} allowed"
            raise self._bad_attachment(s3_key, complaint)
        return size

    def _bad_attachment(self, s3_key: str, complaint: str) -> Refused:
        return Refused(
            Refusal(
                FailureCode.VALIDATION,
                f"attachments: s3Key {s3_key!r} {complaint}; expected an object of the bucket {self._bucket},"
                f" under attachments/, of at most {MAX_ATTACHMENT_BYTES:,} bytes",
            )
        )

    async def _shared_refresh(self, name: str) -> _Cached:
        task = self._loading.get(name)
        if task is None:
            task = self._loading[name] = asyncio.create_task(self._refresh(name))
            task.add_done_callback(lambda done: self._loaded(name, done))
        # Shielded, so that one caller's cancellation does not take the fetch away from the others.
        return await asyncio.shield(task)

    def _loaded(self, name: str, task: asyncio.Task[_Cached]) -> None:
        del self._loading[name]
        if not task.cancelled():
            # Read here too, in case every caller has gone: asyncio warns of errors that nobody reads.
            task.exception()

    async def _refresh(self, name: str) -> _Cached:
        old = self._cache.get(name)
        try:
            objects = await self._fetch(name, old)
        except ServiceUnavailable:
            if old is None or isinstance(old.outcome, Refusal):
                raise
            return self._keep(name, old._replace(fresh_until=self._clock() + _PATIENCE))
        outcome = old.outcome if old and old.objects == objects else _outcome(name, objects)
        # A template that won't compile is asked about every time: whoever mends it is waiting.
        lasts = 0 if isinstance(outcome, Refusal) else self._cache_seconds
        return self._keep(name, _Cached(objects, outcome, self._clock() + lasts))

    def _keep(self, name: str, cached: _Cached) -> _Cached:
        self._cache[name] = cached
        self._cache.move_to_end(name)
        while len(self._cache) > self._max_templates:
            self._cache.popitem(last=False)
        return cached

    async def _fetch(self, name: str, old: _Cached | None) -> tuple[_Object | None, ...]:
        known = old.objects if old else (None,) * len(_FILES)
        asked = (
            self._template_file(f"templates/{name}/{file}", before)
            for file, before in zip(_FILES, known, strict=True)
        )
        found = await asyncio.gather(*asked, return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException):
                raise one
        objects = tuple(one for one in found if not isinstance(one, BaseException))
        if not any(objects):
            self._cache.pop(name, None)
            raise Refused(
                Refusal(
                    FailureCode.TEMPLATE_NOT_FOUND,
                    f"template {name!r} is not there: no {', '.join(_FILES[:-1])} or {_FILES[-1]} under"
                    f" s3://{self._bucket}/templates/{name}/",
                )
            )
        return objects

    async def _template_file(self, key: str, before: _Object | None) -> _Object | None:
        try:
            return await self._get(key, MAX_SOURCE_BYTES, before)
        except _Unreadable as error:
            where = f"s3://{self._bucket}/{key}"
            if isinstance(error.__cause__, ClientError):
                # Every template fails like this: the deployment is at fault, the mail waits for its repair.
                raise ServiceUnavailable(
                    f"S3: {where} {error.complaint}; grant s3:GetObject and s3:ListBucket"
                ) from error
            raise Refused(Refusal(FailureCode.TEMPLATE_ERROR, f"{where} {error.complaint}")) from error

    async def _get(self, key: str, limit: int, before: _Object | None = None) -> _Object | None:
        """The object, `before` itself where it has not changed, or None where there is none."""
        with service_errors("S3"):
            try:
                if before:
                    ask = self._client.get_object(Bucket=self._bucket, Key=key, IfNoneMatch=before.etag)
                else:
                    ask = self._client.get_object(Bucket=self._bucket, Key=key)
                answer = await ask
                return _Object(answer["ETag"], await _read(answer["Body"], answer["ContentLength"], limit))
            except ClientError as error:
                if is_code(error, "304"):
                    return before
                if is_code(error, "NoSuchKey"):
                    return None
                if is_code(error, "AccessDenied") or is_code(error, "InvalidObjectState"):
                    raise _Unreadable("may not be read by this function, or is not there") from error
                raise
            except aiohttp.ClientError as error:
                # aiobotocore translates most of these, but not a body that ends too early.
                raise ServiceUnavailable(f"S3 broke off {key}: {type(error).__name__}") from error


async def _read(body: "StreamingBody", length: int, limit: int) -> bytes:
    async with body:
        if length > limit:
            raise _Unreadable(f"has {length:,} bytes, over the {limit:,} allowed")
        return await body.read()


def _outcome(name: str, objects: tuple[_Object | None, ...]) -> Template | Refusal:
    html, text, metadata = objects
    if metadata is None:
        return Refusal(
            FailureCode.TEMPLATE_ERROR,
            f"template {name!r}: {METADATA_FILE} is missing; expected a subject in it",
        )
    try:
        sources = _decoded(name, HTML_FILE, html), _decoded(name, TEXT_FILE, text)
        return compile_template(name, *sources, metadata.content)
    except Refused as refused:
        return refused.refusal


def _decoded(name: str, file: str, found: _Object | None) -> str | None:
    if found is None:
        return None
    try:
        return found.content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        complaint = f"template {name!r}: {file} is not UTF-8 at byte {error.start}"
        raise Refused(Refusal(FailureCode.TEMPLATE_ERROR, complaint)) from error
