"""`sesmailengine webhooks add|list|test|remove`."""

import asyncio
import secrets
import socket
from base64 import b64encode
from typing import Annotated

import typer
from msgspec import Struct
from rich.console import Console
from rich.text import Text

from engine.aws.signed_webhooks import SECRET_PREFIX
from engine.cli.operate.command import Call, YesOption, stack_command, table
from engine.operations.actions import tell
from engine.operations.stack import DeployedStack
from engine.operations.verdict import Verdict, amount
from engine.operations.webhook import Webhook, WebhookList
from engine.operations.webhook_target import (
    EVENTS,
    WebhookRefusedError,
    check_addresses,
    events_named,
    header_of,
    host_of,
    name_of,
)
from engine.operations.webhooks import open_webhooks

webhooks = typer.Typer(help="What became of email, posted to an HTTPS endpoint.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="As `list` shows it.")]

_HEADER, _RATE = "Authorization", 50


class Added(Struct, frozen=True, kw_only=True, rename="camel"):
    """`token`: what was made for the header, None where it was given or bodies are signed.

    `secret`: what they are signed with. Nobody can be told either again.
    """

    webhook: Webhook
    header: str | None
    token: str | None
    secret: str | None = None


@stack_command(webhooks)
def add(
    call: Call,
    url: Annotated[str, typer.Argument(metavar="URL", help="An https URL in the public internet.")],
    events: Annotated[str, typer.Option(help=f"With commas, of {', '.join(EVENTS)}.")],
    *,
    source: Annotated[
        str | None, typer.Option(help="Only email that this source asked for; of unsubscribes, all.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="1 to 12 of a-z, 0-9, -; made of the host.")] = None,
    rate: Annotated[int | None, typer.Option(min=1, max=300, help="Requests a second at most; 50.")] = None,
    header: Annotated[
        str | None,
        typer.Option(metavar="NAME=VALUE", help="What each request carries; else a token made for it."),
    ] = None,
    signed: Annotated[
        bool, typer.Option("--signed", help="Sign each body (Standard Webhooks); needs SignedWebhooks.")
    ] = False,
    yes: YesOption = False,
) -> None:
    """Post events to a URL from now on."""
    local = call.address.endpoint_url is not None
    if signed and (header is not None or rate is not None):
        raise typer.BadParameter("--signed goes without --header and --rate: a function posts")
    try:
        host = host_of(url, local=local)
        wanted, own = events_named(events), name_of(name, host)
        given = header_of(header) if header is not None else None
        if not local:
            check_addresses(host, asyncio.run(resolve(host)))
    except WebhookRefusedError as error:
        raise typer.BadParameter(str(error)) from None
    call.confirm(f"Post {', '.join(wanted)} to {host}, with the addresses that they name?", yes=yes)
    token = None if given or signed else secrets.token_urlsafe(32)
    secret = SECRET_PREFIX + b64encode(secrets.token_bytes(32)).decode() if signed else None
    each_second = None if signed else rate or _RATE
    webhook = Webhook(name=own, url=url, events=wanted, source=source, rate=each_second, signed=signed)

    async def act(stack: DeployedStack) -> None:
        there = await open_webhooks(stack)
        if secret:
            functions, kept = await stack.client("lambda"), await stack.client("secretsmanager")
            await there.add_signed(webhook, secret, functions, kept)
        else:
            await there.add(webhook, given or (_HEADER, f"Bearer {token}"))
        await tell(stack, "webhook-add", f"{own} {host}", None, call.clock())

    call.run(act)
    verdict = Verdict(
        good=True,
        sentence=f"The webhook {own} gets events from now on.",
        next_command=f"sesmailengine webhooks test {own}{call.address.options}",
    )
    named = None if signed else given[0] if given else _HEADER
    added = Added(webhook=webhook, header=named, token=token, secret=secret)
    call.show(added, verdict, lambda console: _draw_token(console, token, secret))


@stack_command(webhooks, "list")
def list_all(call: Call) -> None:
    """Every webhook, and whether all of it is switched on."""

    async def ask(stack: DeployedStack) -> WebhookList:
        return WebhookList(webhooks=await (await open_webhooks(stack)).list())

    found = call.run(ask)
    call.show(found, listed_verdict(found), lambda console: _draw(console, found))


@stack_command(webhooks)
def test(call: Call, name: Name) -> None:
    """Publish a test event for one webhook, which takes the way of all others."""

    async def act(stack: DeployedStack) -> Webhook:
        return await (await open_webhooks(stack)).test(name, call.clock())

    webhook = call.run(act)
    call.show(webhook, tested_verdict(webhook))


@stack_command(webhooks)
def remove(call: Call, name: Name, *, yes: YesOption = False) -> None:
    """Post no more events to it."""
    call.confirm(f"Remove the webhook {name}? Events that it has not taken yet are lost.", yes=yes)

    async def act(stack: DeployedStack) -> None:
        there = await open_webhooks(stack)
        await there.remove(name)
        await there.forget_secret(name, await stack.client("secretsmanager"))
        await tell(stack, "webhook-remove", name, None, call.clock())

    call.run(act)
    call.answer(Verdict(good=True, sentence=f"The webhook {name} is removed."))


async def resolve(host: str) -> list[str]:
    """Every address of a host; none where DNS knows none."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [str(sockaddr[0]) for *_, sockaddr in found]


def listed_verdict(found: WebhookList) -> Verdict:
    off = [each for each in found.webhooks if not each.is_active]
    if off:
        told = "; ".join(f"{each.name}: {each.state}" for each in off)
        return Verdict(good=False, sentence=f"Not active: {told}. Remove it and add it again.")
    if not found.webhooks:
        return Verdict(good=True, sentence="There is no webhook.")
    return Verdict(good=True, sentence=f"{amount(len(found.webhooks), 'webhook')}, all active.")


def tested_verdict(webhook: Webhook) -> Verdict:
    if not webhook.is_active:
        return Verdict(good=False, sentence=f"Published, and it will not arrive: {webhook.state}.")
    return Verdict(
        good=True,
        sentence=f'Published: "Webhook Test" should reach {webhook.url} within a minute. What it refuses is'
        " tried for 24 hours, and then lies in WebhookDLQ.",
    )


def _draw_token(console: Console, token: str | None, secret: str | None) -> None:
    if token:
        console.print(Text(f"Each request carries: {_HEADER}: Bearer {token}"), soft_wrap=True)
    if secret:
        console.print(Text(f"Each body is signed with: {secret}"), soft_wrap=True)
    if token or secret:
        console.print("Keep it: it is not shown again.")


def _draw(console: Console, found: WebhookList) -> None:
    if not found.webhooks:
        return
    listing = table("name", "events", "source", "rate/s", "state", "URL")
    for each in found.webhooks:
        listing.add_row(
            each.name,
            ", ".join(each.events),
            each.source or "all",
            "signed" if each.signed else f"{each.rate}",
            each.state,
            Text(each.url, overflow="fold"),
        )
    console.print(listing)
