"""How the SES simulator misbehaves when it is told to."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from tests.support.ses_requests import bulk, connected, entry, refusal, simple

from engine.local.ses import Simulator, serve


@pytest.mark.parametrize(
    ("plan", "code", "status"),
    [
        ({"throttle_next": 1}, "TooManyRequestsException", 429),
        ({"server_error_next": 1}, "InternalFailure", 500),
        (
            {"refuse_next": 1, "refuse_code": "MailFromDomainNotVerifiedException"},
            "MailFromDomainNotVerifiedException",
            400,
        ),
    ],
)
async def test_a_counted_fault_hits_as_often_as_it_says(
    client: Any, ses: Simulator, plan: dict[str, Any], code: str, status: int
) -> None:
    ses.faults.set(**plan)
    got, _, http_status = await refusal(client.send_email(**simple()))
    assert (got, http_status) == (code, status)
    await client.send_email(**simple())
    assert len(ses.messages) == 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("sending_paused", "SendingPausedException"),
        ("account_suspended", "AccountSuspendedException"),
        ("daily_quota_used_up", "LimitExceededException"),
    ],
)
async def test_a_lasting_fault_refuses_every_call_until_it_is_cleared(
    client: Any, ses: Simulator, fault: str, code: str
) -> None:
    ses.faults.set(**{fault: True})
    assert (await refusal(client.send_email(**simple())))[0] == code
    assert (await refusal(client.send_bulk_email(**bulk(entry("a@x.io")))))[0] == code
    account = await client.get_account()
    if fault == "daily_quota_used_up":
        assert account["SendQuota"]["SentLast24Hours"] == account["SendQuota"]["Max24HourSend"]
    else:
        assert account["SendingEnabled"] is False
    ses.faults.clear()
    await client.send_email(**simple())
    assert (await client.get_account())["SendingEnabled"] is True


async def test_a_reset_before_accepting_leaves_nothing_behind(client: Any, ses: Simulator) -> None:
    ses.faults.set(reset_before_next=1)
    with pytest.raises(ConnectionClosedError):
        await client.send_email(**simple())
    assert ses.messages == ()


async def test_a_reset_after_accepting_leaves_the_message_and_its_events(client: Any, ses: Simulator) -> None:
    ses.faults.set(reset_after_next=1)
    with pytest.raises(ConnectionClosedError):
        await client.send_email(**simple())
    assert [event.event_type for event in ses.events] == ["Send", "Delivery"]


async def test_a_hanging_call_was_accepted_and_is_never_answered(ses: Simulator) -> None:
    ses.faults.set(hang_after_next=1)
    async with serve(ses) as url, connected(url, read_timeout=0.2) as client:
        with pytest.raises(ReadTimeoutError):
            await client.send_email(**simple())
    assert [event.event_type for event in ses.events] == ["Send", "Delivery"]


async def test_bulk_entries_fail_with_the_status_the_plan_gives_them(client: Any, ses: Simulator) -> None:
    ses.faults.set(bulk_statuses={1: "TRANSIENT_FAILURE"})
    request = bulk(entry("a@x.io"), entry("b@x.io"))
    answer = await client.send_bulk_email(**request)
    assert [result["Status"] for result in answer["BulkEmailEntryResults"]] == [
        "SUCCESS",
        "TRANSIENT_FAILURE",
    ]
    again = await client.send_bulk_email(**request)
    assert {result["Status"] for result in again["BulkEmailEntryResults"]} == {"SUCCESS"}


async def test_get_account_may_fail_by_itself(client: Any, ses: Simulator) -> None:
    ses.faults.set(get_account_error_next=1)
    await client.send_email(**simple())
    assert (await refusal(client.get_account()))[0] == "InternalFailure"
    assert (await client.get_account())["SendingEnabled"] is True


async def test_a_plan_counts_down_under_several_hands(ses: Simulator) -> None:
    ses.faults.set(throttle_next=100)
    with ThreadPoolExecutor(8) as hands:
        refusals = list(hands.map(lambda _: ses.faults.refusal(), range(150)))
    assert sum(refusal is not None for refusal in refusals) == 100


async def test_the_answer_may_be_late(client: Any, ses: Simulator) -> None:
    ses.faults.set(answer_seconds=0.001)
    assert (await client.send_email(**simple()))["MessageId"] == ses.messages[0].message_id


async def test_faults_and_account_are_steered_over_http(ses: Simulator) -> None:
    async with serve(ses) as url, aiohttp.ClientSession(url) as http:
        async with http.patch("/_simulator/faults", json={"throttle_next": 2}) as answer:
            assert (await answer.json())["throttle_next"] == 2
        async with http.get("/_simulator/faults") as answer:
            assert (await answer.json())["throttle_next"] == 2
        async with http.patch("/_simulator/faults", json={"throttle_nxt": 2}) as answer:
            assert (answer.status, (await answer.json())["message"]) == (
                400,
                "Object contains unknown field `throttle_nxt`",
            )
        async with http.delete("/_simulator/faults") as answer:
            assert (answer.status, ses.faults.plan.throttle_next) == (204, 0)
        async with http.patch("/_simulator/account", json={"max_send_rate": 7}) as answer:
            assert (answer.status, ses.usage.account.max_send_rate) == (200, 7)
        async with http.patch("/_simulator/account", json={"max_send_rate": "fast"}) as answer:
            assert answer.status == 400


async def test_messages_and_events_are_read_reported_and_released_over_http(
    client: Any, ses: Simulator
) -> None:
    async with aiohttp.ClientSession(client.meta.endpoint_url) as http:
        ses.faults.set(events_held=True)
        message_id = (await client.send_email(**simple()))["MessageId"]
        async with http.get("/_simulator/messages") as answer:
            assert [message["message_id"] for message in await answer.json()] == [message_id]
        async with http.post("/_simulator/release?count=1&newest_first=1") as answer:
            assert await answer.json() == {"released": 1}
        async with http.post("/_simulator/release") as answer:
            assert await answer.json() == {"released": 1}
        ses.faults.clear()
        async with http.post(f"/_simulator/messages/{message_id}/report/complaint") as answer:
            assert answer.status == 204
        async with http.post(f"/_simulator/messages/{message_id}/report/nonsense") as answer:
            assert answer.status == 404
        async with http.get("/_simulator/events") as answer:
            kinds = [event["eventType"] for event in await answer.json()]
        assert kinds == ["Delivery", "Send", "Complaint"]
