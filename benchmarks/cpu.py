"""CPU and calls to AWS per email, of the whole function process, in the latency section's invocations."""

from typing import Final

from benchmarks.latency import DIRECT, REPORT, SINGLE_CALLS, bulk
from benchmarks.report import Measure, ResultTable, Section, noise
from benchmarks.run import ENGINE, Run

_SCENARIOS: Final = {
    bulk(100): "SendBulkEmail, batches of 100",
    SINGLE_CALLS: "SendEmail, batches of 100",
    DIRECT: "direct",
    REPORT: "delivery report",
}


async def measure(run: Run) -> Section:
    rows, measures, summary = [], [], []
    for scenario, what in _SCENARIOS.items():
        for name, one in run.samples[scenario].items():
            units = (one.per_email(one.usage[of]) for of in ("write units", "read units"))
            figures = [one.cpu_per_email, one.calls_per_email, *units]
            log, spread, named = one.per_email(one.log_bytes), noise(one.cpu), f"{scenario} · {name}"
            rows.append([named, *(f"{value:.2f}" for value in figures), f"{log:.0f}", f"±{spread:.0%}"])
            measures += [
                Measure(name=f"{named}, CPU", value=one.cpu_per_email, unit="ms", noise=max(0.05, spread)),
                Measure(name=f"{named}, calls", value=one.calls_per_email, unit="calls"),
            ]
        engine = run.samples[scenario][ENGINE]
        cpu = run.beside(scenario, lambda one: one.cpu_per_email)
        calls = run.beside(scenario, lambda one: one.calls_per_email)
        summary.append((f"CPU an email, {what}", f"{engine.cpu_per_email:.2f} ms", cpu))
        summary.append((f"AWS calls an email, {what}", f"{engine.calls_per_email:.2f}", calls))
    table = ResultTable(
        title="Per email",
        columns=["", "CPU ms", "calls", "write units", "read units", "log bytes", "CPU noise"],
        rows=rows,
        note="Units: of DynamoDB, with its indexes.",
    )
    return Section(name="cpu", measures=measures, summary=summary, tables=[table])
