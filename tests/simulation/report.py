"""The headline: large histories under the faults of a bad day, as the table that an operator reads."""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Final

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from tests.simulation.plan import Plan, headline
from tests.simulation.simulate import History, simulate

from engine.operations import prices
from infra.settings import StackSettings

RATES: Final = (14.0, 500.0)
MOST_IN_ONE: Final = 50_000  # emails of one history; more of them are more histories
_STACK: Final = StackSettings()
_POLLER_AND_RULE: Final = "sqs.requests"


class Line(Struct, frozen=True, kw_only=True):
    """One row of the table. Seconds, dollars; `used`: part of the rate while there was enough mail."""

    rate: float
    emails: int
    sent: int
    lost: int
    doubled: int
    wrong: int
    other: int
    unsettled: int
    dead_letters: int
    throttles: int
    used: float
    wait_p50: float
    wait_p95: float
    wait_p99: float
    calls: float  # a 1,000 emails
    dollars: float  # a 1,000 emails, SES included
    without_ses: float
    seconds: float


def measure(emails: int, processes: int) -> list[Line]:
    """A line for each rate, of so many emails each."""
    count = -(-emails // MOST_IN_ONE)
    plans = [headline(rate, emails // count, seed) for seed in range(count) for rate in RATES]
    with ProcessPoolExecutor(processes) as pool:
        histories = list(pool.map(_run, plans))
    return [_line(rate, [one for one in histories if one.plan.rate == rate]) for rate in RATES]


def _run(plan: Plan) -> History:
    return replace(simulate(plan, remember=False), facts=[])


def _line(rate: float, histories: Sequence[History]) -> Line:
    broken = Counter(one.invariant for history in histories for one in history.violations)
    sent = sum(len(history.taken) for history in histories)
    waits = [wait for history in histories for wait in history.waits[False]]
    usage: Counter[str] = Counter()
    for history in histories:
        usage.update(history.usage)
    dollars, ses = _dollars(usage, histories)
    known = broken["lost"] + broken["doubled"] + broken["wrong status"]
    return Line(
        rate=rate,
        emails=sum(history.plan.emails for history in histories),
        sent=sent,
        lost=broken["lost"],
        doubled=broken["doubled"],
        wrong=broken["wrong status"],
        other=broken.total() - known,
        unsettled=sum(len(history.unsettled) for history in histories),
        dead_letters=sum(history.settled.get("in a dead-letter queue", 0) for history in histories),
        throttles=sum(history.throttles for history in histories),
        used=float(np.mean([_used(history) for history in histories])),
        wait_p50=float(np.percentile(waits, 50)),
        wait_p95=float(np.percentile(waits, 95)),
        wait_p99=float(np.percentile(waits, 99)),
        calls=1000 * sum(_calls(usage)) / sent,
        dollars=1000 * (dollars + ses) / sent,
        without_ses=1000 * dollars / sent,
        seconds=sum(history.seconds for history in histories),
    )


def _used(history: History) -> float:
    """From when the campaign has begun until it nears its end."""
    whole = history.plan.emails / history.plan.rate
    begin, end = 0.1 * whole, 0.85 * whole
    taken = sum(recipients for at, recipients in history.taken if begin <= at < end)
    return taken / (history.plan.rate * (end - begin))


def _calls(usage: Counter[str]) -> Iterable[int]:
    """Calls to AWS's services by both functions, the SDK's repetitions included."""
    services = ("dynamodb.", "s3.", "events.", "sesv2.", "sqs.")
    return (
        n
        for name, n in usage.items()
        if name.startswith(services) and not name.endswith((" lost", ".requests"))
    )


def _dollars(usage: Counter[str], histories: Sequence[History]) -> tuple[float, float]:
    """Without SES, and SES alone, à la carte. Logs, storage and data transfer are left out."""
    functions = {"EmailSender": _STACK.sender_memory, "FeedbackProcessor": _STACK.feedback_memory}
    lambdas = sum(
        usage[f"{name} ms"] / 1000 * memory / 1024 * prices.LAMBDA_GB_SECOND
        + usage[f"{name} invocations"] * prices.LAMBDA_REQUEST
        for name, memory in functions.items()
    )
    rest = (
        usage["write units"] * prices.DYNAMODB_WRITE
        + usage["read units"] / 2 * prices.DYNAMODB_READ
        + usage["events"] * prices.EVENTBRIDGE_EVENT
        + usage["sns notifications"] * prices.SNS_PUBLISH
        + (usage[_POLLER_AND_RULE] + usage["sqs.ChangeMessageVisibility"]) * prices.SQS_REQUEST
    )
    recipients = sum(n for history in histories for _, n in history.taken)
    return lambdas + rest, recipients * prices.SES_EMAIL


def table(lines: Sequence[Line]) -> str:
    """Markdown, as docs/reliability.md shows it."""
    columns = (
        "rate", "emails", "sent", "lost", "doubled", "wrong status", "other", "unsettled", "dead letters",
        "rate used", "throttles", "trans. p50", "p95", "p99", "calls/1,000", "$/1,000", "without SES",
    )  # fmt: skip
    rows = [columns, ("---",) * len(columns), *map(_cells, lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(one: Line) -> tuple[str, ...]:
    return (
        f"{one.rate:g}/s",
        f"{one.emails:,}",
        f"{one.sent:,}",
        f"{one.lost}",
        f"{one.doubled}",
        f"{one.wrong}",
        f"{one.other}",
        f"{one.unsettled}",
        f"{one.dead_letters}",
        f"{one.used:.1%}",
        f"{one.throttles:,}",
        f"{one.wait_p50:.2f} s",
        f"{one.wait_p95:.1f} s",
        f"{one.wait_p99:.1f} s",
        f"{one.calls:,.0f}",
        f"{one.dollars:.3f}",
        f"{one.without_ses:.3f}",
    )
