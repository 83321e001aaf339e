"""Pictures of token load tests: throughput against what one user sees, latencies against load, one run over time.

>>> import polars as pl
>>> table = pl.DataFrame(
...     {"concurrency": [1, 8], "tokens_per_second": [800.0, 900.0], "tokens_per_second_per_user": [850.0, 120.0]}
... )
>>> pareto({"llama.cpp": table}).data[0].name
'llama.cpp'
"""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from aifactory_lab.figures.theme import BAD, COLOURS, GOOD, PLAIN, layout
from aifactory_lab.serve.load import TokenReport

if TYPE_CHECKING:
    import polars as pl

PARETO_AXES = {
    "tokens_per_second_per_user": "tokens per second that one user sees (median)",
    "itl_p50": "milliseconds from token to token (median)",
}
TIMES = {"ttft": "time to first token", "itl": "time from token to token"}
PERCENTILES = (("p50", "solid"), ("p90", "dash"), ("p99", "dot"))


def pareto(
    tests: "pl.DataFrame | Mapping[str, pl.DataFrame]",
    *,
    x: str = "tokens_per_second_per_user",
    height: int = 420,
) -> go.Figure:
    """Draw tokens per second of all users against what one of them sees; each point is a concurrency.

    Up and to the right is better; the line of an engine is what it offers to choose from.

    Parameters
    ----------
    tests
        What `serve.load.pareto` returned, or several by the engine's name.
    x
        ``"tokens_per_second_per_user"``, or ``"itl_p50"`` (then up and to the left is better).
    height
        In pixels.
    """
    figure = go.Figure()
    for number, (name, table) in enumerate(_named(tests).items()):
        figure.add_scatter(
            x=table[x].to_list(),
            y=table["tokens_per_second"].to_list(),
            text=[f"{one}" for one in table["concurrency"]],
            name=name,
            mode="lines+markers+text",
            textposition="top center",
            line={"color": COLOURS[number % len(COLOURS)]},
            hovertemplate="%{text} at once<br>%{y:,.0f} tokens/s<br>%{x:,.4g}",
        )
    figure.update_yaxes(rangemode="tozero")
    title = "Throughput against what one user sees, by concurrency"
    return layout(figure, title, x=PARETO_AXES[x], y="tokens per second, all users", height=height)


def latency(
    tests: "pl.DataFrame | Mapping[str, pl.DataFrame]",
    *,
    of: str = "ttft",
    slo_ms: float | None = None,
    height: int = 380,
) -> go.Figure:
    """Draw percentiles of a latency against concurrency (log-log).

    Parameters
    ----------
    tests
        What `serve.load.pareto` returned, or several by the engine's name.
    of
        ``"ttft"`` or ``"itl"``.
    slo_ms
        The objective, as a line.
    height
        In pixels.
    """
    figure, named = go.Figure(), _named(tests)
    for number, (name, table) in enumerate(named.items()):
        for percentile, dash in PERCENTILES:
            figure.add_scatter(
                x=table["concurrency"].to_list(),
                y=table[f"{of}_{percentile}"].to_list(),
                name=f"{name} {percentile}" if len(named) > 1 else percentile,
                mode="lines+markers",
                line={"color": COLOURS[number % len(COLOURS)], "dash": dash},
                hovertemplate="%{x} at once<br>%{y:,.4g} ms",
            )
    if slo_ms is not None:
        figure.add_hline(y=slo_ms, line={"color": PLAIN, "dash": "dash"})
        # On a log axis plotly wants a note's place as its logarithm, a line's as it is.
        note = {"text": f"SLO {slo_ms:g} ms", "showarrow": False, "xref": "paper", "x": 0, "xanchor": "left"}
        figure.add_annotation(y=math.log10(slo_ms), yanchor="bottom", **note)
    ticks = _concurrencies(named.values())
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[str(one) for one in ticks])
    figure.update_yaxes(type="log")
    return layout(figure, TIMES[of].capitalize(), x="requests at once", y="milliseconds", height=height)


def timeline(report: TokenReport, *, height: int = 420) -> go.Figure:
    """Draw one test over time: when each request came, how long its first token took, how many were under way.

    Parameters
    ----------
    report
        What `serve.load.tokens` returned. In an open loop times to the first token count from the arrival.
    height
        In pixels.
    """
    table = report.requests
    figure = go.Figure()
    moments, counts = _under_way(table)
    figure.add_scatter(
        x=moments,
        y=counts,
        name="under way (right)",
        mode="lines",
        line={"color": PLAIN, "shape": "hv", "width": 1},
        yaxis="y2",
        hovertemplate="%{y} under way",
    )
    for name, colour, rows in _groups(table):
        first = (rows["ttft_ms"] + rows["wait_ms"]).to_list() if name != "failed" else [0.0] * len(rows)
        figure.add_scatter(
            x=rows["arrival"].to_list(),
            y=first,
            name=name,
            mode="markers",
            marker={"color": colour, "size": 6, "symbol": "x" if name == "failed" else "circle"},
            customdata=rows.select("outcome", "input_tokens", "output_tokens").rows(),
            hovertemplate="%{x:.2f} s: %{y:,.1f} ms<br>%{customdata[0]}, %{customdata[1]} → %{customdata[2]} tokens",
        )
    figure = layout(figure, _title(report), x="seconds", y="milliseconds to the first token", height=height)
    right = {"overlaying": "y", "side": "right", "tickmode": "auto", "nticks": 6, "showgrid": False}
    figure.update_layout(yaxis2={**right, "title": {"text": "requests under way"}}, margin={"r": 48})
    return figure.update_yaxes(rangemode="tozero")


def _title(report: TokenReport) -> str:
    rate = "" if report.offered is None else f", {report.offered:.3g} arrivals/s"
    return f"{len(report.records)} requests{rate}: {report.tokens_per_second:,.0f} tokens/s, {report.errors} failed"


def _groups(table: "pl.DataFrame") -> list[tuple[str, str, "pl.DataFrame"]]:
    """Return the requests that were good, late (against the objective) and failed, with a colour each."""
    answered = table.filter(table["outcome"] == "200")
    judged = answered["good"].null_count() < len(answered)
    groups = [("failed", BAD, table.filter(table["outcome"] != "200"))]
    if judged:
        groups = [
            ("within the SLO", GOOD, answered.filter(answered["good"])),
            ("outside the SLO", COLOURS[1], answered.filter(~answered["good"])),
            *groups,
        ]
    else:
        groups = [("answered", COLOURS[0], answered), *groups]
    return [group for group in groups if len(group[2])]


def _under_way(table: "pl.DataFrame") -> tuple[list[float], list[int]]:
    """Return when the number of requests under way changed, and to what."""
    changes = sorted([(moment, 1) for moment in table["sent"]] + [(moment, -1) for moment in table["end"]])
    running, counts = 0, []
    for _, change in changes:
        running += change
        counts.append(running)
    return [moment for moment, _ in changes], counts


def _named(tests: "pl.DataFrame | Mapping[str, pl.DataFrame]") -> dict[str, "pl.DataFrame"]:
    if not isinstance(tests, Mapping):
        names = tests["engine"].unique(maintain_order=True).to_list() if "engine" in tests.columns else []
        tests = {", ".join(filter(None, names)) or "server": tests}
    return {name: table.sort("concurrency") for name, table in tests.items()}


def _concurrencies(tables: Iterable["pl.DataFrame"]) -> list[int]:
    return sorted({int(one) for table in tables for one in table["concurrency"]})
