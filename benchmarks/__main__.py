"""`python -m benchmarks`: measure, show, write `benchmarks/results/latest.json` and `latest.html`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from benchmarks.fake_aws.latencies import IN_REGION, read_latencies
from benchmarks.fake_aws.web import run
from benchmarks.page import page
from benchmarks.report import Report
from benchmarks.screen import ProgressScreen, show, show_changes
from benchmarks.suite import SECTIONS, take

RESULTS = Path(__file__).parent / "results"
_WIDTH = 140


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    latencies = read_latencies(asked.profile) if asked.profile else IN_REGION
    terminal = Console()
    # A file or a pipe has no width of its own, and a folded table is no table.
    console = terminal if terminal.is_terminal else Console(width=_WIDTH)
    before = msgspec.json.decode(asked.compare.read_bytes(), type=Report) if asked.compare else None
    with ProgressScreen(console) as screen:
        report = run(take(latencies, asked.only, screen.tell, effort=asked.effort, long=asked.long))
    show(console, report)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.json").write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    (RESULTS / "latest.html").write_text(page(report), encoding="utf-8")
    console.print(f"Written: {RESULTS / 'latest.json'} and {RESULTS / 'latest.html'}")
    if before:
        show_changes(console, before, report)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure this build on this machine.")
    parser.add_argument(
        "--only", type=_names, default=tuple(SECTIONS), help=f"some of {', '.join(SECTIONS)}, split by commas"
    )
    parser.add_argument("--compare", type=Path, help="an older latest.json: what got slower beyond noise")
    parser.add_argument("--profile", type=Path, help="latencies of your own, as TOML or JSON")
    parser.add_argument(
        "--long", action="store_true", help="100,000 emails for the memory, some minutes more"
    )
    parser.add_argument("--effort", type=float, default=1.0, help="1 is the full suite, 0.1 a glance")
    return parser


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
