"""`sesmailengine status`: how the stack is, the worst first."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from engine.cli.operate.command import Call, table
from engine.operations.emails import duration
from engine.operations.health import judge_status, waits_for
from engine.operations.ses_account import SesAccount
from engine.operations.stack import DeployedStack
from engine.operations.status import StackStatus, stack_status
from engine.operations.today import ROWS_COUNTED, StatusCounts, Trouble
from engine.tracking.brakes import describe


def status(call: Call) -> None:
    """How the stack is: SES, lanes, today's mail, brakes, dead-letter queues and alarms."""
    now = call.clock()

    async def look(stack: DeployedStack) -> StackStatus:
        return await stack_status(stack, now)

    found = call.run(look)
    call.show(found, judge_status(found, call.address.options), lambda console: _draw(console, found))


def _draw(console: Console, found: StackStatus) -> None:
    for name, text in _lines(found):
        console.print(Text.assemble((f"{name:<12}", "bold"), text), soft_wrap=True)
    listing = table()
    for name in ("queue", "waiting", "in flight", "delayed", "oldest", "waits for"):
        is_text = name in {"queue", "waits for"}
        listing.add_column(name, justify="left" if is_text else "right", no_wrap=name != "waits for")
    for queue in (*found.lanes, *found.dead_letters):
        style = "red" if queue in found.dead_letters and queue.total else ""
        oldest = duration(queue.oldest_seconds) if queue.oldest_seconds else ""
        numbers = (f"{number:,}" for number in (queue.visible, queue.in_flight, queue.delayed))
        reason = waits_for(queue, found) if queue in found.lanes else ""
        listing.add_row(Text(queue.queue, style=style), *numbers, oldest, reason)
    console.print(listing)


def _lines(found: StackStatus) -> Iterator[tuple[str, str]]:
    yield "SES", _account(found.ses) if found.ses else f"not known: {found.unknown.get('ses')}"
    yield "today", _today(found.today)
    numbers = found.reputation
    bounces = f"{numbers.bounces:,} of {numbers.sends:,} recipients ({numbers.bounce_rate:.2f} %)"
    yield "bounces", bounces + _cause(numbers.bounced)
    complaints = f"{numbers.complained.count:,} ({numbers.complaint_rate:.3f} %){_cause(numbers.complained)}"
    yield "complaints", complaints if numbers.complained.whole else f"more than {complaints}"
    for brake in found.brakes:
        yield "brake", describe(brake)
    for alarm in found.alarms:
        yield "alarm", f"{alarm.name} since {alarm.since[:16]}"
    for name, why in found.unknown.items():
        if name != "ses":
            yield "not known", f"{name}: {why}"


def _account(account: SesAccount) -> str:
    state = "sends" if account.sending_enabled else "PAUSED"
    access = "" if account.production else ", sandbox"
    quota = f"{account.sent_last_24_hours:,.0f} sent in 24 h"
    if account.left is not None:
        quota += f", {account.left:,.0f} of {account.daily_quota:,.0f} left"
    return f"{state}{access}, {account.enforcement.lower()}; {account.max_send_rate:g}/s; {quota}"


def _today(counts: StatusCounts) -> str:
    shown = ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in counts.by_status.items())
    if not shown:
        return "no email"
    if counts.source == "cloudwatch":
        return f"{shown} (each email counts in every status that it reached)"
    return f"{shown} ({'all' if counts.whole else f'the newest {ROWS_COUNTED:,}'} rows, as each is now)"


def _cause(trouble: Trouble) -> str:
    causes = (("template", trouble.template), ("campaign", trouble.campaign))
    return "".join(f"; most by {kind} {cause.name} ({cause.count})" for kind, cause in causes if cause)
