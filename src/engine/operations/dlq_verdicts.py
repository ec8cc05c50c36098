"""What an operator is told of the dead-letter queues, in a sentence, and the command to run next."""

from collections.abc import Sequence

from engine.operations.conditions import Condition
from engine.operations.dlq import DeadLetterQueues, Dropped, QueueContents
from engine.operations.queues import NOT_POSTED_AGAIN, PARKED, WEBHOOK_DLQ
from engine.operations.redrive import Redriven
from engine.operations.verdict import Verdict, amount


def overview_verdict(found: DeadLetterQueues, options: str) -> Verdict:
    full = [each for each in found.queues if each.queue != PARKED and each.messages.total]
    parked = sum(each.messages.total for each in found.queues if each.queue == PARKED)
    waiting = f" {parked:,} emails are parked until `sesmailengine go`." if parked else ""
    if not full:
        return Verdict(good=True, sentence=f"The dead-letter queues are empty.{waiting}")
    worst = max(full, key=lambda each: each.messages.total)
    listed = ", ".join(f"{each.messages.total:,} in {each.queue}" for each in full)
    return Verdict(
        good=False,
        sentence=f"Given up, and to be looked at: {listed}.{waiting}",
        next_command=f"sesmailengine dlq show {worst.queue}{options}",
    )


def contents_verdict(found: QueueContents, conditions: Sequence[Condition], options: str) -> Verdict:
    if found.problem:
        return Verdict(good=False, sentence=f"{found.queue} could not be looked into: {found.problem}.")
    if not found.looked_at:
        which = " that meets the conditions" if conditions else ""
        hidden = found.messages.in_flight
        later = f"; {hidden:,} are hidden at the moment, look again in a minute" if hidden else ""
        return Verdict(good=not hidden, sentence=f"{found.queue} holds nothing{which}{later}.")
    if found.queue == WEBHOOK_DLQ:
        told = f"{amount(found.looked_at, 'event')} that a webhook did not take. {NOT_POSTED_AGAIN}"
        drop = f'sesmailengine dlq drop {found.queue}{match_options(conditions)} --because "…"{options}'
        return Verdict(good=False, sentence=told, next_command=drop)
    sent = sum(group.known_as_sent for group in found.groups)
    unreadable = sum(group.count for group in found.groups if group.kind == "unreadable")
    told = f"{amount(found.looked_at, 'message')}; SES took the emails of {sent:,} of them"
    if unreadable:
        told += f"; {unreadable:,} are neither request nor report"
    if unreadable == found.looked_at:
        matched = f'{match_options([Condition("kind", "unreadable")])} --because "…"'
        next_command = f"sesmailengine dlq drop {found.queue}{matched}{options}"
    else:
        next_command = f"sesmailengine dlq redrive {found.queue}{match_options(conditions)}{options}"
    return Verdict(
        good=False,
        sentence=f"{told}. Mend the cause, then redrive: nothing is sent twice.",
        next_command=next_command,
    )


def redriven_verdict(done: Redriven, name: str, options: str) -> Verdict:
    told = f"{amount(done.requests, 'request')} and {amount(done.reports, 'report')} of {name} were handed on"
    left = {
        "did not meet the conditions": done.unmatched,
        "are neither request nor report": done.unreadable,
        "failed in FeedbackProcessor": sum(done.failed.values()),
    }
    stays = "".join(f"; {count:,} {why} and stay" for why, count in left.items() if count)
    if done.stopped:
        again = f"sesmailengine dlq redrive {name}{options}"
        return Verdict(
            good=False, sentence=f"{told}{stays}. Then it broke off: {done.stopped}.", next_command=again
        )
    wrong = done.unreadable or done.failed
    return Verdict(
        good=not wrong,
        sentence=f"{told}{stays}.",
        next_command=f"sesmailengine dlq show {name}{options}" if wrong else None,
    )


def dropped_verdict(done: Dropped, options: str) -> Verdict:
    told = f"{done.dropped:,} of {done.seen:,} messages of {done.queue} were deleted"
    if done.stopped:
        again = f"sesmailengine dlq show {done.queue}{options}"
        return Verdict(good=False, sentence=f"{told}. Then it broke off: {done.stopped}.", next_command=again)
    return Verdict(good=True, sentence=f"{told}.")


def match_options(conditions: Sequence[Condition]) -> str:
    return "".join(f" --match '{each}'" for each in conditions)
