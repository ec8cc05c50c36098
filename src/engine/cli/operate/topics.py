"""`sesmailengine topics list|show|set`."""

import re
from typing import Annotated

import typer
from msgspec import Struct
from rich.console import Console

from engine.cli.operate.command import Call, YesOption, stack_command, table
from engine.operations.stack import DeployedStack
from engine.operations.topics import Subscriptions, list_topics, set_subscription, show_subscriptions
from engine.operations.verdict import Verdict
from engine.schemas.request import TOPIC_PATTERN
from engine.tracking.consent import EVERY_TOPIC

topics = typer.Typer(help="What people may unsubscribe from.", no_args_is_help=True)

Address = Annotated[str, typer.Argument(help="The address.")]


class _Changed(Struct, frozen=True, rename="camel"):
    address: str
    topic: str
    subscribed: bool


@stack_command(topics, "list")
def list_all(call: Call) -> None:
    """The topics of the hosted page and of the templates."""
    found = call.run(list_topics)

    def draw(console: Console) -> None:
        listing = table("topic", "name on the page", "templates")
        for each in found.topics:
            listing.add_row(each.topic, each.name, ", ".join(each.templates))
        console.print(listing)

    call.show(found, found.verdict(), draw if found.topics else None)


@stack_command(topics, "show")
def show(
    call: Call,
    address: Address,
    topic: Annotated[str | None, typer.Option(help="A topic that only requests name.")] = None,
) -> None:
    """What an address gets."""

    async def ask(stack: DeployedStack) -> Subscriptions:
        return await show_subscriptions(stack, address, topic)

    found = call.run(ask)

    def draw(console: Console) -> None:
        listing = table("topic", "mail")
        for each in found.topics:
            listing.add_row(each.topic, "is sent" if each.subscribed else "is not sent")
        console.print(listing)

    call.show(found, found.verdict(), draw if found.topics else None)


@stack_command(topics, "set")
def change(
    call: Call,
    address: Address,
    topic: Annotated[str, typer.Argument(help="The topic; `*` is every topic.")],
    *,
    subscribed: Annotated[
        bool | None,
        typer.Option("--on/--off", help="Whether mail of the topic is sent; one of them is needed."),
    ] = None,
    yes: YesOption = False,
) -> None:
    """Unsubscribe an address, or take that back, for a person who asked for it."""
    if topic != EVERY_TOPIC and re.fullmatch(TOPIC_PATTERN, topic) is None:
        raise typer.BadParameter(f"topic: expected `*` or 1 to 64 of a-z 0-9 -, not {topic!r}")
    if subscribed is None:
        raise typer.BadParameter("expected --on or --off")
    what = "every topic" if topic == EVERY_TOPIC else topic
    call.confirm(f"{'Send' if subscribed else 'Send no more'} mail of {what} to {address}?", yes=yes)

    async def act(stack: DeployedStack) -> Verdict:
        return await set_subscription(
            stack, address, topic, call.clock(), subscribed=subscribed, options=call.address.options
        )

    verdict = call.run(act)
    call.show(_Changed(address, topic, subscribed), verdict)
