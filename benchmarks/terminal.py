"""A run's tables on the terminal."""

from rich.console import Console
from rich.table import Table

from benchmarks.report import BenchmarkReport, ResultTable


def show_report(console: Console, report: BenchmarkReport) -> None:
    for section in report.sections:
        console.rule(f"[bold]{section.name}[/bold]  {section.seconds:.0f} s")
        for table in section.tables:
            show_table(console, table)
    console.rule("[bold]summary[/bold]")
    show_table(console, report.summary)
    console.print(
        f"Version {report.version}, commit {report.commit}, taken {report.taken_at}.",
        f"Profile {report.profile}; {report.machine}.",
    )


def show_table(console: Console, table: ResultTable) -> None:
    shown = Table(title=table.title, caption=table.note, title_justify="left", caption_justify="left")
    for number, column in enumerate(table.columns):
        shown.add_column(column, justify="right" if number else "left", overflow="fold", no_wrap=not number)
    for row in table.rows:
        shown.add_row(*row)
    console.print(shown)
