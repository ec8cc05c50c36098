"""Templates come from S3 once, stay for a while, and survive S3's bad moments."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from tests.support.real_clients import opened

from engine.aws.template_store import MAX_ATTACHMENT_BYTES, MAX_SOURCE_BYTES, S3TemplateStore
from engine.errors import FailureCode, Refusal, Refused, ServiceUnavailable

METADATA = json.dumps({"subject": "Hi {{ name }}"}).encode()


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Spy:
    """A real client that counts its calls, and fails when told to."""

    client: Any
    calls: list[dict[str, Any]] = field(default_factory=list)
    failing: Exception | None = None
    gate: asyncio.Event | None = None
    all_asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def get_object(self, **request: Any) -> Any:
        self.calls.append(request)
        if len(self.calls) == 3:
            self.all_asked.set()
        if self.gate:
            await self.gate.wait()
        if self.failing:
            raise self.failing
        return await self.client.get_object(**request)


@dataclass
class Shelf:
    """A bucket and a store over it."""

    s3: Any
    spy: Spy
    bucket: str
    clock: Clock
    store: S3TemplateStore

    async def put(self, name: str = "welcome", /, **files: bytes) -> None:
        for file, content in files.items():
            key = f"templates/{name}/{file.replace('_', '.')}"
            await self.s3.put_object(Bucket=self.bucket, Key=key, Body=content)

    async def topic(self, name: str = "welcome") -> str | None:
        await self.store.load(name)
        return self.store.known_topic(name)

    async def html(self, name: str = "welcome") -> str | None:
        return (await self.store.load(name)).render({"name": "Ada"}).html


@pytest.fixture
async def shelf(aws_endpoint: str) -> AsyncIterator[Shelf]:
    async with opened("s3", aws_endpoint) as s3:
        bucket = f"templates-{uuid4().hex}"
        await s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        spy, clock = Spy(s3), Clock()
        store = S3TemplateStore(spy, bucket, cache_seconds=300, clock=clock, max_templates=2)  # type: ignore[arg-type]  # a hand-written stand-in
        made = Shelf(s3, spy, bucket, clock, store)
        await made.put(template_html=b"<p>{{ name }}</p>", template_txt=b"{{ name }}", metadata_json=METADATA)
        yield made


async def refused(asked: Any) -> Refusal:
    with pytest.raises(Refused) as caught:
        await asked
    return caught.value.refusal


def answer(code: str, status: int = 403) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]  # only what is read
        "GetObject",
    )


async def test_the_topic_of_a_template_is_known_once_it_was_loaded(shelf: Shelf) -> None:
    await shelf.put(metadata_json=json.dumps({"subject": "Hi", "topic": "news"}).encode())
    assert shelf.store.known_topic("welcome") is None
    assert await shelf.topic() == "news"
    await shelf.put(metadata_json=b"{")
    shelf.clock.now += 301
    with pytest.raises(Refused):
        await shelf.topic()
    assert shelf.store.known_topic("welcome") is None


async def test_a_template_is_fetched_once_and_serves_until_its_time_is_over(shelf: Shelf) -> None:
    first = await shelf.store.load("welcome")
    shelf.clock.now += 299
    assert await shelf.store.load("welcome") is first
    assert [call["Key"] for call in shelf.spy.calls] == [
        "templates/welcome/template.html",
        "templates/welcome/template.txt",
        "templates/welcome/metadata.json",
    ]


async def test_an_unchanged_template_is_revalidated_and_not_compiled_again(shelf: Shelf) -> None:
    first = await shelf.store.load("welcome")
    shelf.clock.now += 300
    assert await shelf.store.load("welcome") is first
    assert all("IfNoneMatch" in call for call in shelf.spy.calls[3:])
    assert await shelf.store.load("welcome") is first
    assert len(shelf.spy.calls) == 6


async def test_a_changed_removed_or_added_part_is_taken_up(shelf: Shelf) -> None:
    await shelf.html()
    await shelf.put(template_html=b"<b>{{ name }}</b>")
    shelf.clock.now += 300
    assert await shelf.html() == "<b>Ada</b>"
    await shelf.s3.delete_object(Bucket=shelf.bucket, Key="templates/welcome/template.html")
    shelf.clock.now += 300
    assert await shelf.html() is None
    await shelf.put(template_html=b"\xef\xbb\xbf<i>{{ name }}</i>")
    shelf.clock.now += 300
    assert await shelf.html() == "<i>Ada</i>"


async def test_a_template_that_is_not_there_is_named_with_its_place(shelf: Shelf) -> None:
    refusal = await refused(shelf.store.load("nosuch"))
    assert refusal.code is FailureCode.TEMPLATE_NOT_FOUND
    assert "'nosuch'" in refusal.message
    assert f"s3://{shelf.bucket}/templates/nosuch/" in refusal.message


async def test_a_template_that_was_deleted_is_gone_once_its_time_is_over(shelf: Shelf) -> None:
    await shelf.html()
    for file in ("template.html", "template.txt", "metadata.json"):
        await shelf.s3.delete_object(Bucket=shelf.bucket, Key=f"templates/welcome/{file}")
    shelf.clock.now += 300
    assert (await refused(shelf.store.load("welcome"))).code is FailureCode.TEMPLATE_NOT_FOUND
    shelf.spy.failing = answer("InternalError", 500)
    with pytest.raises(ServiceUnavailable):
        await shelf.store.load("welcome")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"template_html": b"{{ x"}, "template.html line 1: unexpected end"),
        ({"template_html": b"x\xff"}, "template.html is not UTF-8 at byte 1"),
        ({"metadata_json": b"{"}, "metadata.json: Input data was truncated"),
        (
            {"template_txt": b"x" * (MAX_SOURCE_BYTES + 1)},
            "template.txt has 524,289 bytes, over the 524,288 allowed",
        ),
    ],
)
async def test_a_broken_template_is_an_error_of_the_template(
    shelf: Shelf, files: dict[str, bytes], says: str
) -> None:
    await shelf.put(**files)
    refusal = await refused(shelf.store.load("welcome"))
    assert refusal.code is FailureCode.TEMPLATE_ERROR
    assert says in refusal.message


async def test_a_template_without_metadata_is_told_so(shelf: Shelf) -> None:
    await shelf.put("bare", template_html=b"x")
    assert "metadata.json is missing" in (await refused(shelf.store.load("bare"))).message


async def test_a_mended_template_serves_at_once(shelf: Shelf) -> None:
    await shelf.put(template_html=b"{{ x")
    await refused(shelf.store.load("welcome"))
    await refused(shelf.store.load("welcome"))
    await shelf.put(template_html=b"<p>{{ name }}</p>")
    assert await shelf.html() == "<p>Ada</p>"


@pytest.mark.parametrize(
    "failure",
    [
        answer("InternalError", 500),
        answer("SlowDown", 503),
        ReadTimeoutError(endpoint_url="s3"),
        EndpointConnectionError(endpoint_url="s3"),
        aiohttp.ClientPayloadError(),
    ],
)
async def test_while_s3_fails_a_stale_copy_serves_and_s3_is_asked_again_soon(
    shelf: Shelf, failure: Exception
) -> None:
    with_none = S3TemplateStore(shelf.spy, shelf.bucket)  # type: ignore[arg-type]  # a hand-written stand-in
    stale = await shelf.store.load("welcome")
    shelf.clock.now += 1000
    shelf.spy.failing = failure
    assert await shelf.store.load("welcome") is stale
    calls = len(shelf.spy.calls)
    assert await shelf.store.load("welcome") is stale
    assert len(shelf.spy.calls) == calls
    with pytest.raises(ServiceUnavailable):
        await with_none.load("welcome")
    await shelf.put(template_html=b"new")
    shelf.spy.failing = None
    shelf.clock.now += 15
    assert await shelf.html() == "new"


async def test_a_function_that_may_not_read_templates_says_what_to_grant(shelf: Shelf) -> None:
    shelf.spy.failing = answer("AccessDenied")
    with pytest.raises(ServiceUnavailable, match=r"templates/welcome/template.html .*grant s3:GetObject"):
        await shelf.store.load("welcome")


async def test_a_broken_copy_does_not_serve_for_a_failing_s3(shelf: Shelf) -> None:
    await shelf.put(template_html=b"{{ x")
    await refused(shelf.store.load("welcome"))
    shelf.spy.failing = answer("InternalError", 500)
    with pytest.raises(ServiceUnavailable):
        await shelf.store.load("welcome")


async def test_a_failed_fetch_fails_its_callers_and_not_the_next_one(shelf: Shelf) -> None:
    shelf.spy.failing = answer("InternalError", 500)
    results = await asyncio.gather(*(shelf.html() for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ServiceUnavailable] * 3
    shelf.spy.failing = None
    assert await shelf.html() == "<p>Ada</p>"


async def test_the_template_that_was_used_longest_ago_makes_room(shelf: Shelf) -> None:
    for name in ("a", "b"):
        await shelf.put(name, template_html=name.encode(), metadata_json=METADATA)
    for name in ("welcome", "a", "welcome", "b"):
        await shelf.store.load(name)
    calls = len(shelf.spy.calls)
    await shelf.store.load("welcome")
    assert len(shelf.spy.calls) == calls
    await shelf.store.load("a")
    assert len(shelf.spy.calls) == calls + 3


async def test_an_attachment_is_an_object_of_the_bucket(shelf: Shelf) -> None:
    await shelf.s3.put_object(Bucket=shelf.bucket, Key="attachments/terms ü.pdf", Body=b"%PDF")
    assert await shelf.store.load_attachment("attachments/terms ü.pdf") == b"%PDF"


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (None, "is not there"),
        (answer("AccessDenied"), "may not be read by this function, or is not there"),
        (answer("InvalidObjectState"), "may not be read"),
    ],
)
async def test_an_attachment_that_cannot_be_had_is_named_with_where_it_must_lie(
    shelf: Shelf, failure: Exception | None, says: str
) -> None:
    shelf.spy.failing = failure
    refusal = await refused(shelf.store.load_attachment("attachments/x.pdf"))
    assert refusal.code is FailureCode.VALIDATION
    assert f"attachments: s3Key 'attachments/x.pdf' {says}" in refusal.message
    assert f"the bucket {shelf.bucket}, under attachments/" in refusal.message


async def test_an_attachment_that_is_too_large_is_not_even_read(shelf: Shelf) -> None:
    await shelf.s3.put_object(Bucket=shelf.bucket, Key="attachments/x", Body=bytes(MAX_ATTACHMENT_BYTES + 1))
    refusal = await refused(shelf.store.load_attachment("attachments/x"))
    assert "has 29,000,001 bytes, over the 29,000,000 allowed" in refusal.message


async def test_an_attachment_waits_while_s3_fails(shelf: Shelf) -> None:
    shelf.spy.failing = answer("InternalError", 500)
    with pytest.raises(ServiceUnavailable):
        await shelf.store.load_attachment("attachments/x")
