"""`sesmailengine scheduled list|cancel`."""

from typing import Annotated

import typer
from msgspec import Struct
from rich.console import Console
from rich.text import Text

from engine.cli.operate.command import Call, YesOption, stack_command, table
from engine.operations.actions import tell
from engine.operations.emails import is_email_id
from engine.operations.scheduled import ScheduledEmails, open_scheduled
from engine.operations.stack import DeployedStack
from engine.operations.verdict import Verdict

scheduled = typer.Typer(help="Email that is to be sent later.", no_args_is_help=True)


class _Cancelled(Struct, frozen=True, rename="camel"):
    email_id: str
    cancelled: bool


@stack_command(scheduled, "list")
def list_scheduled(
    call: Call, limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100
) -> None:
    """The emails that wait for their time, the first due first."""

    async def ask(stack: DeployedStack) -> ScheduledEmails:
        return await (await open_scheduled(stack)).list(limit)

    found = call.run(ask)
    call.show(found, found.verdict(), lambda console: _draw(console, found))


@stack_command(scheduled, "cancel")
def cancel_scheduled(call: Call, email_id: str, *, yes: YesOption = False) -> None:
    """Take a scheduled email back before it is due."""
    if not is_email_id(email_id):
        none = f"{email_id!r} is no email id. `sesmailengine scheduled list` shows those that are scheduled."
        call.answer(Verdict(good=False, sentence=none))
    call.confirm(f"Cancel the scheduled email {email_id}?", yes=yes)

    async def act(stack: DeployedStack) -> Verdict:
        verdict = await (await open_scheduled(stack)).cancel(email_id, call.address.options)
        if verdict.good:
            await tell(stack, "scheduled-cancel", email_id, "", call.clock())
        return verdict

    verdict = call.run(act)
    call.show(_Cancelled(email_id, verdict.good), verdict)


def _draw(console: Console, found: ScheduledEmails) -> None:
    if not found.emails:
        return
    listing = table("due (UTC)", "to, and the email's id", "template", "source")
    listing.columns[1].no_wrap = True  # `scheduled cancel` takes the id whole
    for email in found.emails:
        at = f"{email.at:%Y-%m-%d %H:%M:%S}" if email.at else "?"
        listing.add_row(
            at, Text(f"{email.to}\n{email.email_id}"), Text(email.template_name), Text(email.source)
        )
    console.print(listing)
