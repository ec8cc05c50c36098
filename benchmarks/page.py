"""The report as one self-contained HTML page: tables, targets and plots that can be looked into."""

import html
from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped] # plotly has no types
import plotly.io  # type: ignore[import-untyped] # as above
import plotly.offline  # type: ignore[import-untyped] # as above

from benchmarks.report import Plot, Report, Section, Table
from benchmarks.screen import wanted

_COLOURS = ("#2563eb", "#f59e0b", "#6b7280", "#10b981", "#a855f7", "#ef4444", "#0ea5e9")
_STYLE = """
:root { --ink: #111827; --soft: #6b7280; --line: #e5e7eb; --good: #047857; --bad: #b91c1c; }
body { font: 15px/1.55 system-ui, sans-serif; color: var(--ink); }
body { max-width: 68rem; margin: 0 auto; padding: 2rem 1rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { margin: 2.5rem 0 .5rem; }
h3 { margin: 1.5rem 0 .25rem; font-size: 1rem; }
p.note, header p { color: var(--soft); margin: .25rem 0; } .scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { color: var(--soft); font-weight: 600; }
.met { color: var(--good); font-weight: 600; } .missed { color: var(--bad); font-weight: 600; }
"""


def page(report: Report) -> str:
    machine = report.machine
    about = (
        f"Taken {report.taken_at}, commit {report.commit}, profile {report.profile}, on {machine.system} with"
        f" {machine.cores} cores and Python {machine.python}. Yardstick {machine.yardstick:.1f} ms"
        f" ±{machine.yardstick_noise:.0%}, load {machine.load_before:.1f} before and"
        f" {machine.load_after:.1f} after."
    )
    sections = "\n".join(_section(section) for section in report.sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>SESMailEngine benchmarks</title><style>{_STYLE}</style>"
        f"<script>{plotly.offline.get_plotlyjs()}</script></head>"
        "<body><header><h1>SESMailEngine benchmarks</h1>"
        f"<p>{html.escape(about)}</p></header><main>{_targets(report)}{sections}</main></body></html>"
    )


def _targets(report: Report) -> str:
    rows = [
        f"<tr><td>{html.escape(one.name)}</td><td>{wanted(one)}</td><td>{one.value:.2f} {one.unit}</td>"
        f'<td class="{"met" if one.met else "missed"}">{"met" if one.met else "missed"}</td>'
        f"<td>{html.escape(one.note)}</td></tr>"
        for section in report.sections
        for one in section.targets
    ]
    if not rows:
        return ""
    head = "<tr><th>target</th><th>wanted</th><th>found</th><th></th><th></th></tr>"
    return f'<h2>Targets</h2><div class="scroll"><table>{head}{"".join(rows)}</table></div>'


def _section(section: Section) -> str:
    tables = "".join(_table(table) for table in section.tables)
    plots = "".join(_plot(plot) for plot in section.plots)
    return f"<section><h2>{html.escape(section.name.capitalize())}</h2>{plots}{tables}</section>"


def _table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(column)}</th>" for column in table.columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    note = f'<p class="note">{html.escape(table.note)}</p>' if table.note else ""
    title = f"<h3>{html.escape(table.title)}</h3>"
    return f'{title}{note}<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _plot(plot: Plot) -> str:
    figure: Any = go.Figure()
    for number, (name, points) in enumerate(plot.series.items()):
        x, y = [point[0] for point in points], [point[1] for point in points]
        colour = _COLOURS[number % len(_COLOURS)]
        if plot.kind == "stacked":
            figure.add_bar(x=[f"{value:,.0f}" for value in x], y=y, name=name, marker_color=colour)
        else:
            shape = "hv" if plot.kind == "distribution" else "linear"
            mode = "lines" if plot.kind == "distribution" else "lines+markers"
            figure.add_scatter(
                x=x, y=y, name=name, mode=mode, line={"color": colour, "shape": shape, "width": 2}
            )
    stacked = plot.kind == "stacked"
    figure.update_layout(
        title={"text": plot.title, "font": {"size": 16}},
        template="plotly_white",
        barmode="stack",
        height=420,
        margin={"l": 60, "r": 20, "t": 50, "b": 50},
        legend={"orientation": "h", "y": -0.2},
    )
    figure.update_xaxes(title=plot.x_title, type="log" if plot.log_x and not stacked else None)
    figure.update_yaxes(title=plot.y_title, type="log" if stacked else None, rangemode="tozero")
    return str(
        plotly.io.to_html(figure, full_html=False, include_plotlyjs=False, config={"displaylogo": False})
    )
