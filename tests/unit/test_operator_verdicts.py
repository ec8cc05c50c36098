"""The sentence that an operator's command ends with, and the command that it names next."""

import pytest

from engine.operations.conditions import condition
from engine.operations.dlq import DeadLetterQueues, Dropped, QueueContents
from engine.operations.dlq_verdicts import (
    contents_verdict,
    dropped_verdict,
    overview_verdict,
    redriven_verdict,
)
from engine.operations.letter_groups import Group
from engine.operations.queues import QueueDepth
from engine.operations.redrive import Redriven
from engine.operations.suppression import Removed
from engine.operations.suppression_sync import Differences, differences_verdict
from engine.operations.suppression_table import Entry
from engine.operations.suppression_verdicts import removed_verdict

OPTIONS = " --stack shop"
ENTRY = Entry(address="ada@example.com", type="bounce")


def contents(
    queue: str = "EventBridgeDLQ", *groups: Group, hidden: int = 0, problem: str | None = None
) -> QueueContents:
    count = sum(group.count for group in groups)
    return QueueContents(
        queue=queue,
        messages=QueueDepth(queue=queue, visible=count, in_flight=hidden),
        looked_at=count,
        oldest=None,
        expires=None,
        groups=list(groups),
        problem=problem,
    )


def group(count: int, *, readable: bool = True) -> Group:
    return Group(
        kind="request" if readable else "unreadable",
        envelope="sqs",
        cause="given up",
        template="welcome",
        source="shop",
        count=count,
        known_as_sent=0,
        oldest=None,
    )


def redriven(**changes: int | dict[str, int] | str) -> Redriven:
    nothing = {"seen": 2, "requests": 2, "reports": 0, "unmatched": 0, "unreadable": 0}
    return Redriven(**{**nothing, "failed": {}, "stopped": None, **changes})  # type: ignore[arg-type] # by name


def test_the_fullest_queue_is_looked_at_first() -> None:
    found = DeadLetterQueues(
        queues=[
            contents("EventBridgeDLQ", group(1)),
            contents("BulkEmailDLQ", group(5)),
            contents("FeedbackProcessorDLQ"),
        ]
    )
    verdict = overview_verdict(found, OPTIONS)
    assert not verdict.good
    assert verdict.sentence == "Given up, and to be looked at: 1 in EventBridgeDLQ, 5 in BulkEmailDLQ."
    assert verdict.next_command == "sesmailengine dlq show BulkEmailDLQ --stack shop"


def test_what_can_not_be_looked_into_is_not_called_empty() -> None:
    verdict = contents_verdict(contents(problem="SQS ReceiveMessage answered AccessDenied"), [], OPTIONS)
    assert not verdict.good
    assert "AccessDenied" in verdict.sentence


def test_what_is_hidden_is_not_called_empty() -> None:
    assert contents_verdict(contents(), [], OPTIONS).good
    verdict = contents_verdict(contents(hidden=3), [], OPTIONS)
    assert not verdict.good
    assert "3 are hidden at the moment" in verdict.sentence


def test_a_redrive_is_suggested_with_the_conditions_of_the_look() -> None:
    verdict = contents_verdict(contents("BulkEmailDLQ", group(2)), [condition("template=welcome")], OPTIONS)
    assert (
        verdict.next_command
        == "sesmailengine dlq redrive BulkEmailDLQ --match 'template=welcome' --stack shop"
    )


def test_unreadable_messages_alone_can_only_be_dropped() -> None:
    verdict = contents_verdict(contents("EmailRetryDLQ", group(2, readable=False)), [], OPTIONS)
    assert (verdict.next_command or "").startswith(
        "sesmailengine dlq drop EmailRetryDLQ --match 'kind=unreadable'"
    )


@pytest.mark.parametrize(
    ("done", "good", "sentence", "next_command"),
    [
        (redriven(), True, "2 requests and 0 reports of Q were handed on.", None),
        (redriven(unmatched=1), True, "1 did not meet the conditions and stay.", None),
        (
            redriven(failed={"Boom": 3}),
            False,
            "3 failed in FeedbackProcessor and stay.",
            "sesmailengine dlq show Q",
        ),
        (
            redriven(stopped="SQS is away"),
            False,
            "Then it broke off: SQS is away.",
            "sesmailengine dlq redrive Q",
        ),
    ],
)
def test_a_redrive_says_what_stays_and_why(
    done: Redriven,
    good: bool,  # noqa: FBT001 - a column of the table
    sentence: str,
    next_command: str | None,
) -> None:
    verdict = redriven_verdict(done, "Q", "")
    assert (verdict.good, verdict.next_command) == (good, next_command)
    assert verdict.sentence.endswith(sentence)


def test_a_drop_that_broke_off_is_no_success() -> None:
    done = Dropped(queue="EmailRetryDLQ", seen=2, dropped=1, stopped="SQS is away")
    assert not dropped_verdict(done, OPTIONS).good
    assert dropped_verdict(Dropped(queue="Q", seen=2, dropped=2, stopped=None), OPTIONS).good


def test_soft_bounces_that_stay_are_told() -> None:
    done = Removed(address=ENTRY.address, ours=[ENTRY.address], ses=[], left=[], soft_bounces_stay=True)
    verdict = removed_verdict(done, OPTIONS)
    assert verdict.good
    assert "one more may suppress it again" in verdict.sentence


def test_what_only_ours_has_is_no_difference_to_act_on() -> None:
    verdict = differences_verdict(Differences(ses_only=[], ours_only=[ENTRY], pulled=0), OPTIONS)
    assert verdict.good
    assert "does no harm" in verdict.sentence
