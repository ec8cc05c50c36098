"""What an application imports to ask for emails."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace
from tests.support.cloud import Cloud

from engine.client import Attachment, EmailClient, EmailRequest, NotAcceptedError, SenderOverride, Unsubscribe
from engine.requests.email_job import EmailJob, from_event, read_body
from engine.schemas.envelopes import EventBridgeEvent

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
REQUEST = EmailRequest(to="ada@example.com", template_name="welcome", template_data={"name": "Ädä"})


def test_the_client_can_be_imported_without_the_libraries_of_the_lambda() -> None:
    """`pip install sesmailengine` brings none of them."""
    code = """
import sys
sys.modules.update(dict.fromkeys(["aws_lambda_powertools", "jinja2", "markupsafe"]))  # imports of these fail
from engine.client import EmailClient
"""
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - this interpreter, fixed arguments


def keyed(*keys: str) -> list[EmailRequest]:
    return [replace(REQUEST, idempotency_key=key) for key in keys]


# -- over the real bus ---------------------------------------------------------------------------------------


@pytest.fixture
async def emails(cloud: Cloud) -> AsyncIterator[EmailClient]:
    """A client of the stack's bus; what it asks for lands in the bulk queue."""
    cloud.route_requests()
    async with EmailClient(cloud.bus, source="shop", endpoint_url=cloud.endpoint) as client:
        yield client


def taken_in(cloud: Cloud) -> list[EmailJob]:
    """What the engine makes of everything that arrived."""
    events = map(read_body, cloud.messages(cloud.bulk_queue))
    return [from_event(event, NOW) for event in events if isinstance(event, EventBridgeEvent)]


async def test_a_request_reaches_the_engine_as_it_was_asked(emails: EmailClient, cloud: Cloud) -> None:
    request = EmailRequest(
        to="ada@example.com",
        template_name="order-confirmation",
        template_data={"name": "Ädä", "items": [1, 2.5, None]},
        sender_override=SenderOverride(email="orders@shop.example", name="Orders"),
        idempotency_key="order-1042",
        priority="bulk",
        cc=["bob@example.com"],
        attachments=[Attachment(file_name="a.txt", content_type="text/plain", content="aGk=")],
        unsubscribe=Unsubscribe(url="https://shop.example/u"),
        metadata={"orderId": "1042"},
    )
    await emails.send(request)
    (job,) = taken_in(cloud)
    assert job.request == request
    assert job.source == "shop"


async def test_the_id_is_the_one_that_the_engine_gives_the_email(emails: EmailClient, cloud: Cloud) -> None:
    told = await emails.send_all([*keyed("order-1042"), REQUEST])
    assert [job.email_id for job in taken_in(cloud)] == told
    assert all(UUID(email_id).version == 5 for email_id in told)


async def test_the_same_request_twice_is_one_email(emails: EmailClient) -> None:
    (request,) = keyed("order-1042")
    assert await emails.send(request) == await emails.send(request)


async def test_requests_without_a_key_are_emails_of_their_own(emails: EmailClient) -> None:
    assert await emails.send(REQUEST) != await emails.send(REQUEST)


async def test_a_source_has_keys_of_its_own(emails: EmailClient, cloud: Cloud) -> None:
    (request,) = keyed("order-1042")
    async with EmailClient(cloud.bus, source="forum", endpoint_url=cloud.endpoint) as forum:
        assert await forum.send(request) != await emails.send(request)


async def test_to_ask_for_nothing_is_no_error(emails: EmailClient) -> None:
    assert await emails.send_all([]) == []


async def test_a_client_is_used_within_its_block(cloud: Cloud) -> None:
    client = EmailClient(cloud.bus, source="shop", endpoint_url=cloud.endpoint)
    with pytest.raises(RuntimeError, match="outside its 'async with' block"):
        await client.send(REQUEST)
    async with client:
        await client.send(REQUEST)
    with pytest.raises(RuntimeError, match="outside its 'async with' block"):
        await client.send(REQUEST)


# -- over a bus that misbehaves ------------------------------------------------------------------------------


class Bus:
    """Leaves the requests with these keys, `times` times each; breaks off where it is to hold `poison`."""

    def __init__(self, left: Iterable[str] = (), times: int = 99, poison: str | None = None) -> None:
        self._left = dict.fromkeys(left, times)
        self._poison = poison
        self.calls: list[list[str]] = []

    async def put_events(self, *, Entries: Any) -> dict[str, Any]:
        details = [json.loads(entry["Detail"]) for entry in Entries]
        keys = [detail["idempotencyKey"] for detail in details]
        self.calls.append(keys)
        if self._poison in keys:
            raise ClientError({"Error": {"Code": "ValidationException", "Message": ""}}, "PutEvents")
        results = [self._answer(key) for key in keys]
        return {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}

    def _answer(self, key: str) -> dict[str, str]:
        if self._left.get(key, 0) <= 0:
            return {"EventId": "id"}
        self._left[key] -= 1
        return {"ErrorCode": "InternalFailure", "ErrorMessage": "try again"}


@asynccontextmanager
async def client_of(bus: Bus) -> AsyncIterator[EmailClient]:
    async with EmailClient("bus", source="shop", endpoint_url="http://127.0.0.1:9") as client:
        stand_in: Any = bus
        client._client = stand_in
        yield client


async def test_requests_go_ten_a_call() -> None:
    bus = Bus()
    async with client_of(bus) as emails:
        assert len(set(await emails.send_all([REQUEST] * 23))) == 23
    assert [len(call) for call in bus.calls] == [10, 10, 3]


async def test_large_requests_go_in_more_calls() -> None:
    bus = Bus()
    large = replace(REQUEST, template_data={"text": "x" * 100_000})
    async with client_of(bus) as emails:
        await emails.send_all([large] * 5)
    assert [len(call) for call in bus.calls] == [2, 2, 1]


async def test_a_request_that_was_left_is_sent_again_with_the_same_key() -> None:
    bus = Bus(left=["b"], times=2)
    async with client_of(bus) as emails:
        await emails.send_all(keyed("a", "b", "c"))
    assert bus.calls == [["a", "b", "c"], ["b"], ["b"]]


async def test_a_key_is_set_before_a_request_leaves_and_stays_for_every_try() -> None:
    class Forgetful(Bus):
        def _answer(self, key: str) -> dict[str, str]:
            self._left.setdefault(key, 1)
            return super()._answer(key)

    bus = Forgetful()
    async with client_of(bus) as emails:
        await emails.send(REQUEST)
    first, second = (call[0] for call in bus.calls)
    assert first == second
    assert UUID(first).version == 4


async def test_the_error_names_those_that_were_not_accepted() -> None:
    keys = [f"k{number}" for number in range(15)]
    async with client_of(Bus(left=["k3", "k12"])) as emails:
        with pytest.raises(NotAcceptedError, match=r"^2 of 15 .* number 3: InternalFailure") as caught:
            await emails.send_all(keyed(*keys))
    assert [failed.index for failed in caught.value.failed] == [3, 12]
    assert [(failed.code, failed.message) for failed in caught.value.failed] == [
        ("InternalFailure", "try again")
    ] * 2


async def test_what_was_not_accepted_can_be_asked_for_again_without_a_second_email() -> None:
    """The error holds the requests with the keys that they left with, also for a call that broke off."""
    bus = Bus(poison="k1")
    async with client_of(bus) as emails:
        with pytest.raises(NotAcceptedError) as caught:
            await emails.send_all([REQUEST, *keyed("k1")])
    assert [failed.code for failed in caught.value.failed] == ["ServiceUnavailable"] * 2
    to_repeat = [caught.value.requests[failed.index] for failed in caught.value.failed]
    assert [request.idempotency_key for request in to_repeat] == bus.calls[0]


async def test_a_request_too_large_for_any_call_fails_alone() -> None:
    bus = Bus(poison="large")
    large = replace(REQUEST, idempotency_key="large", template_data={"text": "x" * 300_000})
    async with client_of(bus) as emails:
        with pytest.raises(NotAcceptedError) as caught:
            await emails.send_all([*keyed("a"), large, *keyed("b")])
    assert [failed.index for failed in caught.value.failed] == [1]


async def test_the_requests_of_the_caller_stay_as_they_were() -> None:
    async with client_of(Bus()) as emails:
        await emails.send(REQUEST)
    assert REQUEST.idempotency_key is None
