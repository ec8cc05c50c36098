"""What email costs, line by line: from measured time, memory and calls, and from counted units."""

from typing import Final

import msgspec

from benchmarks.cpu import BULK
from benchmarks.latency import ENGINE
from benchmarks.prices import A_LA_CARTE, DESCRIBED, PLANS, READ_IN, SAAS, Prices
from benchmarks.rates import Load, loads
from benchmarks.report import Measure, Plot, Section, Table
from benchmarks.run import Run

VOLUMES: Final = (10_000, 62_000, 100_000, 1_000_000, 10_000_000)
SENDER_MEMORY: Final = 512  # MB, as the stack sets it
FEEDBACK_MEMORY: Final = 256
STACK_BATCH: Final = 50  # bulkBatchSize
_REPORTS: Final = 2  # of SES for an email that arrives: Send and Delivery
_LINES: Final = ("SES", "Lambda", "DynamoDB", "EventBridge", "SQS", "SNS", "Logs")


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What one email uses, whatever it costs. Seconds are billed ones, at the memory of the stack."""

    sender_seconds: float
    sender_invocations: float
    feedback_seconds: float
    writes: float
    reads: float
    events: float
    queue_requests: float
    log_bytes: float


class Units(msgspec.Struct, frozen=True, kw_only=True):
    """DynamoDB units of an email. A row takes one write and one more for each index that it enters.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
    """

    # The claim and its entries in the indexes by recipient and by date.
    claim: float = 3
    # The move to `sent`, and the entry in the index by SES's message id.
    record: float = 2
    # Each further status moves the row alone: no index holds a status.
    statuses: float = 1
    reports_read: float = _REPORTS  # a consistent read of the row for each report
    suppression: float = 0.5

    def writes(self, batch: int, payload_kb: float) -> float:
        """The kept request by its compressed size, and of a batch one slot claim and one counter."""
        return self.claim + self.record + self.statuses + payload_kb + 2 / batch

    def reads(self, batch: int) -> float:
        """Suppression, the reports' rows, and of a batch the quota's four counters."""
        return self.suppression + self.reports_read + 4 * 0.5 / batch


def usage(batch: int, seconds: float, feedback_seconds: float, log_bytes: float) -> Usage:
    """Of one email in batches of `batch`; `seconds`: an invocation of the sender."""
    units = Units()
    queued = batch > 1
    return Usage(
        sender_seconds=seconds / batch,
        sender_invocations=1 / batch,
        feedback_seconds=feedback_seconds * _REPORTS,
        # Emails of a campaign compress each other; a single one keeps about 0.6 KB, billed as one.
        writes=units.writes(batch, 0.1 if queued else 1.0),
        reads=units.reads(batch),
        events=1 + _REPORTS,  # the request, and a status event for `sent` and for `delivered`
        queue_requests=1 + 2 / min(batch, 10) if queued else 0.0,  # in by the rule, out and deleted by tens
        log_bytes=log_bytes,
    )


def cost(one: Usage, prices: Prices) -> dict[str, float]:
    """Dollars of one email, by line."""
    gigabyte_seconds = (
        one.sender_seconds * SENDER_MEMORY / 1024 + one.feedback_seconds * FEEDBACK_MEMORY / 1024
    )
    invocations = one.sender_invocations + _REPORTS
    return {
        "SES": prices.ses,
        "Lambda": gigabyte_seconds * prices.lambda_gb_second + invocations * prices.lambda_request,
        "DynamoDB": one.writes * prices.dynamodb_write + one.reads * prices.dynamodb_read,
        "EventBridge": one.events * prices.event,
        "SQS": one.queue_requests * prices.sqs_request,
        "SNS": _REPORTS * prices.sns_publish,
        "Logs": one.log_bytes / 1e9 * prices.log_gb,
    }


def usages(run: Run) -> dict[str, Usage]:
    latency = {one.name: one.value for one in run.sections["latency"].measures}
    cpu = {one.name: one.value for one in run.sections["cpu"].measures}
    feedback = latency[f"feedback, delivery · {ENGINE} p50"] / 1000
    # A report's work is about half an email's alone: three calls of nine, and no rendering.
    feedback_load = Load(batch=1, wall=feedback, cpu=cpu["one email, CPU"] / 2000)
    log = cpu[f"{BULK}, log per email"] * (1 + _REPORTS)
    found, _ = loads(run)
    whole = {load.batch: load for load in found}
    # Between the sizes that are measured, an email more takes the same time more.
    each = (whole[100].seconds(SENDER_MEMORY) - whole[10].seconds(SENDER_MEMORY)) / 90
    bulk = whole[10].seconds(SENDER_MEMORY) + (STACK_BATCH - 10) * max(each, 0)
    direct = Load(batch=1, wall=latency[f"direct, warm · {ENGINE} p50"] / 1000, cpu=whole[1].cpu)
    after = feedback_load.seconds(FEEDBACK_MEMORY)
    return {
        "bulk": usage(STACK_BATCH, bulk, after, log),
        "direct": usage(1, direct.seconds(SENDER_MEMORY), after, log),
    }


async def measure(run: Run) -> Section:
    return section(usages(run))


def section(found: dict[str, Usage]) -> Section:
    lines = {
        f"{lane}, {plan}": cost(one, prices) for lane, one in found.items() for plan, prices in PLANS.items()
    }
    measures = [
        Measure(
            section="cost",
            name=f"1,000 emails, {name}",
            value=sum(line.values()) * 1000,
            unit="$",
            noise=0.02,
        )
        for name, line in lines.items()
    ]
    return Section(
        name="cost",
        measures=measures,
        tables=[_per_thousand(lines), _by_volume(lines), _beside_saas(lines)],
        plots=[_plot(cost(found["bulk"], A_LA_CARTE))],
    )


def _per_thousand(lines: dict[str, dict[str, float]]) -> Table:
    rows = [
        [name, *(f"{line[part] * 1000:.4f}" for part in _LINES), f"{sum(line.values()) * 1000:.4f}"]
        for name, line in lines.items()
    ]
    return Table(
        title=f"1,000 emails, dollars (prices of us-east-1 read in {READ_IN}; no free tier)",
        columns=["", *_LINES, "total"],
        rows=rows,
        note=f"Bulk: batches of {STACK_BATCH}. Each email arrives and is reported twice (Send,"
        " Delivery); an Open would be a third report. Lambda: measured time, its CPU stretched to the part"
        " of a core that the memory buys. Storage, data transfer and alarms (a few"
        " dollars a month at any volume) are left out.",
    )


def _by_volume(lines: dict[str, dict[str, float]]) -> Table:
    rows = [
        [name, *(f"{sum(line.values()) * volume:,.2f}" for volume in VOLUMES)] for name, line in lines.items()
    ]
    return Table(title="A month, dollars", columns=["", *(f"{volume:,}" for volume in VOLUMES)], rows=rows)


def _beside_saas(lines: dict[str, dict[str, float]]) -> Table:
    volume = 100_000
    rows = [[name, f"{sum(line.values()) * volume:.2f}"] for name, line in lines.items()]
    rows += [[f"{name} (as the description has it)", f"{price:.2f}+"] for name, price in SAAS.items()]
    rows.append(
        ["the description's own estimate, with a free tier that has ended", f"{DESCRIBED[volume]:.2f}"]
    )
    return Table(title=f"{volume:,} emails a month beside others, dollars", columns=["", "$"], rows=rows)


def _plot(line: dict[str, float]) -> Plot:
    series = {part: [(float(volume), line[part] * volume) for volume in VOLUMES] for part in _LINES}
    return Plot(
        title="Cost by volume: bulk lane, SES à la carte",
        kind="stacked",
        x_title="emails a month",
        y_title="dollars a month",
        series=series,
        log_x=True,
    )
