"""Email at a later time: what the client asks of EventBridge Scheduler, and the commands over it."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import add
from typing import Any

import aioboto3
import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace
from tests.support.cloud import Cloud
from tests.support.operators import Operator

from engine.client import EmailClient, EmailRequest, NoSuchBusError, NotScheduledError
from engine.client.schedule import cancel, create
from engine.requests.email_job import EmailJob, from_event, read_body
from engine.schemas.envelopes import EventBridgeEvent

REQUEST = EmailRequest(to="ada@example.com", template_name="welcome", idempotency_key="order-1042")
LATER = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)


@pytest.fixture
async def scheduler(cloud: Cloud) -> AsyncIterator[Any]:
    session: Any = aioboto3.Session()
    async with session.client("scheduler", endpoint_url=cloud.endpoint) as client:
        await client.create_schedule_group(Name=cloud.name("Scheduled"))
        yield client


@pytest.fixture
async def emails(cloud: Cloud, scheduler: Any) -> AsyncIterator[EmailClient]:
    assert scheduler  # which makes the group
    async with EmailClient(cloud.bus, source="shop", endpoint_url=cloud.endpoint) as client:
        yield client


async def schedule_of(scheduler: Any, cloud: Cloud, email_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = await scheduler.get_schedule(Name=email_id, GroupName=cloud.name("Scheduled"))
    return answer


async def test_a_scheduled_email_goes_to_the_retry_queue_once_and_leaves_no_schedule(
    emails: EmailClient, scheduler: Any, cloud: Cloud
) -> None:
    schedule = await schedule_of(scheduler, cloud, await emails.schedule(REQUEST, LATER))
    assert schedule["ScheduleExpression"] == f"at({LATER:%Y-%m-%dT%H:%M:%S})"
    assert schedule["ScheduleExpressionTimezone"] == "UTC"
    assert schedule["ActionAfterCompletion"] == "DELETE"
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert schedule["Target"]["Arn"] == cloud.arn("EmailRetryQueue")
    role = f"arn:aws:iam::123456789012:role/{cloud.stack}-Schedule-eu-west-1"
    assert schedule["Target"]["RoleArn"] == role


async def test_the_engine_reads_it_as_the_same_email_asked_for_when_it_is_due(
    emails: EmailClient, scheduler: Any, cloud: Cloud
) -> None:
    email_id = await emails.schedule(REQUEST, LATER)
    event = read_body((await schedule_of(scheduler, cloud, email_id))["Target"]["Input"])
    assert isinstance(event, EventBridgeEvent)
    job = from_event(event, datetime.now(UTC))
    assert isinstance(job, EmailJob)
    assert (job.email_id, job.source, job.requested_at) == (email_id, "shop", LATER)
    assert job.request == REQUEST


async def test_a_time_in_another_zone_is_the_same_moment(
    emails: EmailClient, scheduler: Any, cloud: Cloud
) -> None:
    tokyo = LATER.astimezone(datetime.fromisoformat("2026-01-01T00:00:00+09:00").tzinfo)
    schedule = await schedule_of(scheduler, cloud, await emails.schedule(REQUEST, tokyo))
    assert schedule["ScheduleExpression"] == f"at({LATER:%Y-%m-%dT%H:%M:%S})"


async def test_asking_twice_for_the_same_is_one_schedule(emails: EmailClient) -> None:
    assert await emails.schedule(REQUEST, LATER) == await emails.schedule(REQUEST, LATER)


@pytest.mark.parametrize("change", ["time", "content"])
async def test_another_time_or_content_under_the_same_key_is_refused(
    emails: EmailClient, change: str
) -> None:
    await emails.schedule(REQUEST, LATER)
    later = LATER + timedelta(hours=1) if change == "time" else LATER
    request = replace(REQUEST, template_name="other") if change == "content" else REQUEST
    with pytest.raises(NotScheduledError, match="cancel it first"):
        await emails.schedule(request, later)


async def test_a_cancelled_email_has_no_schedule_and_may_be_scheduled_anew(emails: EmailClient) -> None:
    email_id = await emails.schedule(REQUEST, LATER)
    assert await emails.cancel_scheduled(email_id)
    assert not await emails.cancel_scheduled(email_id)
    assert await emails.schedule(REQUEST, LATER + timedelta(hours=1)) == email_id


async def test_an_email_that_is_due_is_not_taken_back_though_its_schedule_is_still_there(
    emails: EmailClient, scheduler: Any, cloud: Cloud
) -> None:
    """Scheduler deletes it a while after it has run, and until then it could be deleted."""
    email_id = await emails.schedule(REQUEST, LATER)
    for seconds in (-9, 0, 60):
        late = partial(add, LATER, timedelta(seconds=seconds))
        async with EmailClient(cloud.bus, source="shop", clock=late, endpoint_url=cloud.endpoint) as client:
            assert not await client.cancel_scheduled(email_id)
    assert await schedule_of(scheduler, cloud, email_id)


async def test_whether_an_email_was_taken_back_in_time_is_not_guessed(
    emails: EmailClient, cloud: Cloud
) -> None:
    email_id = await emails.schedule(REQUEST, LATER)
    times = iter([LATER - timedelta(seconds=20), LATER + timedelta(seconds=5)])
    async with EmailClient(
        cloud.bus, source="shop", clock=lambda: next(times), endpoint_url=cloud.endpoint
    ) as client:
        with pytest.raises(NotScheduledError, match=f"explain {email_id}"):
            await client.cancel_scheduled(email_id)


async def test_an_email_that_two_take_back_at_once_is_taken_back_for_both() -> None:
    class Gone:
        async def get_schedule(self, **_: Any) -> dict[str, str]:
            return {"ScheduleExpression": f"at({LATER:%Y-%m-%dT%H:%M:%S})"}

        async def delete_schedule(self, **_: Any) -> None:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "DeleteSchedule")

    assert await cancel(Gone(), "group", "id", lambda: datetime.now(UTC))


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("ResourceNotFoundException", "just now handed over or taken back; schedule it again"),
        ("AccessDeniedException", "docs/scheduling.md has the permissions"),
    ],
)
async def test_a_schedule_in_the_way_that_can_not_be_read_is_told(code: str, told: str) -> None:
    class Unreadable:
        async def create_schedule(self, **_: Any) -> None:
            raise ClientError({"Error": {"Code": "ConflictException"}}, "CreateSchedule")

        async def get_schedule(self, **_: Any) -> None:
            raise ClientError({"Error": {"Code": code}}, "GetSchedule")

    with pytest.raises(NotScheduledError, match=told):
        await create(Unreadable(), {"Name": "id", "GroupName": "group"})


async def test_a_time_without_a_zone_or_in_the_past_is_refused_before_anything_is_asked(
    emails: EmailClient,
) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        await emails.schedule(REQUEST, datetime(2030, 1, 1))  # noqa: DTZ001 - the mistake itself
    with pytest.raises(ValueError, match="has passed"):
        await emails.schedule(REQUEST, datetime(2020, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"to": "nobody"}, "to is not an email address"),
        ({"template_name": "../secrets"}, "templateName"),
        ({"expires_at": datetime(2040, 1, 1)}, "expiresAt: must be a time with its zone"),  # noqa: DTZ001
        ({"expires_at": LATER - timedelta(seconds=1)}, "before the email is due"),
    ],
)
async def test_what_would_be_refused_when_it_is_due_is_refused_now(
    emails: EmailClient, scheduler: Any, cloud: Cloud, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(NotScheduledError, match=told):
        await emails.schedule(replace(REQUEST, **change), LATER)
    assert (await scheduler.list_schedules(GroupName=cloud.name("Scheduled")))["Schedules"] == []


@pytest.mark.parametrize(
    ("code", "advice"), [("ResourceNotFoundException", "update it"), ("AccessDeniedException", "permissions")]
)
async def test_a_schedule_that_is_refused_says_what_to_do(code: str, advice: str) -> None:
    class Refusing:
        async def create_schedule(self, **_: Any) -> None:
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "CreateSchedule")

    with pytest.raises(NotScheduledError, match=advice):
        await create(Refusing(), {})


async def test_a_bus_that_is_not_there_or_not_an_engines_is_named(cloud: Cloud) -> None:
    async with EmailClient("nowhere-EmailBus", source="shop", endpoint_url=cloud.endpoint) as emails:
        with pytest.raises(NoSuchBusError, match="nowhere-EmailBus"):
            await emails.schedule(REQUEST, LATER)
    cloud.events.create_event_bus(Name=f"{cloud.stack}-other")
    async with EmailClient(f"{cloud.stack}-other", source="shop", endpoint_url=cloud.endpoint) as emails:
        with pytest.raises(NotScheduledError, match="must end in -EmailBus"):
            await emails.schedule(REQUEST, LATER)


# -- the commands --------------------------------------------------------------------------------------------


async def run(cloud: Cloud, *arguments: str) -> tuple[int, str]:
    result = await asyncio.to_thread(Operator(cloud).run, "scheduled", *arguments)
    return result.exit_code, result.output


async def test_the_list_shows_what_is_due_first_and_none_of_the_content(
    emails: EmailClient, cloud: Cloud
) -> None:
    secret = replace(REQUEST, template_data={"code": "s3cret"}, idempotency_key="b", to="bob@example.com")
    await emails.schedule(secret, LATER + timedelta(hours=1))
    first = await emails.schedule(REQUEST, LATER)
    code, output = await run(cloud, "list", "--json")
    found = json.loads(output)
    assert code == 0
    assert [email["to"] for email in found["emails"]] == ["ada@example.com", "bob@example.com"]
    assert found["emails"][0]["emailId"] == first
    assert not found["more"]
    assert "s3cret" not in output
    code, output = await run(cloud, "list")
    assert code == 0
    assert "2 scheduled emails." in output
    assert first in output  # whole, in eighty columns: it is what `cancel` takes


async def test_the_list_says_that_there_are_more(emails: EmailClient, cloud: Cloud) -> None:
    for number in range(3):
        await emails.schedule(replace(REQUEST, idempotency_key=f"{number}"), LATER)
    _, output = await run(cloud, "list", "--limit", "2")
    assert "raise --limit" in output


@pytest.mark.usefixtures("scheduler")
async def test_an_empty_list_says_so(cloud: Cloud) -> None:
    assert await run(cloud, "list") == (0, "No email is scheduled.\n")


async def test_the_command_cancels_once_and_then_says_that_there_is_none(
    emails: EmailClient, cloud: Cloud
) -> None:
    email_id = await emails.schedule(REQUEST, LATER)
    code, output = await run(cloud, "cancel", email_id, "--yes")
    assert code == 0
    assert "is cancelled" in output
    code, output = await run(cloud, "cancel", email_id, "--yes")
    assert code == 1
    assert f"sesmailengine explain {email_id}" in output.replace("\n", " ")


async def test_nothing_is_cancelled_where_nobody_can_be_asked(emails: EmailClient, cloud: Cloud) -> None:
    email_id = await emails.schedule(REQUEST, LATER)
    code, output = await run(cloud, "cancel", email_id)
    assert code == 1
    assert "--yes" in output
    assert await emails.cancel_scheduled(email_id)


async def test_what_is_no_email_id_is_told_and_asks_nothing(cloud: Cloud) -> None:
    code, output = await run(cloud, "cancel", "order-1")
    assert code == 1
    assert "'order-1' is no email id." in output
