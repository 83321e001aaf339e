"""Pictures of serving: which engine is fastest for how many rows, and latency against throughput.

>>> import polars as pl
>>> table = pl.DataFrame({"engine": ["onnx"], "threads": [1], "batch": [1], "rows_per_second": [6e4]})
>>> engines(table).data[0].name
'onnx, 1 thread'
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from aifactory_lab.figures.theme import BAD, COLOURS, GOOD, PLAIN, layout
from aifactory_lab.serve.load import LoadReport

if TYPE_CHECKING:
    import polars as pl

DASHES = ("solid", "dash", "dot", "dashdot")


def engines(measurements: "pl.DataFrame", *, height: int = 380) -> go.Figure:
    """Draw rows per second by batch size, one line per engine and thread count (log-log).

    Parameters
    ----------
    measurements
        `Predictor.measurements`: columns engine, threads, batch, rows_per_second.
    height
        In pixels.
    """
    figure = go.Figure()
    names = measurements["engine"].unique(maintain_order=True).to_list()
    counts = sorted(measurements["threads"].unique().to_list())
    for (engine, threads), part in measurements.sort("batch").group_by(["engine", "threads"], maintain_order=True):
        figure.add_scatter(
            x=part["batch"].to_list(),
            y=part["rows_per_second"].to_list(),
            name=f"{engine}, {threads} thread{'s' if threads != 1 else ''}",
            mode="lines+markers",
            line={
                "color": COLOURS[names.index(engine) % len(COLOURS)],
                "dash": DASHES[counts.index(threads) % len(DASHES)],
            },
            hovertemplate="batch %{x:,}<br>%{y:,.0f} rows/s",
        )
    figure.update_xaxes(type="log")
    figure.update_yaxes(type="log")
    return layout(figure, "No engine wins everywhere", x="rows per batch", y="rows per second", height=height)


def latency(reports: LoadReport | Sequence[LoadReport], *, height: int = 380) -> go.Figure:
    """Draw one load test as its distribution of latencies, or several as latency against throughput.

    Parameters
    ----------
    reports
        What `serve.load.test` or `serve.load.sweep` returned; the line is the objective (SLO).
    height
        In pixels.
    """
    if isinstance(reports, LoadReport):
        return _distribution(reports, height)
    figure = go.Figure()
    x = [report.throughput for report in reports]
    for name, colour in (("p50", COLOURS[0]), ("p95", COLOURS[1]), ("p99", COLOURS[5])):
        figure.add_scatter(
            x=x,
            y=[getattr(report, f"{name}_ms") for report in reports],
            name=name,
            mode="lines+markers",
            line={"color": colour},
            customdata=[_arrivals(report) for report in reports],
            hovertemplate="%{customdata}<br>%{x:,.0f} requests/s<br>%{y:.1f} ms",
        )
    slo_ms = reports[0].slo_ms
    figure.add_hline(y=slo_ms, line={"color": PLAIN, "dash": "dash"})
    _slo_note(figure, slo_ms, y=np.log10(slo_ms), x=0, xref="paper", xanchor="left", yanchor="bottom")
    figure.update_yaxes(type="log")
    return layout(figure, "Latency against throughput", x="requests per second", y="milliseconds", height=height)


def goodput(reports: Sequence[LoadReport], *, height: int = 380) -> go.Figure:
    """Draw what was answered, and what was answered in time, against what was asked for."""
    figure = go.Figure()
    x = [_arrivals(report) for report in reports]
    late = [report.throughput - report.goodput for report in reports]
    refused = [report.errors / report.seconds if report.seconds else 0.0 for report in reports]
    figure.add_bar(x=x, y=[report.goodput for report in reports], name="within the SLO", marker_color=GOOD)
    figure.add_bar(x=x, y=late, name="late", marker_color=COLOURS[1])
    figure.add_bar(x=x, y=refused, name="refused or lost", marker_color=BAD)
    figure.update_layout(barmode="stack")
    title = f"Goodput: answered within {reports[0].slo_ms:g} ms"
    return layout(figure, title, y="requests per second", height=height)


def _distribution(report: LoadReport, height: int) -> go.Figure:
    """Draw the share of requests answered within a time."""
    shares = np.concatenate([np.arange(0, 1, 0.01), 1 - np.logspace(-2, -4, 40)])
    figure = go.Figure()
    if len(report.latencies_ms):
        figure.add_scatter(
            x=np.quantile(report.latencies_ms, shares).tolist(),
            y=(100 * shares).tolist(),
            name=_arrivals(report),
            mode="lines",
            line={"color": COLOURS[0]},
            hovertemplate="%{y:.2f} % within %{x:.2f} ms",
        )
    for name in ("p50", "p95", "p99"):
        value = getattr(report, f"{name}_ms")
        if np.isfinite(value):
            figure.add_annotation(x=np.log10(value), y=float(name[1:]), text=f"{name} {value:.1f} ms", ax=46, ay=18)
    figure.add_vline(x=report.slo_ms, line={"color": PLAIN, "dash": "dash"})
    _slo_note(figure, report.slo_ms, x=np.log10(report.slo_ms), y=1, yref="paper", yanchor="bottom")
    figure.update_xaxes(type="log")
    title = f"{report.throughput:,.0f} requests/s, {report.goodput:,.0f}/s within the SLO"
    return layout(figure, title, x="milliseconds", y="% of requests answered within", height=height)


def _slo_note(figure: go.Figure, slo_ms: float, **place: Any) -> None:
    """Write the objective beside its line: on a log axis a note wants the logarithm of its place, a line does not."""
    figure.add_annotation(text=f"SLO {slo_ms:g} ms", showarrow=False, **place)


def _arrivals(report: LoadReport) -> str:
    return f"{report.offered:,.0f}/s" if report.offered else f"{report.concurrency} connections"
