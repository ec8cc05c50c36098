"""`python -m benchmarks.gate`: the matrix as a table."""

import time

from rich.console import Console
from rich.table import Table

from benchmarks.gate.simulate import CellResult, matrix, play

_COLUMNS = (
    "cell", "rate/s", "env.", "used", "throttles (steady)", "held", "lost",
    "trans. p50", "trans. p99", "bulk max", "writes/email", "writes/env./s",
)  # fmt: skip


def row(result: CellResult) -> tuple[str, ...]:
    return (
        result.cell.name,
        f"{result.cell.rate:g}",
        str(result.cell.environments),
        f"{result.used:.1%}",
        f"{result.throttles} ({result.steady_throttles})",
        str(result.held),
        str(result.lost),
        f"{result.transactional_p50 * 1000:.0f} ms",
        f"{result.transactional_p99 * 1000:.0f} ms",
        f"{result.bulk_max:.1f} s",
        f"{result.writes_per_email:.3f}",
        f"{result.writes_per_environment_second:.2f}",
    )


def main() -> None:
    console = Console()
    table = Table(*_COLUMNS, title="The rate gate in virtual time")
    began = time.perf_counter()
    with console.status("") as status:
        for cell in matrix():
            status.update(f"{cell.name}: {cell.rate:g}/s, {cell.environments} environments")
            table.add_row(*row(play(cell)))
    console.print(table)
    console.print(f"{time.perf_counter() - began:.0f} s of real time")


if __name__ == "__main__":
    main()
