"""Campaigns from the outside: any number of requests onto the bus, whatever the bus does meanwhile."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from msgspec.structs import replace
from tests.support.ports import FakeSleep

from engine.client import Backoff, EmailClient, EmailRequest, PublishProgress
from engine.client.report import NAMED
from engine.requests.email_job import email_id

REQUEST = EmailRequest(to="ada@example.com", template_name="welcome", template_data={"name": "Ädä"})

ENDLESS: dict[str, Any] = {}
ENDLESS["again"] = ENDLESS


def requests(count: int) -> Iterator[EmailRequest]:
    return (replace(REQUEST, idempotency_key=f"k{n}") for n in range(count))


def throttled(code: str = "ThrottlingException", status: int = 400) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "PutEvents")


class Bus:
    """Takes everything, unless `fails` raises for a call or `leaves` has an error code for a key."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.taken: list[str] = []
        self.fails: Callable[[list[str]], None] = lambda _: None
        self.leaves: Callable[[str], str | None] = lambda _: None
        self.gate = asyncio.Event()
        self.gate.set()
        self.under_way = self.most_under_way = 0

    async def put_events(self, *, Entries: Any) -> dict[str, Any]:
        keys = [json.loads(entry["Detail"])["idempotencyKey"] for entry in Entries]
        self.calls.append(keys)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
            self.fails(keys)
        finally:
            self.under_way -= 1
        results = [self._answer(key) for key in keys]
        return {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}

    def _answer(self, key: str) -> dict[str, str]:
        if code := self.leaves(key):
            return {"ErrorCode": code, "ErrorMessage": "why"}
        self.taken.append(key)
        return {"EventId": "id"}


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def sleep() -> FakeSleep:
    return FakeSleep()


@pytest.fixture
async def emails(bus: Bus, sleep: FakeSleep) -> AsyncIterator[EmailClient]:
    async with client_of(bus, sleep) as client:
        yield client


@asynccontextmanager
async def client_of(bus: object, sleep: FakeSleep) -> AsyncIterator[EmailClient]:
    async with EmailClient("bus", source="shop", endpoint_url="http://127.0.0.1:9", sleep=sleep) as client:
        stand_in: Any = bus
        client._client = stand_in
        yield client


def times(count: int, code: str) -> Callable[[str], str | None]:
    """Each key is left this often."""
    left: dict[str, int] = {}

    def leaves(key: str) -> str | None:
        left[key] = left.get(key, 0) + 1
        return code if left[key] <= count else None

    return leaves


# -- all goes well -------------------------------------------------------------------------------------------


async def test_requests_of_an_iterator_go_ten_a_call(emails: EmailClient, bus: Bus) -> None:
    report = await emails.send_many(requests(23), concurrency=1)
    assert [len(call) for call in bus.calls] == [10, 10, 3]
    assert bus.taken == [f"k{n}" for n in range(23)]
    assert (report.accepted, report.not_accepted, report.complete) == (23, 0, True)


async def test_requests_of_an_async_iterator_go_as_well(emails: EmailClient, bus: Bus) -> None:
    async def stream() -> AsyncIterator[EmailRequest]:
        for request in requests(5):
            await asyncio.sleep(0)
            yield request

    assert (await emails.send_many(stream())).accepted == 5
    assert len(bus.calls) == 1


async def test_no_requests_are_no_calls(emails: EmailClient, bus: Bus) -> None:
    assert (await emails.send_many([])).complete
    assert not bus.calls


async def test_large_requests_go_in_more_calls_and_each_once(emails: EmailClient, bus: Bus) -> None:
    large = [replace(request, template_data={"text": "x" * 100_000}) for request in requests(5)]
    assert (await emails.send_many(large, concurrency=1)).accepted == 5
    assert bus.calls == [["k0", "k1"], ["k2", "k3"], ["k4"]]


async def test_a_request_without_a_key_gets_one_before_it_leaves(emails: EmailClient, bus: Bus) -> None:
    bus.leaves = times(1, "InternalFailure")
    await emails.send_many([REQUEST, REQUEST])
    first, second = bus.calls
    assert first == second
    assert len(set(first)) == 2


async def test_progress_tells_the_ids_that_the_engine_gives_the_emails(emails: EmailClient) -> None:
    heard: list[PublishProgress] = []
    await emails.send_many(requests(12), concurrency=1, on_progress=heard.append)
    assert [progress.accepted for progress in heard] == [10, 12]
    told = {accepted.index: accepted.email_id for progress in heard for accepted in progress.newly_accepted}
    assert told == {n: email_id("shop", f"k{n}") for n in range(12)}


async def test_a_few_calls_are_under_way_at_once_and_nothing_is_read_ahead(
    emails: EmailClient, bus: Bus
) -> None:
    read = 0

    def counted() -> Iterator[EmailRequest]:
        nonlocal read
        for request in requests(1000):
            read += 1
            yield request

    bus.gate.clear()
    run = asyncio.create_task(emails.send_many(counted(), concurrency=3))
    for _ in range(50):
        await asyncio.sleep(0)
    assert read == 30
    bus.gate.set()
    assert (await run).accepted == 1000
    assert bus.most_under_way == 3


async def test_memory_stays_flat_however_many_there_are(sleep: FakeSleep) -> None:
    class Forgetful:
        async def put_events(self, *, Entries: Any) -> dict[str, Any]:
            return {"FailedEntryCount": 0, "Entries": [{"EventId": "id"} for _ in Entries]}

    async with client_of(Forgetful(), sleep) as emails:
        await emails.send_many(requests(100))
        tracemalloc.start()
        try:
            report = await emails.send_many(requests(20_000))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert report.accepted == 20_000
    assert peak < 1_000_000


# -- the bus misbehaves --------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["InternalFailure", "ThrottlingException", "a code of next year"])
async def test_entries_that_were_left_are_asked_for_again_after_growing_waits(
    emails: EmailClient, bus: Bus, sleep: FakeSleep, code: str
) -> None:
    left = times(4, code)
    bus.leaves = lambda key: left(key) if key == "k1" else None
    report = await emails.send_many(requests(3))
    assert report.complete
    assert bus.calls == [["k0", "k1", "k2"], ["k1"], ["k1"], ["k1"], ["k1"]]
    shortest = [0.1, 0.2, 0.4, 0.8]
    assert all(least <= nap <= 2 * least for least, nap in zip(shortest, sleep.naps, strict=True))


@pytest.mark.parametrize(
    "error",
    [
        throttled(),
        throttled("TooManyRequestsException", 429),
        throttled("InternalException", 500),
        throttled("503", 503),
        EndpointConnectionError(endpoint_url="https://events"),
        TimeoutError(),
    ],
)
async def test_a_call_that_failed_for_now_is_made_again(
    emails: EmailClient, bus: Bus, sleep: FakeSleep, error: Exception
) -> None:
    def fails(_: list[str]) -> None:
        if len(bus.calls) <= 3:
            raise error

    bus.fails = fails
    assert (await emails.send_many(requests(10))).complete
    assert bus.calls == [[f"k{n}" for n in range(10)]] * 4
    assert len(sleep.naps) == 3


async def test_a_storm_of_throttles_costs_time_and_no_request(emails: EmailClient, bus: Bus) -> None:
    bus.leaves = times(5, "ThrottlingException")
    assert (await emails.send_many(requests(300))).accepted == 300
    assert sorted(bus.taken) == sorted(f"k{n}" for n in range(300))


async def test_an_entry_that_is_refused_is_not_asked_for_again_and_named(
    emails: EmailClient, bus: Bus, sleep: FakeSleep
) -> None:
    bus.leaves = lambda key: "MalformedDetail" if key in {"k3", "k12"} else None
    report = await emails.send_many(requests(15), concurrency=1)
    assert (report.accepted, report.not_accepted, report.stopped) == (13, 2, None)
    assert [(left.index, left.code, left.message) for left in report.first_not_accepted] == [
        (3, "MalformedDetail", "why"),
        (12, "MalformedDetail", "why"),
    ]
    assert not sleep.naps
    assert not report.complete


async def test_one_request_that_spoils_its_call_takes_no_other_with_it(emails: EmailClient, bus: Bus) -> None:
    def fails(keys: list[str]) -> None:
        if "k4" in keys:
            raise throttled("ValidationException")

    bus.fails = fails
    report = await emails.send_many(requests(30))
    assert (report.accepted, report.stopped) == (29, None)
    assert [left.index for left in report.first_not_accepted] == [4]


async def test_who_may_not_publish_is_told_at_once(emails: EmailClient, bus: Bus, sleep: FakeSleep) -> None:
    def fails(_: list[str]) -> None:
        raise throttled("AccessDeniedException")

    bus.fails = fails
    report = await emails.send_many(requests(1000), concurrency=2)
    assert report.stopped == "AccessDeniedException: no"
    assert report.not_accepted <= 20
    assert len(bus.calls) <= 2
    assert not sleep.naps


async def test_a_bus_that_takes_nothing_after_every_try_ends_the_reading(
    emails: EmailClient, bus: Bus, sleep: FakeSleep
) -> None:
    bus.leaves = lambda _: "ThrottlingException"
    report = await emails.send_many(requests(1000), concurrency=1, backoff=Backoff(tries=3))
    assert len(bus.calls) == 3
    assert len(sleep.naps) == 2
    assert report.stopped == "ThrottlingException: why"
    assert report.not_accepted == 10


async def test_what_was_read_already_when_reading_ends_is_in_the_report(
    emails: EmailClient, bus: Bus
) -> None:
    large = [replace(request, template_data={"text": "x" * 200_000}) for request in requests(5)]
    bus.leaves = lambda _: "InternalFailure"
    report = await emails.send_many(large, concurrency=1, backoff=Backoff(tries=1))
    assert [(left.index, left.code) for left in report.first_not_accepted] == [
        (0, "InternalFailure"),
        (1, "NotTried"),
    ]


async def test_trouble_that_comes_after_a_spoiled_call_ends_the_reading_too(
    emails: EmailClient, bus: Bus
) -> None:
    def fails(keys: list[str]) -> None:
        raise throttled("ValidationException" if len(keys) > 1 else "ExpiredTokenException")

    bus.fails = fails
    report = await emails.send_many(requests(100), concurrency=1)
    assert len(bus.calls) == 2
    assert [left.code for left in report.first_not_accepted] == ["ExpiredTokenException"] + ["NotTried"] * 9


async def test_the_report_counts_all_and_names_a_thousand(emails: EmailClient, bus: Bus) -> None:
    bus.leaves = lambda _: "MalformedDetail"
    report = await emails.send_many(requests(NAMED + 55))
    assert report.not_accepted == NAMED + 55
    assert len(report.first_not_accepted) == NAMED


# -- the caller misbehaves, or has changed his mind ----------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [{"a": object()}, {"a": "\ud800"}, {"a": {2j}}, ENDLESS],
    ids=["an object", "a lone surrogate", "a set of complex numbers", "a dictionary in itself"],
)
async def test_a_request_that_cannot_be_encoded_is_named_by_its_place_and_the_others_go(
    emails: EmailClient, bus: Bus, data: Any
) -> None:
    heard: list[PublishProgress] = []
    good = list(requests(3))
    bad = replace(REQUEST, template_data=data)
    report = await emails.send_many([good[0], bad, *good[1:], bad], on_progress=heard.append)
    assert bus.taken == ["k0", "k1", "k2"]
    assert (report.accepted, report.not_accepted, report.stopped) == (3, 2, None)
    assert [(left.index, left.code) for left in report.first_not_accepted] == [
        (1, "NotEncodable"),
        (4, "NotEncodable"),
    ]
    assert [left.index for progress in heard for left in progress.newly_not_accepted] == [1, 4]


async def test_a_key_that_cannot_be_encoded_is_named_as_well(emails: EmailClient, bus: Bus) -> None:
    bad = replace(REQUEST, idempotency_key="\ud800")
    report = await emails.send_many([bad, *requests(1)])
    assert [left.index for left in report.first_not_accepted] == [0]
    assert bus.taken == ["k0"]


async def test_what_the_iterator_raises_comes_out_after_the_calls_under_way(
    emails: EmailClient, bus: Bus
) -> None:
    def broken() -> Iterator[EmailRequest]:
        yield from requests(25)
        raise ZeroDivisionError

    heard: list[PublishProgress] = []
    with pytest.raises(ZeroDivisionError):
        await emails.send_many(broken(), concurrency=3, on_progress=heard.append)
    assert len(bus.taken) == heard[-1].accepted == 20
    assert bus.under_way == 0


async def test_what_on_progress_raises_comes_out(emails: EmailClient) -> None:
    def on_progress(_: PublishProgress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await emails.send_many(requests(100), on_progress=on_progress)


async def test_a_cancelled_run_leaves_nothing_running(emails: EmailClient, bus: Bus) -> None:
    heard: list[PublishProgress] = []
    bus.gate.clear()
    run = asyncio.create_task(emails.send_many(requests(100), on_progress=heard.append))
    for _ in range(50):
        await asyncio.sleep(0)
    assert bus.under_way == 8
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert bus.under_way == 0
    assert not heard
    assert len(asyncio.all_tasks()) == 1
