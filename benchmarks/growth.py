"""What grows: the time that an email takes with the day's emails, and memory with the emails sent."""

import math
from contextlib import AsyncExitStack
from typing import Final

import numpy as np

from benchmarks.bundle import MeasuredHandler
from benchmarks.fake_aws import events
from benchmarks.fake_aws.cloud import running_cloud
from benchmarks.fake_aws.function import running
from benchmarks.fake_aws.latencies import Latencies
from benchmarks.report import Measure, Plot, ResultTable, Section
from benchmarks.run import ENGINE, FEEDBACK, SENDER, Run, Samples

DAYS: Final = (100, 1_000, 10_000, 100_000, 1_000_000)
EMAIL, REPORT = "direct email", "delivery report"
_ROUNDS: Final = 20
_BATCH: Final = 100
_BATCHES: Final = 200
# Memory does not depend on how long services take, and many emails should not take long.
_QUICK: Final = Latencies(name="quick", dynamodb=1, s3=1, ses=5, sqs=1, events=1)
# Counting the day's rows, as the system's description has it: DynamoDB reads 1 MB a page, the next page only
# after it, and a row of the index has about 150 bytes.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html
_ROWS_A_PAGE: Final = 7_000

Days = dict[str, dict[int, Samples]]  # by what was invoked, and by the day's emails so far
Memory = dict[str, list[tuple[float, float]]]  # by engine: emails sent so far, and resident megabytes


async def measure(run: Run) -> Section:
    days = await _by_day(run)
    return section(run.latencies, days, {one.name: await _memory(run, one) for one in run.measured(SENDER)})


async def _by_day(run: Run) -> Days:
    found = {what: {emails: Samples() for emails in DAYS} for what in (EMAIL, REPORT)}
    async with running_cloud(run.latencies) as cloud, AsyncExitStack() as stack:
        sender, feedback = [
            await stack.enter_async_context(running(run.measured(handler)[0], cloud.variables))
            for handler in (SENDER, FEEDBACK)
        ]
        await sender.invoke(events.request())
        await feedback.invoke(events.delivery())
        for turn in range(rounds := run.times(_ROUNDS)):
            run.show("a day's emails", turn / rounds / 2)
            for emails in DAYS:
                cloud.services.emails_today = emails
                await found[EMAIL][emails].add(sender, cloud.services, events.request())
                await found[REPORT][emails].add(feedback, cloud.services, events.delivery())
    return found


async def _memory(run: Run, sender: MeasuredHandler) -> list[tuple[float, float]]:
    found = []
    batches = run.times(_BATCHES)
    async with running_cloud(_QUICK) as cloud, running(sender, cloud.variables) as function:
        for batch in range(1, batches + 1):
            await function.invoke(events.bulk(_BATCH))
            found.append((float(batch * _BATCH), function.megabytes()))
            if batch % 10 == 0:
                run.show(f"memory over {batches * _BATCH:,} emails", 0.5 + batch / batches / 2)
    return found


def growth_per_100k(memory: list[tuple[float, float]]) -> float:
    """Megabytes that 100,000 emails add, by a line through the second half: the first fills caches."""
    emails, megabytes = zip(*memory[len(memory) // 2 :], strict=True)
    return float(np.polyfit(emails, megabytes, 1)[0]) * 100_000 if len(emails) > 1 else 0.0


def section(latencies: Latencies, days: Days, memory: Memory) -> Section:
    rows = []
    for what, found in days.items():
        rows.append([f"{what}, p50 ms", *(f"{one.p50:.1f}" for one in found.values())])
        rows.append([f"{what}, calls", *(f"{one.calls_per_email:.1f}" for one in found.values())])
    counting = {emails: math.ceil(emails / _ROWS_A_PAGE) * latencies.dynamodb for emails in DAYS}
    rows.append(["counting the day's rows, ms", *(f"{value:.0f}" for value in counting.values())])
    series = {what: [(float(n), one.p50) for n, one in found.items()] for what, found in days.items()}
    series["counting the day's rows"] = [(float(emails), value) for emails, value in counting.items()]
    added = {name: growth_per_100k(found) for name, found in memory.items()}
    rise = days[EMAIL][DAYS[-1]].p50 / days[EMAIL][DAYS[0]].p50
    beside = ", ".join(f"{name} {value:.1f} MB" for name, value in added.items() if name != ENGINE)
    return Section(
        name="growth",
        measures=[
            Measure(name=f"{name}, memory at the end", value=found[-1][1], unit="MB", noise=0.1)
            for name, found in memory.items()
        ],
        summary=[
            (f"an email at {DAYS[-1]:,} emails that day", f"{rise:.2f} x", f"at {DAYS[0]} emails that day"),
            ("memory that 100,000 emails add", f"{added[ENGINE]:.1f} MB", beside),
        ],
        tables=[
            ResultTable(
                title="An email and a report by the day's emails so far",
                columns=["", *(f"{emails:,}" for emails in DAYS)],
                rows=rows,
                note="Counting, as described: calculated from DynamoDB's pages, which wait for one another.",
            ),
            ResultTable(
                title="Memory over a long run, MB",
                columns=["", "emails", "first", "last", "100,000 more add"],
                rows=[
                    [
                        name,
                        f"{one[-1][0]:,.0f}",
                        f"{one[0][1]:.0f}",
                        f"{one[-1][1]:.0f}",
                        f"{added[name]:.1f}",
                    ]
                    for name, one in memory.items()
                ],
            ),
        ],
        plots=[
            Plot(
                title="What an email waits for",
                kind="lines",
                x_title="emails that day",
                y_title="milliseconds",
                series=series,
                log_x=True,
            ),
            Plot(title="Memory over a long run", kind="lines", x_title="emails", y_title="MB", series=memory),
        ],
    )
