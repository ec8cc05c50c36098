"""Batches of emails: how many calls to AWS an email costs, and what the queue is answered.

Every HTTP request that really leaves the sender is counted. On the emulator: moto has no PartiQL with
parameters.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from aiobotocore.httpsession import AIOHTTPSession
from tests.support.cloud import Cloud, queue_event, request_event, variables

from engine.handlers import email_sender
from engine.local.ses.threaded import ThreadedSimulator

N = 100


class Context:
    """Lambda's context, as far as the engine reads it."""

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


class EmulatedCloud(Cloud):
    """The emulator's account has another number than moto's."""

    def arn(self, queue: str) -> str:
        return super().arn(queue).replace(":123456789012:", ":000000000000:")


@pytest.fixture
def cloud(endpoint: str, ses: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A stack of this test's own in the emulator."""
    cloud = EmulatedCloud(endpoint)
    for name, value in (variables(cloud, ses.url) | {"SES_MAX_SEND_RATE": "100000"}).items():
        monkeypatch.setenv(name, value)
    yield cloud
    email_sender.environment.close()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What left, by operation; repeats of the SDK are counted as well."""
    left: Counter[str] = Counter()
    send = AIOHTTPSession.send

    async def counted(session: AIOHTTPSession, request: Any) -> Any:
        left[operation(request)] += 1
        return await send(session, request)

    monkeypatch.setattr(AIOHTTPSession, "send", counted)
    return left


def operation(request: Any) -> str:
    target = request.headers.get("X-Amz-Target")
    if target:
        name: str = (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]
        return name
    return f"{request.method} {request.url.partition('://')[2].partition('/')[2].partition('?')[0]}"


def handle(events: Sequence[dict[str, Any]]) -> None:
    assert email_sender.handler(queue_event(*events), Context()) == {"batchItemFailures": []}


def batch(**detail: Any) -> list[dict[str, Any]]:
    return [request_event(to=f"{number}@example.com", **detail) for number in range(N)]


def warm_up(calls: Counter[str]) -> None:
    """As an environment is after its first invocation."""
    handle([request_event(to="warm-up@example.com")])
    calls.clear()


def none_lost_none_twice(cloud: Cloud, ses: ThreadedSimulator, events: Sequence[dict[str, Any]]) -> None:
    asked = {event["detail"]["to"] for event in events}
    reached = Counter(message.to[0] for message in ses.messages)
    assert {to: times for to, times in reached.items() if to in asked} == dict.fromkeys(asked, 1)
    assert {row["status"] for row in cloud.rows()} == {"sent"}
    told = Counter(event["to"] for event in cloud.status_events() if event["status"] == "sent")
    assert {to: times for to, times in told.items() if to in asked} == dict.fromkeys(asked, 1)


def test_bulk_emails_take_a_quarter_of_a_call_each_at_most(
    cloud: Cloud, ses: ThreadedSimulator, calls: Counter[str]
) -> None:
    warm_up(calls)
    events = batch(priority="bulk")
    handle(events)
    assert calls["POST v2/email/outbound-bulk-emails"] == 2
    assert calls.total() <= 0.25 * N, calls
    none_lost_none_twice(cloud, ses, events)


@pytest.mark.parametrize("priority", ["transactional", "bulk"])
def test_emails_that_go_alone_take_one_and_a_half_calls_each_at_most(
    cloud: Cloud, ses: ThreadedSimulator, calls: Counter[str], monkeypatch: pytest.MonkeyPatch, priority: str
) -> None:
    """Even in the first invocation of an environment, which loads template and rate."""
    if priority == "bulk":
        monkeypatch.setenv("BULK_CALL_SIZE", "1")
    events = batch(priority=priority)
    handle(events)
    assert calls["POST v2/email/outbound-emails"] == N
    assert calls.total() <= 1.5 * N, calls
    none_lost_none_twice(cloud, ses, events)


def test_a_batch_that_is_delivered_again_sends_nothing_and_takes_no_more_calls(
    cloud: Cloud, ses: ThreadedSimulator, calls: Counter[str]
) -> None:
    events = batch(priority="bulk")
    handle(events)
    none_lost_none_twice(cloud, ses, events)
    calls.clear()
    handle(events)
    assert len(ses.messages) == N
    assert calls.total() <= 0.25 * N, calls


def test_bulk_emails_of_which_ses_takes_half_are_held_and_come_whole_at_the_next_delivery(
    cloud: Cloud, ses: ThreadedSimulator
) -> None:
    ses.faults.set(bulk_statuses=dict.fromkeys(range(25), "ACCOUNT_THROTTLED"))
    events = batch(priority="bulk")[:50]
    answer = email_sender.handler(queue_event(*events, queue_arn=cloud.arn("BulkEmailQueue")), Context())
    kept = [
        int(failure["itemIdentifier"].removeprefix("message-")) for failure in answer["batchItemFailures"]
    ]
    assert kept == list(range(25))
    handle([events[number] for number in kept])
    none_lost_none_twice(cloud, ses, events)


def test_a_batch_answers_with_the_messages_that_must_stay(cloud: Cloud, ses: ThreadedSimulator) -> None:
    cloud.put("Suppression", email="bob@example.com", suppressionType="manual", reason="asked us to")
    answer = email_sender.handler(
        queue_event(
            request_event(priority="bulk"),
            "unreadable",
            request_event(to="bob@example.com"),
            request_event(to="Eve@example.com"),
            queue_arn=cloud.arn("BulkEmailQueue"),
        ),
        Context(),
    )
    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-1"}]}
    assert sorted(message.to[0] for message in ses.messages) == ["Eve@example.com", "ada@example.com"]
    codes = {row["toEmail"]: row.get("failureCode") for row in cloud.rows()}
    assert codes == {"ada@example.com": None, "bob@example.com": "suppressed", "eve@example.com": None}
