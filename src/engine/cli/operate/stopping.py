"""`sesmailengine stop`, `go` and `cancel`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from engine.cli.bar import progress_bar
from engine.cli.operate.command import BecauseOption, Call, YesOption, table
from engine.operations import stopping
from engine.operations.parked import Return
from engine.operations.scopes import scope_in_words, scope_named
from engine.operations.stack import DeployedStack
from engine.operations.stopping import Cancelled, OnProgress, Resumed
from engine.operations.stopping_verdicts import cancelled_verdict, resumed_verdict, stopped_verdict
from engine.schemas.rows import BrakeRow

AllOption = Annotated[bool, typer.Option("--all", help="All mail.")]
BulkOption = Annotated[bool, typer.Option("--bulk", help="Bulk mail.")]
TemplateOption = Annotated[str | None, typer.Option("--template", help="Mail from this template.")]
CampaignOption = Annotated[str | None, typer.Option("--campaign", help="Mail of this campaign.")]


def stop(
    call: Call,
    *,
    because: BecauseOption,
    all_: AllOption = False,
    bulk: BulkOption = False,
    template: TemplateOption = None,
    campaign: CampaignOption = None,
    yes: YesOption = False,
) -> None:
    """Stop mail within two seconds. It is parked and keeps for 14 days; `go` brings it back."""
    scope = _scope(all_=all_, bulk=bulk, template=template, campaign=campaign)
    call.confirm(f"{call.address.stack}: stop {scope_in_words(scope)}?", yes=yes)
    facts = call.run(lambda stack: stopping.stop(stack, scope, because, call.clock))
    verdict = stopped_verdict(facts, call.address.options)
    call.show(facts, verdict, lambda console: _draw(console, [facts.brake]))


def go(
    call: Call,
    *,
    all_: AllOption = False,
    bulk: BulkOption = False,
    template: TemplateOption = None,
    campaign: CampaignOption = None,
    everything: Annotated[bool, typer.Option("--everything", help="Whatever is stopped.")] = False,
    uncancel: Annotated[
        bool, typer.Option("--uncancel", help="Let a cancelled campaign go again; what failed stays so.")
    ] = False,
    yes: YesOption = False,
) -> None:
    """Let what was stopped go, and bring back what was parked. May be broken off and run again."""
    if uncancel and not campaign:
        raise typer.BadParameter("--uncancel is about a campaign: give --campaign NAME")
    if everything and (all_ or bulk or template or campaign):
        raise typer.BadParameter("--everything stands alone")
    scope = None if everything else _scope(all_=all_, bulk=bulk, template=template, campaign=campaign)
    what = scope_in_words(scope) if scope else "all that is stopped"
    call.confirm(f"{call.address.stack}: let {what} go?", yes=yes)

    async def work(stack: DeployedStack) -> Resumed:
        with _bar(call) as on_progress:
            return await stopping.go(stack, scope, call.clock, uncancel=uncancel, on_progress=on_progress)

    facts = call.run(work)
    held = facts.returned.held if facts.returned else {}
    verdict = resumed_verdict(facts, call.address.options)
    call.show(facts, verdict, lambda console: _draw(console, facts.holding, held))


def cancel(
    call: Call,
    *,
    campaign: Annotated[str, typer.Option("--campaign", help="The campaign's name.")],
    because: BecauseOption,
    yes: YesOption = False,
) -> None:
    """Let all mail of a campaign that has not left yet end as failed, what is parked too."""
    scope = _scope(campaign=campaign)
    question = f"{call.address.stack}: cancel {scope_in_words(scope)}? What has not left yet fails for good."
    call.confirm(question, yes=yes)

    async def work(stack: DeployedStack) -> Cancelled:
        with _bar(call) as on_progress:
            return await stopping.cancel(stack, scope, because, call.clock, on_progress=on_progress)

    facts = call.run(work)
    verdict = cancelled_verdict(facts, call.address.options)
    call.show(facts, verdict, lambda console: _draw(console, [facts.brake]))


def _scope(
    *, all_: bool = False, bulk: bool = False, template: str | None = None, campaign: str | None = None
) -> str:
    """The scope of a brake. Raises BadParameter unless just one is given, and of a possible name."""
    scopes = [kind for kind, is_given in {"all": all_, "bulk": bulk}.items() if is_given]
    for kind, name in {"template": template, "campaign": campaign}.items():
        if name is None:
            continue
        scope = scope_named(kind, name)
        if scope is None:
            raise typer.BadParameter(f"--{kind}: {name!r} can't be the name of a {kind}")
        scopes.append(scope)
    if len(scopes) != 1:
        raise typer.BadParameter("expected one of --all, --bulk, --template NAME, --campaign NAME")
    return scopes[0]


@contextmanager
def _bar(call: Call) -> Iterator[OnProgress]:
    """How many parked emails were looked at, of about how many."""
    with progress_bar(call.console, "Bringing back", hidden=call.json) as advance:

        def show(waiting: int, so_far: Return) -> None:
            seen = so_far.moved + sum(so_far.held.values())
            advance(seen, max(waiting, seen))

        yield show


def _draw(console: Console, brakes: Sequence[BrakeRow], held: Mapping[str, int] | None = None) -> None:
    if not brakes:
        return
    listing = table()
    for column in ("brake", *(("holds",) if held else ()), "since", "by", "because"):
        listing.add_column(column, overflow="fold")
    for brake in brakes:
        count = (f"{held[brake.pk]:,}",) if held else ()
        since, by = brake.since[:16].replace("T", " "), brake.by.rpartition("/")[2].rpartition(":")[2]
        listing.add_row(Text(brake.pk), *count, since, Text(by), Text(brake.because))
    console.print(listing)
