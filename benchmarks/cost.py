"""What email costs, line by line: time, memory, calls and units as measured, at `operations.prices`."""

from collections.abc import Mapping
from typing import Final

from benchmarks.latency import DIRECT, REPORT, bulk
from benchmarks.report import Measure, Plot, ResultTable, Section
from benchmarks.run import ENGINE, Run, Samples
from engine.operations import prices

VOLUMES: Final = (10_000, 100_000, 1_000_000, 10_000_000)
SENDER_MEMORY: Final = 512  # MB, as the stack sets it
FEEDBACK_MEMORY: Final = 256
STACK_BATCH: Final = 50  # bulkBatchSize
PLANS: Final = {"SES à la carte": prices.SES_EMAIL, "SES Essentials": prices.SES_EMAIL_ESSENTIALS}
_REPORTS: Final = 2  # of SES for an email that arrives: Send and Delivery
_POLLER_BATCH: Final = 10  # messages that one request to SQS receives or deletes

CostLines = Mapping[str, float]  # dollars of one email, by service


def email_cost(sender: Samples, report: Samples, ses: float) -> CostLines:
    """An email that arrives, sent in an invocation of `sender`; `ses`: dollars that SES takes for it."""
    per_email = sender.per_email
    sent, reported = sender.seconds_at(SENDER_MEMORY), report.seconds_at(FEEDBACK_MEMORY)
    gigabyte_seconds = (sent / sender.emails * SENDER_MEMORY + _REPORTS * reported * FEEDBACK_MEMORY) / 1024
    writes, reads, events = (
        per_email(sender.usage[what]) + _REPORTS * report.per_email(report.usage[what])
        for what in ("write units", "read units", "events")
    )
    log_bytes = per_email(sender.log_bytes) + _REPORTS * report.per_email(report.log_bytes)
    # By the rule into the queue, received and deleted in tens; the direct lane has no queue.
    queue_requests = 1 + 2 / min(sender.emails, _POLLER_BATCH) if sender.emails > 1 else 0
    return {
        "SES": ses,
        "Lambda": gigabyte_seconds * prices.LAMBDA_GB_SECOND
        + (1 / sender.emails + _REPORTS) * prices.LAMBDA_REQUEST,
        "DynamoDB": writes * prices.DYNAMODB_WRITE + reads * prices.DYNAMODB_READ,
        "EventBridge": (1 + events) * prices.EVENTBRIDGE_EVENT,  # the request, and the status events
        "SQS": queue_requests * prices.SQS_REQUEST,
        "SNS": _REPORTS * prices.SNS_PUBLISH,
        "Logs": log_bytes * prices.LOG_BYTE,
    }


async def measure(run: Run) -> Section:
    report = run.samples[REPORT][ENGINE]
    lanes = {"bulk": run.samples[bulk(STACK_BATCH)][ENGINE], "direct": run.samples[DIRECT][ENGINE]}
    return section(
        {
            f"{lane}, {plan}": email_cost(sender, report, ses)
            for lane, sender in lanes.items()
            for plan, ses in PLANS.items()
        }
    )


def section(costs: Mapping[str, CostLines]) -> Section:
    """`costs` by lane and plan, the first of them for the plot."""
    first = next(iter(costs.values()))
    services = list(first)
    totals = {name: sum(lines.values()) for name, lines in costs.items()}
    month = [[name, *(f"{total * volume:,.2f}" for volume in VOLUMES)] for name, total in totals.items()]
    return Section(
        name="cost",
        measures=[
            Measure(name=f"1,000 emails, {name}", value=total * 1000, unit="$", noise=0.02)
            for name, total in totals.items()
        ],
        summary=[
            (f"1,000 emails, {name}", f"${total * 1000:.3f}", f"SES alone ${costs[name]['SES'] * 1000:.2f}")
            for name, total in totals.items()
        ],
        tables=[
            ResultTable(
                title="1,000 emails, dollars (us-east-1, November 2026, without free tiers)",
                columns=["", *services, "total"],
                rows=[
                    [name, *(f"{value * 1000:.4f}" for value in (*lines.values(), totals[name]))]
                    for name, lines in costs.items()
                ],
                note=f"Bulk: batches of {STACK_BATCH}. Each email arrives and is reported twice."
                " Lambda: measured time, its CPU stretched to the part of a core that the memory buys."
                " Storage, data transfer and alarms (a few dollars a month at any volume) are left out.",
            ),
            ResultTable(title="A month, dollars", columns=["", *(f"{v:,}" for v in VOLUMES)], rows=month),
        ],
        plots=[
            Plot(
                title=f"Cost by volume: {next(iter(costs))}",
                kind="stacked",
                x_title="emails a month",
                y_title="dollars a month",
                series={one: [(float(v), first[one] * v) for v in VOLUMES] for one in services},
            )
        ],
    )
