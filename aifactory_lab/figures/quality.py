"""Data quality as horizontal bars: what is missing, what joins, what drifts. Frames in, figures out.

>>> import polars as pl
>>> frame = pl.DataFrame({"table": ["planes"], "column": ["speed"], "missing": [0.99]})
>>> missing(frame).data[0].x, missing(frame).data[0].y
((0.99,), ('planes.speed',))
"""

from collections.abc import Sequence

import plotly.graph_objects as go
import polars as pl

from aifactory_lab.figures import theme

ROW_PIXELS, FRAME_PIXELS = 24, 130
VERDICTS = {"stable": theme.GOOD, "moved": theme.WARN, "shifted": theme.BAD}
FULL, PARTIAL = 0.99, 0.9  # coverage that reads as good, and as poor


def missing(frame: pl.DataFrame) -> go.Figure:
    """Draw the share of missing values of the columns that miss any, from `quality.columns`."""
    holes = frame.filter(pl.col("missing") > 0).sort("missing", "table", "column")
    names = [f"{table}.{column}" for table, column in holes.select("table", "column").rows()]
    figure = _bars(names, holes["missing"].to_list(), [theme.PLAIN] * holes.height)
    figure.update_traces(texttemplate="%{x:.3~p}", hovertemplate="%{y}: %{x:.3~p} missing<extra></extra>")
    figure.update_xaxes(tickformat=".0%", range=[0, 1.12])
    return theme.layout(figure, "Missing values", x="share of rows", height=_height(names))


def coverage(frame: pl.DataFrame) -> go.Figure:
    """Draw the share of rows that find their partner, from `quality.coverage`."""
    frame = frame.reverse()
    shares = frame["coverage"].to_list()
    colours = [theme.GOOD if s >= FULL else theme.WARN if s >= PARTIAL else theme.BAD for s in shares]
    figure = _bars(frame["join"].to_list(), shares, colours)
    figure.update_traces(
        texttemplate="%{x:.1%}",
        customdata=frame["without"].to_list(),
        hovertemplate="%{y}: %{x:.2%}<br>without a partner: %{customdata}<extra></extra>",
    )
    figure.update_xaxes(tickformat=".0%", range=[0, 1.12])
    return theme.layout(figure, "Join coverage", x="share of rows", height=_height(shares))


def drift(frame: pl.DataFrame) -> go.Figure:
    """Draw the population stability index of every feature with its two thresholds, from `quality.drift`."""
    from aifactory_lab.etl.drift import PSI_MOVED, PSI_SHIFTED

    frame = frame.sort("psi", "feature")
    colours = [VERDICTS[word] for word in frame["verdict"]]
    figure = _bars(frame["feature"].to_list(), frame["psi"].to_list(), colours)
    figure.update_traces(texttemplate="%{x:.3f}", hovertemplate="%{y}: PSI %{x:.4f}<extra></extra>")
    for limit, word in ((PSI_MOVED, "moved"), (PSI_SHIFTED, "shifted")):
        line = {"color": VERDICTS[word], "dash": "dot"}
        figure.add_vline(limit, line=line, layer="below")
    limits = f"population stability index ({PSI_MOVED:g} = moved, {PSI_SHIFTED:g} = shifted)"
    return theme.layout(figure, "Drift from train to test", x=limits, height=_height(colours))


def _bars(names: Sequence[str], values: Sequence[float], colours: Sequence[str]) -> go.Figure:
    bars = go.Bar(x=list(values), y=list(names), orientation="h", marker={"color": list(colours)})
    bars.update(textposition="outside", cliponaxis=False)
    return go.Figure(bars)


def _height(rows: Sequence[object]) -> int:
    return FRAME_PIXELS + ROW_PIXELS * max(2, len(rows))
