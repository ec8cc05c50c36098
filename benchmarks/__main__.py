"""`python -m benchmarks`: measure, show, write `benchmarks/results/latest.json` and `latest.html`."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks.bundle import BundleError
from benchmarks.fake_aws.function import FunctionError
from benchmarks.fake_aws.latencies import IN_REGION, read_latencies
from benchmarks.page import page
from benchmarks.report import BenchmarkReport, changes
from benchmarks.suite import SECTIONS, run_suite
from benchmarks.terminal import show_report, show_table

_RESULTS: Final = Path(__file__).parent / "results"
_WIDTH: Final = 140  # of a file or a pipe, which have no width of their own: a folded table is no table


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=_WIDTH)
    columns = TextColumn("{task.fields[section]:<9}"), BarColumn(), TimeElapsedColumn()
    # Drawn between measurements: a thread that draws would be measured too.
    with Progress(*columns, TextColumn("{task.description}"), console=console, auto_refresh=False) as bars:
        suite = run_suite(
            options.only,
            _show_on(bars),
            latencies=options.profile,
            beside=options.beside,
            effort=options.effort,
        )
        try:
            report = asyncio.run(suite)
        except (BundleError, FunctionError) as error:
            console.print(str(error), style="red", markup=False)
            return 1
    show_report(console, report)
    _RESULTS.mkdir(exist_ok=True)
    json, html = _RESULTS / "latest.json", _RESULTS / "latest.html"
    json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    html.write_text(page(report), encoding="utf-8")
    console.print(f"Written: {json} and {html}")
    if options.compare:
        show_table(console, changes(options.compare, report))
    return 0


def _show_on(bars: Progress) -> Callable[[str, str, float], None]:
    """A bar for each section."""
    tasks: dict[str, TaskID] = {}

    def show(section: str, step: str, done: float) -> None:
        if section not in tasks:
            tasks[section] = bars.add_task(step, section=section, total=1.0)
        bars.update(tasks[section], description=step, completed=done, refresh=True)

    return show


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="make bench", description="Measure this build on this machine.")
    add = made.add_argument
    add("--only", type=_names, default=(*SECTIONS,), help=f"some of {', '.join(SECTIONS)}, split by commas")
    add("--beside", type=Path, action="append", default=[], help="another checkout, whose engine takes turns")
    add("--compare", type=_report, help="an older latest.json: what differs beyond noise")
    add("--profile", type=_profile, default=IN_REGION, help="latencies of your own, as TOML or JSON")
    add("--effort", type=float, default=1.0, help="1 is the full suite, 0.1 a glance")
    return made


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    return names


def _report(path: str) -> BenchmarkReport:
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=BenchmarkReport)
    except (OSError, msgspec.MsgspecError) as error:
        raise argparse.ArgumentTypeError(f"{path} is no report of this suite: {error}") from None


def _profile(path: str) -> object:
    try:
        return read_latencies(Path(path))
    except (OSError, msgspec.MsgspecError) as error:
        raise argparse.ArgumentTypeError(f"{path} is no profile of latencies: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
