"""`sesmailengine dlq`: what an operator sees of the dead-letter queues, and does with them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.cloud import Cloud, request_event
from tests.support.operators import Operator, facts
from typer.testing import Result

from engine.cli.operate.command import INTERRUPTED
from engine.operations.dlq import UnknownQueueError, queue_named
from engine.operations.queues import DEAD_LETTER_QUEUES
from engine.operations.redrive import Redrive
from engine.requests.email_job import email_id


@pytest.fixture
def queues(cloud: Cloud) -> dict[str, str]:
    """URLs of the dead-letter queues."""
    return {
        name: cloud.sqs.create_queue(QueueName=cloud.name(name))["QueueUrl"] for name in DEAD_LETTER_QUEUES
    }


@pytest.fixture
def dlq(cloud: Cloud) -> Callable[..., Result]:
    operator = Operator(cloud)
    return lambda *words: operator.run("dlq", *words)


def put(cloud: Cloud, url: str, *bodies: object, error: str = "NO_PERMISSIONS") -> None:
    attributes = {"ERROR_CODE": {"DataType": "String", "StringValue": error}}
    for body in bodies:
        text = body if isinstance(body, str) else json.dumps(body)
        cloud.sqs.send_message(QueueUrl=url, MessageBody=text, MessageAttributes=attributes)


def test_empty_queues_are_good_news(dlq: Callable[..., Result], queues: dict[str, str]) -> None:
    answer = dlq()
    assert answer.exit_code == 0
    assert "The dead-letter queues are empty." in answer.output
    assert all(name in answer.output for name in DEAD_LETTER_QUEUES), queues


def test_a_stack_that_is_not_there_is_not_called_empty(dlq: Callable[..., Result]) -> None:
    answer = dlq()  # without a queue
    assert answer.exit_code == 1
    assert "found no such resource of the stack" in answer.output


def test_a_long_cause_leaves_the_table_its_columns_on_80(
    dlq: Callable[..., Result], cloud: Cloud, queues: dict[str, str]
) -> None:
    cause = "FileNotFoundError: [Errno 2] No such file or directory: '/var/task/of/a/function/that/has/gone'"
    put(cloud, queues["FeedbackProcessorDLQ"], request_event(), error=cause)
    glance = dlq()
    assert all(f" {name} " in glance.output for name in DEAD_LETTER_QUEUES)
    assert f"FeedbackProcessorDLQ: mostly request: {cause}" in glance.output
    assert "of welcome from" in dlq("show", "feedback").output


def test_a_glance_names_depth_and_cause_and_where_to_look(
    dlq: Callable[..., Result], cloud: Cloud, queues: dict[str, str]
) -> None:
    put(cloud, queues["EventBridgeDLQ"], request_event(), request_event())
    answer = dlq("--json")
    assert answer.exit_code == 1
    first = facts(answer)["queues"][0]
    assert (first["queue"], first["messages"]["visible"], first["lookedAt"]) == ("EventBridgeDLQ", 2, 2)
    assert first["groups"][0]["cause"] == "NO_PERMISSIONS"
    assert first["oldest"] < first["expires"]
    assert facts(answer)["verdict"]["nextCommand"].startswith("sesmailengine dlq show EventBridgeDLQ --stack")


def test_mail_that_a_brake_parks_is_counted_and_no_trouble(
    dlq: Callable[..., Result], cloud: Cloud, queues: dict[str, str]
) -> None:
    assert queues
    parked = cloud.sqs.create_queue(QueueName=cloud.name("ParkedEmailQueue"))["QueueUrl"]
    put(cloud, parked, request_event())
    answer = dlq("list")
    assert answer.exit_code == 0
    assert "1 emails are parked until `sesmailengine go`" in answer.output


def test_show_groups_what_a_queue_holds_and_shows_no_content(
    dlq: Callable[..., Result], cloud: Cloud, queues: dict[str, str]
) -> None:
    put(cloud, queues["EventBridgeDLQ"], request_event(idempotencyKey="sent"), request_event())
    put(cloud, queues["EventBridgeDLQ"], "garbage", error="THROTTLING")
    cloud.put("EmailTracking", emailId=email_id("shop", "sent"), status="delivered", statusRank=3)
    answer = dlq("show", "eventbridge", "--json")
    groups = facts(answer)["groups"]
    assert [(each["kind"], each["count"], each["knownAsSent"]) for each in groups] == [
        ("request", 2, 1),
        ("unreadable", 1, 0),
    ]
    assert "ada@example.com" not in answer.output
    assert dlq("show", "event").exit_code == 1
    assert len(cloud.messages(queues["EventBridgeDLQ"])) == 3  # all given back


def test_redrive_hands_requests_on_and_tells_the_bus(
    dlq: Callable[..., Result], cloud: Cloud, queues: dict[str, str]
) -> None:
    heard = Operator(cloud).listen()
    asked = [request_event(), request_event(templateName="invoice")]
    put(cloud, queues["BulkEmailDLQ"], *asked)
    dry = dlq("redrive", "bulk", "--match", "template=invoice", "--dry-run", "--json")
    assert facts(dry)["lookedAt"] == 1
    done = dlq("redrive", "bulk", "--match", "template=invoice", "--yes")
    assert done.exit_code == 0, done.output
    assert "1 request and 0 reports of BulkEmailDLQ were handed on" in done.output
    assert [json.loads(body) for body in cloud.messages(cloud.retry_queue)] == [asked[1]]
    assert [json.loads(body) for body in cloud.messages(queues["BulkEmailDLQ"])] == [asked[0]]
    assert heard() == [("dlq-redrive", "BulkEmailDLQ template=invoice", "")]


def test_what_can_not_be_redriven_stays_and_is_said(
    dlq: Callable[..., Result], cloud: Cloud, queues: dict[str, str]
) -> None:
    heard = Operator(cloud).listen()
    put(cloud, queues["EmailRetryDLQ"], "garbage")
    answer = dlq("redrive", "emailretry", "--yes", "--rate", "50", "--json")
    assert answer.exit_code == 1
    assert facts(answer)["unreadable"] == 1
    assert heard() == []
    assert "dlq drop EmailRetryDLQ --match 'kind=unreadable'" in dlq("show", "retry").output.replace("\n", "")


def test_drop_deletes_what_is_meant_and_says_why_on_the_bus(
    dlq: Callable[..., Result], cloud: Cloud, queues: dict[str, str]
) -> None:
    heard = Operator(cloud).listen()
    put(cloud, queues["EmailRetryDLQ"], "garbage", request_event())
    options = ("drop", "EmailRetryDLQ", "--match", "kind=unreadable", "--because", "a test of ours")
    assert dlq(*options).exit_code == 1  # nobody could be asked
    answer = dlq(*options, "--yes")
    assert answer.exit_code == 0, answer.output
    assert len(cloud.messages(queues["EmailRetryDLQ"])) == 1
    assert heard() == [("dlq-drop", "EmailRetryDLQ kind=unreadable", "a test of ours")]


@pytest.mark.parametrize(
    "words", [("show", "e"), ("show", "nothing"), ("show", "bulk", "--match", "colour=red")]
)
def test_a_queue_or_condition_that_is_none_is_a_wrong_option(
    dlq: Callable[..., Result], words: tuple[str, ...]
) -> None:
    assert dlq(*words).exit_code == 2


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("EventBridgeDLQ", "EventBridgeDLQ"),
        ("feed", "FeedbackProcessorDLQ"),
        ("RETRY", "EmailRetryDLQ"),
        ("bulkemail", "BulkEmailDLQ"),
        ("webhook", "WebhookDLQ"),
    ],
)
def test_a_queue_is_known_by_a_part_of_its_name(text: str, name: str) -> None:
    assert queue_named(text) == name


def test_what_fits_several_queues_names_them_all() -> None:
    with pytest.raises(UnknownQueueError, match="FeedbackProcessorDLQ"):
        queue_named("dlq")


def test_what_webhooks_missed_is_shown_and_dropped_and_never_redriven(
    dlq: Callable[..., Result], cloud: Cloud, queues: dict[str, str]
) -> None:
    told = {"source": "sesmailengine", "detail-type": "Email Status Changed"}
    event = request_event() | told | {"detail": {"emailId": "1", "templateName": "welcome"}}
    put(cloud, queues["WebhookDLQ"], event, error="HTTP_STATUS")
    shown = dlq("show", "webhook", "--json")
    (group,) = facts(shown)["groups"]
    assert (group["kind"], group["template"]) == ("event", "welcome")
    assert "dlq drop WebhookDLQ" in facts(shown)["verdict"]["nextCommand"]
    refused = dlq("redrive", "webhook", "--yes")
    assert refused.exit_code == 1
    assert "only the engine may publish" in refused.output
    assert len(cloud.messages(queues["WebhookDLQ"])) == 1


def test_a_redrive_that_is_broken_off_is_told_all_the_same(
    dlq: Callable[..., Result], cloud: Cloud, queues: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    heard = Operator(cloud).listen()
    put(cloud, queues["BulkEmailDLQ"], request_event())
    monkeypatch.setattr(Redrive, "run", interrupted)
    assert dlq("redrive", "bulk", "--yes").exit_code == INTERRUPTED
    assert heard() == [("dlq-redrive", "BulkEmailDLQ", "")]
