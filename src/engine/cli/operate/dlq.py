"""`sesmailengine dlq …`: look into the dead-letter queues, redrive them, drop what is of no use."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from engine.cli.bar import Advance, progress_bar
from engine.cli.operate.command import BecauseOption, Call, YesOption, stack_command, table
from engine.cli.operate.default_command import default_command
from engine.operations import dlq as queues
from engine.operations import dlq_verdicts as verdicts
from engine.operations.conditions import BadMatchError, Condition, condition
from engine.operations.dlq import DeadLetterQueues, QueueContents, UnknownQueueError, queue_named
from engine.operations.queues import DEAD_LETTER_QUEUES, NOT_POSTED_AGAIN, WEBHOOK_DLQ
from engine.operations.redrive import Redriven
from engine.operations.stack import DeployedStack
from engine.operations.verdict import amount

dlq = typer.Typer(
    cls=default_command("list"),
    help="Dead-letter queues: look, redrive, drop. Without a command: a glance at all of them.",
)

Queue = Annotated[
    str, typer.Argument(metavar="QUEUE", help=f"One of {', '.join(DEAD_LETTER_QUEUES)}; a part will do.")
]
Match = Annotated[
    list[str] | None,
    typer.Option(
        "--match",
        metavar="KEY=VALUE",
        help="Only what meets it: template, source, campaign, kind (request, report, event, unreadable),"
        " email (its id), or cause (a part of it). All of several.",
    ),
]


@stack_command(dlq, "list")
def list_all(call: Call) -> None:
    """How many messages each queue holds, since when, and why; and how many emails are parked."""
    found = call.run(lambda stack: queues.overview(stack, call.clock))
    call.show(
        found,
        verdicts.overview_verdict(found, call.address.options),
        lambda console: _draw_all(console, found),
    )


@stack_command(dlq)
def show(
    call: Call,
    queue: Queue,
    match: Match = None,
    most: Annotated[int, typer.Option(min=1, help="Look at about so many messages.")] = 1000,
) -> None:
    """What lies in a queue: by cause, template and source, and of how many SES took the email."""
    name, conditions = _queue(queue), _conditions(match)
    found = call.run(lambda stack: queues.look(stack, name, call.clock, conditions=conditions, most=most))
    verdict = verdicts.contents_verdict(found, conditions, call.address.options)
    call.show(found, verdict, lambda console: _draw(console, found))


@stack_command(dlq)
def redrive(
    call: Call,
    queue: Queue,
    match: Match = None,
    rate: Annotated[
        float | None, typer.Option(min=0.01, help="Messages a second; as fast as it goes.")
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be handed on.")] = False,
    yes: YesOption = False,
) -> None:
    """Hand requests to EmailRetryQueue and reports to FeedbackProcessor; may be broken off and run again."""
    name, conditions = _queue(queue), _conditions(match)
    if name == WEBHOOK_DLQ:
        call.fail(f"{WEBHOOK_DLQ} holds events that webhooks did not take. {NOT_POSTED_AGAIN}")
    if dry_run:
        found = call.run(lambda stack: queues.look(stack, name, call.clock, conditions=conditions))
        verdict = verdicts.contents_verdict(found, conditions, call.address.options)
        call.show(found, verdict, lambda console: _draw(console, found))
    total = call.run(lambda stack: queues.depth_of(stack, name))
    which = f" that meet {' and '.join(map(str, conditions))}" if conditions else ""
    call.confirm(f"Redrive what {name} holds, about {total:,} messages{which}?", yes=yes)

    async def work(stack: DeployedStack, show: Advance) -> Redriven:
        return await queues.redrive(stack, name, call.clock, conditions=conditions, rate=rate, advance=show)

    with progress_bar(call.console, "handed on", total, hidden=call.json) as show:
        done = call.run(lambda stack: work(stack, show))
    verdict = verdicts.redriven_verdict(done, name, call.address.options)
    call.show(done, verdict, lambda console: _draw_failures(console, done.failed))


@stack_command(dlq)
def drop(
    call: Call, queue: Queue, because: BecauseOption, match: Match = None, *, yes: YesOption = False
) -> None:
    """Delete messages for good. An email that was never sent is lost by it."""
    name, conditions = _queue(queue), _conditions(match)
    found = call.run(lambda stack: queues.look(stack, name, call.clock, conditions=conditions, most=1000))
    if not call.json:
        _draw(call.console, found)
    more = " or more" if found.messages.total > 1000 else ""
    call.confirm(f"Delete {found.looked_at:,}{more} messages of {name} for good?", yes=yes)

    done = call.run(
        lambda stack: queues.drop(stack, name, call.clock, because=because, conditions=conditions)
    )
    call.show(done, verdicts.dropped_verdict(done, call.address.options))


def _queue(text: str) -> str:
    try:
        return queue_named(text)
    except UnknownQueueError as error:
        raise typer.BadParameter(str(error)) from None


def _conditions(match: Sequence[str] | None) -> list[Condition]:
    try:
        return [condition(text) for text in match or ()]
    except BadMatchError as error:
        raise typer.BadParameter(str(error)) from None


def _draw_all(console: Console, found: DeadLetterQueues) -> None:
    listing = table("queue", "messages", "oldest", "deleted from")
    for each in found.queues:
        listing.add_row(each.queue, f"{each.messages.total:,}", _minute(each.oldest), _minute(each.expires))
    console.print(listing)
    for each in found.queues:
        first = each.groups[0] if each.groups else None
        if what := f"mostly {first.kind}: {first.cause}" if first else each.problem:
            console.print(Text(f"{each.queue}: {what}"), soft_wrap=True)


def _draw(console: Console, found: QueueContents) -> None:
    listing = table("messages", "SES took", "oldest", "what, and why")
    for group in found.groups:
        of = "".join(
            f" {word} {name}" for word, name in (("of", group.template), ("from", group.source)) if name
        )
        listing.add_row(
            f"{group.count:,}",
            f"{group.known_as_sent:,}",
            _minute(group.oldest),
            Text(f"{group.kind}{of}\n{group.cause}", overflow="fold"),
        )
    console.print(
        f"{found.queue}: about {amount(found.messages.total, 'message')}, {found.looked_at:,} looked at"
    )
    if found.groups:
        console.print(listing)


def _draw_failures(console: Console, failed: dict[str, int]) -> None:
    for cause, count in failed.items():
        console.print(Text(f"{count:,} failed: {cause}"))


def _minute(moment: str | None) -> str:
    return moment[:16].replace("T", " ") if moment else ""
