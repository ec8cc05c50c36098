"""CPU and memory per email in batches: what one core can send, and whether memory stays flat."""

import time
from contextlib import AsyncExitStack
from itertools import cycle
from typing import Any, Final

import jinja2
import msgspec
import numpy as np

from benchmarks.fake_aws import events
from benchmarks.fake_aws.aws import TEMPLATE
from benchmarks.fake_aws.cloud import Cloud, running_cloud
from benchmarks.fake_aws.function import ROOT, Function, running
from benchmarks.fake_aws.latencies import Latencies
from benchmarks.latency import ENGINE, HANDLERS
from benchmarks.report import Measure, Plot, Section, Table, Target, noise
from benchmarks.run import Run, breathe
from engine.templating.template import compile_template

BATCH: Final = 100
BULK: Final = f"{ENGINE}, SendBulkEmail"
SINGLE: Final = f"{ENGINE}, SendEmail"
_LONG: Final = 1000  # batches: 100,000 emails
_SHORT: Final = 200
# Memory does not depend on how long services take, and many emails should not take long.
_QUICK: Final = Latencies(name="quick", dynamodb=1, s3=1, ses=5, sqs=1, events=1)
_SAMPLES: Final = 50  # of the memory
_MEGABYTE: Final = 1024 * 1024


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """Per batch: CPU and wall seconds. `calls`: to AWS, all in all, an email."""

    cpu: list[float]
    wall: list[float]
    calls: float
    log_bytes: float

    @property
    def cpu_per_email(self) -> float:
        """Milliseconds."""
        return sum(self.cpu) / len(self.cpu) / BATCH * 1000

    @property
    def rate(self) -> float:
        """Emails a second."""
        return BATCH / float(np.median(self.wall))


async def measure(run: Run) -> Section:
    async with running_cloud(run.latencies) as cloud:
        spent = await _all(run, cloud)
        alone = await _alone(run, cloud)
    run.tell("memory", 0.6)
    async with running_cloud(_QUICK) as cloud:
        memory = await _memory(run, cloud)
    run.tell("rendering", 0.95)
    rendering = _rendering(run)
    run.take_pace()
    return section(spent, memory, rendering, alone)


async def _all(run: Run, cloud: Cloud) -> dict[str, Spent]:
    """In turns, as with latencies."""
    single = {**cloud.variables, "BULK_CALL_SIZE": "1"}
    wanted = {BULK: 30, SINGLE: 30, "boto3 threads": 3, "boto3 sequential": 1}
    async with AsyncExitStack() as stack:
        functions: dict[str, Function] = {}
        for name in wanted:
            handler = HANDLERS.get(name, HANDLERS[ENGINE])
            variables = single if name == SINGLE else cloud.variables
            functions[name] = await stack.enter_async_context(running(handler, variables))
            await functions[name].invoke(events.bulk(BATCH if "engine" in name else 1))
        await breathe()
        found: dict[str, Spent] = {}
        for number, (name, function) in enumerate(functions.items()):
            run.tell(name, 0.5 * number / len(functions))
            found[name] = await _spend(cloud, function, run.times(wanted[name], 1))
            run.take_pace()
    return found


async def _spend(cloud: Cloud, function: Function, batches: int) -> Spent:
    cloud.aws.forget()
    log_before = function.log_size()
    taken_before = cloud.ses_calls.total()
    cpu, wall = [], []
    for _ in range(batches):
        event = events.bulk(BATCH)
        before = function.cpu_seconds()
        answer = await function.invoke(event)
        cpu.append(function.cpu_seconds() - before)
        wall.append(answer.seconds)
    calls = cloud.aws.calls.total() + cloud.ses_calls.total() - taken_before
    emails = batches * BATCH
    return Spent(
        cpu=cpu, wall=wall, calls=calls / emails, log_bytes=(function.log_size() - log_before) / emails
    )


async def _alone(run: Run, cloud: Cloud) -> float:
    """CPU seconds of an email that shares nothing: the direct lane's."""
    async with running(HANDLERS[ENGINE], cloud.variables) as function:
        for _ in range(10):
            await function.invoke(events.request())
        count, before = run.times(100, 5), function.cpu_seconds()
        for _ in range(count):
            await function.invoke(events.request())
        return (function.cpu_seconds() - before) / count


async def _memory(run: Run, cloud: Cloud) -> list[tuple[float, float]]:
    """Emails sent so far, and resident megabytes."""
    batches = _LONG if run.long else run.times(_SHORT)
    every = max(1, batches // _SAMPLES)
    found = []
    async with running(HANDLERS[ENGINE], cloud.variables) as function:
        for batch in range(1, batches + 1):
            await function.invoke(events.bulk(BATCH))
            if batch % every == 0:
                found.append((float(batch * BATCH), function.memory() / _MEGABYTE))
                run.tell(f"memory, {batch * BATCH:,} emails", 0.6 + 0.35 * batch / batches)
    return found


def growth_per_100k(memory: list[tuple[float, float]]) -> float:
    """Megabytes that 100,000 emails add, by a line through the second half: the first fills caches."""
    half = memory[len(memory) // 2 :]
    if len(half) < 2:
        return 0.0
    slope, _ = np.polyfit([emails for emails, _ in half], [size for _, size in half], 1)
    return float(slope) * 100_000


def _rendering(run: Run) -> list[list[str]]:
    """Each template with its sample: the engine's sandbox, which meters every step, and plain Jinja."""
    rows = []
    for folder in (TEMPLATE, *sorted((ROOT / "starter_templates").iterdir())):
        if not (folder / "sample.json").exists():
            continue
        data: dict[str, Any] = msgspec.json.decode((folder / "sample.json").read_bytes())
        html, text = (folder / "template.html").read_text(), (folder / "template.txt").read_text()
        metered = compile_template(folder.name, html, text, (folder / "metadata.json").read_bytes())
        page = jinja2.Environment(autoescape=True).from_string(html)
        plain = jinja2.Environment(autoescape=False).from_string(text)  # noqa: S701 - text is no HTML
        # In turns, and the best of each: whatever else the machine does only ever adds.
        ours, theirs = [], []
        for kind, _ in zip(cycle("ab"), range(2 * run.times(60, 10)), strict=False):
            began = time.process_time()
            if kind == "a":
                metered.render(data)
                ours.append(time.process_time() - began)
            else:
                page.render(data)
                plain.render(data)
                theirs.append(time.process_time() - began)
        name = "benchmark's own" if folder is TEMPLATE else folder.name
        rows.append(
            [name, f"{min(ours) * 1000:.2f}", f"{min(theirs) * 1000:.2f}", f"{min(ours) / min(theirs):.1f}"]
        )
    return rows


def section(
    spent: dict[str, Spent], memory: list[tuple[float, float]], rendering: list[list[str]], alone: float
) -> Section:
    measures, rows = [], []
    for name, one in spent.items():
        rows.append(
            [
                name,
                f"{one.cpu_per_email:.2f}",
                f"{one.rate:.0f}",
                f"{1000 / one.cpu_per_email:.0f}",
                f"{one.calls:.2f}",
                f"{one.log_bytes:.0f}",
                str(len(one.cpu) * BATCH),
                f"±{noise(one.cpu):.0%}",
            ]
        )
        measures += [
            Measure(
                section="cpu",
                name=f"{name}, CPU per email",
                value=one.cpu_per_email,
                unit="ms",
                noise=noise(one.cpu),
                scales=True,
            ),
            Measure(section="cpu", name=f"{name}, calls per email", value=one.calls, unit="calls"),
            Measure(section="cpu", name=f"{name}, log per email", value=one.log_bytes, unit="bytes"),
        ]
    growth = growth_per_100k(memory)
    measures.append(
        Measure(section="cpu", name="one email, CPU", value=alone * 1000, unit="ms", noise=0.1, scales=True)
    )
    measures.append(
        Measure(section="cpu", name="memory at the end", value=memory[-1][1], unit="MB", noise=0.1)
    )
    peer = spent["boto3 sequential"]
    return Section(
        name="cpu",
        measures=measures,
        targets=[
            Target(
                name="CPU per email, SendEmail", value=spent[SINGLE].cpu_per_email, unit="ms", at_most=2.0
            ),
            Target(
                name="CPU per email, SendBulkEmail", value=spent[BULK].cpu_per_email, unit="ms", at_most=0.8
            ),
            Target(
                name="emails/s by the sequential boto3 handler's",
                value=spent[BULK].rate / peer.rate,
                unit="x",
                at_least=25,
            ),
            Target(
                name="memory that 100,000 emails add",
                value=growth,
                unit="MB",
                at_most=5,
                note=f"from {memory[0][1]:.0f} MB to {memory[-1][1]:.0f} MB over {memory[-1][0]:,.0f} emails",
            ),
        ],
        tables=[
            Table(
                title=f"Batches of {BATCH}: CPU of the whole function process, all AWS calls included",
                columns=[
                    "",
                    "CPU ms/email",
                    "emails/s",
                    "emails/s of CPU",
                    "calls/email",
                    "log bytes",
                    "n",
                    "noise",
                ],
                rows=rows,
                note="Emails/s: one environment at these latencies. Of CPU: what a whole core would send.",
            ),
            Table(
                title="Rendering, CPU milliseconds an email",
                columns=["template", "engine (metered sandbox)", "plain Jinja", "factor"],
                rows=rendering,
            ),
        ],
        plots=[
            Plot(
                title="Memory over a long run",
                kind="lines",
                x_title="emails",
                y_title="megabytes",
                series={ENGINE: memory},
            )
        ],
    )
