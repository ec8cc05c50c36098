"""The report as one self-contained HTML page: plots that can be looked into, then the terminal's tables."""

import io
from typing import Any, Final

import plotly.graph_objects as go  # type: ignore[import-untyped] # plotly has no types
import plotly.io  # type: ignore[import-untyped] # as above
import plotly.offline  # type: ignore[import-untyped] # as above
from rich.console import Console

from benchmarks.report import BenchmarkReport, Plot
from benchmarks.terminal import show_report

_WIDTH: Final = 140  # characters of a table
_STYLE: Final = """
body { font: 15px/1.55 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 2rem 1rem; }
pre { font: 13px/1.25 ui-monospace, monospace; overflow-x: auto; }
"""


def page(report: BenchmarkReport) -> str:
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True)
    show_report(console, report)
    plots = "\n".join(_plot(plot) for section in report.sections for plot in section.plots)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>SESMailEngine benchmarks</title><style>{_STYLE}</style>"
        f"<script>{plotly.offline.get_plotlyjs()}</script></head>"
        f"<body><h1>SESMailEngine benchmarks</h1>{plots}"
        f"{console.export_html(inline_styles=True, code_format='<pre>{code}</pre>')}</body></html>"
    )


def _plot(plot: Plot) -> str:
    figure: Any = go.Figure()
    for name, points in plot.series.items():
        x, y = zip(*points, strict=True)
        match plot.kind:
            case "stacked":
                figure.add_bar(x=[f"{value:,.0f}" for value in x], y=y, name=name)
            case "distribution":
                figure.add_scatter(x=x, y=y, name=name, mode="lines", line={"shape": "hv"})
            case "lines":
                figure.add_scatter(x=x, y=y, name=name, mode="lines+markers")
    stacked = plot.kind == "stacked"
    figure.update_layout(title=plot.title, template="plotly_white", barmode="stack", height=420)
    figure.update_xaxes(title=plot.x_title, type="log" if plot.log_x else None)
    figure.update_yaxes(title=plot.y_title, type="log" if stacked else None, rangemode="tozero")
    shown = plotly.io.to_html(figure, full_html=False, include_plotlyjs=False, config={"displaylogo": False})
    return str(shown)
