"""Pictures of a plant's day: tokens, waits, power and temperatures over the hours, with what went wrong meanwhile.

A day goes in as `twin.operations.operate` returns it, or as `twin.sampling` scales it up; figures come out.

>>> from aifactory_lab.twin.operations import operate, traffic
>>> from aifactory_lab.twin.plant import Plant
>>> from aifactory_lab.twin.service import Service
>>> day = operate(Plant(gpus=8, chassis="dgx-h100"), Service(tp=8, ttft_ms=2000), traffic.steady(1.0), hours=0.1)
>>> timeline(day).layout.title.text
'A day of 8 h100-sxm that serve llama-3-70b'
"""

import textwrap
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from aifactory_lab.figures import theme
from aifactory_lab.figures.theme import BAD, COLOURS, GOOD, INK, PLAIN, WARN

if TYPE_CHECKING:
    import polars as pl

    from aifactory_lab.twin.operations import Day

Reals = NDArray[np.float64]
PANEL, LINE, LETTERS = 150, 17, 92  # pixels of a panel and of a line of text, and letters of one
MARKS = {"dash": "╍", "dot": "┈"}
BANDS = (COLOURS[1], COLOURS[3], COLOURS[5], COLOURS[4], COLOURS[6], COLOURS[7])


def timeline(day: "Day") -> go.Figure:
    """Draw a day: tokens per second, the wait for the first token, power, temperature and clock.

    Bands are incidents, with a line of text for each below: what happened, and what it did.
    """
    told = day.timeline
    hours = told["seconds"].to_numpy() / 3600
    hours = hours - np.diff(hours, prepend=0.0) / 2  # figures are of windows: their middles
    figure = make_subplots(
        rows=4, cols=1, shared_xaxes=True, vertical_spacing=0.07, specs=[[{"secondary_y": True}]] * 4
    )
    said = _notes(day)
    height = 4 * PANEL + 124 + LINE * len(said)
    title = f"A day of {day.plant.gpus:,} {day.plant.gpu.name} that serve {day.service.shape.name}"
    theme.layout(figure, title, height=height)
    _tokens(figure, told, hours)
    _waits(figure, told, hours, day.service.ttft_ms)
    _power(figure, told, hours)
    _heat(figure, told, hours)
    _bands(figure, day)
    figure.update_layout(showlegend=False, hovermode="x unified", margin={"t": 74, "b": 50 + LINE * len(said)})
    _captions(figure)
    figure.update_yaxes(title_standoff=4, title_font_size=12)
    figure.update_yaxes(showgrid=False, secondary_y=True)
    figure.update_xaxes(title_text="hours", row=4, col=1, range=[0, float(told["seconds"][-1]) / 3600])
    return _below(figure, said)


def _line(figure: go.Figure, row: int, x: Reals, y: "pl.Series", name: str, colour: str, **how: object) -> None:
    line = {"color": colour, "width": 1.6} | {key: how.pop(key) for key in ("dash",) if key in how}
    second = bool(how.pop("second", False))
    trace = go.Scatter(x=x, y=y.to_numpy(), name=name, mode="lines", line=line, **how)
    figure.add_trace(trace, row=row, col=1, secondary_y=second)


def _tokens(figure: go.Figure, told: "pl.DataFrame", hours: Reals) -> None:
    hover = {"hovertemplate": "%{y:,.0f}"}
    _line(figure, 1, hours, told["tokens_per_second"], "tokens/s", COLOURS[0], **hover)
    gone = told["rejected"] + told["resent"]
    if gone.sum():
        _line(figure, 1, hours, gone, "requests rejected or sent again", BAD, second=True, **hover)
        figure.update_yaxes(
            title_text="requests", rangemode="tozero", tickmode="auto", nticks=4, row=1, col=1, secondary_y=True
        )
    figure.update_yaxes(title_text="tokens/s", rangemode="tozero", row=1, col=1, secondary_y=False)


def _waits(figure: go.Figure, told: "pl.DataFrame", hours: Reals, ttft_ms: float | None) -> None:
    hover = {"hovertemplate": "%{y:.3f} s"}
    _line(figure, 2, hours, told["ttft_p99"], "TTFT, 99th percentile", COLOURS[0], **hover)
    _line(figure, 2, hours, told["ttft_p50"], "TTFT, median", COLOURS[4], **hover)
    if ttft_ms is not None:
        limit = told["ttft_p50"] * 0 + ttft_ms / 1e3
        _line(figure, 2, hours, limit.fill_nan(ttft_ms / 1e3), "SLO", INK, dash="dash", hoverinfo="skip")
    axis = {"type": "log", "title_text": "TTFT, s", "exponentformat": "none", "dtick": 1, "minor": {"ticks": ""}}
    figure.update_yaxes(**axis, row=2, col=1, secondary_y=False)


def _power(figure: go.Figure, told: "pl.DataFrame", hours: Reals) -> None:
    unit, scale = ("MW", 1e6) if float(told["site_watts"].to_numpy().max()) >= 1e6 else ("kW", 1e3)
    hover = {"hovertemplate": f"%{{y:,.4g}} {unit}"}
    for column, name, colour in (
        ("site_watts", "site", COLOURS[0]), ("it_watts", "IT", GOOD), ("gpu_watts", "GPUs", COLOURS[3]),
    ):  # fmt: skip
        _line(figure, 3, hours, told[column] / scale, name, colour, **hover)
    figure.update_yaxes(title_text=unit, rangemode="tozero", row=3, col=1, secondary_y=False)


def _heat(figure: go.Figure, told: "pl.DataFrame", hours: Reals) -> None:
    hover = {"hovertemplate": "%{y:.1f} °C"}
    _line(figure, 4, hours, told["gpu_celsius"], "GPU temperature, mean", WARN, **hover)
    _line(figure, 4, hours, told["coolant_celsius"], "coolant", COLOURS[4], **hover)
    _line(figure, 4, hours, told["clock"], "clock", PLAIN, second=True, dash="dot", hovertemplate="%{y:.1%}")
    figure.update_yaxes(title_text="°C", row=4, col=1, secondary_y=False)
    axis = {"title_text": "clock", "tickformat": ".0%", "range": [0, 1.05], "dtick": 0.25}
    figure.update_yaxes(**axis, row=4, col=1, secondary_y=True)


def _captions(figure: go.Figure) -> None:
    """Write the names of a panel's lines above it, in their colours: a legend would take half of a narrow page."""
    for row in range(4):
        axes = {f"y{2 * row + 1 if row else ''}", f"y{2 * row + 2}"}
        names = [
            f'<span style="color:{trace.line.color}">{MARKS.get(trace.line.dash, "━")} {trace.name}</span>'
            for trace in figure.data
            if trace.yaxis in axes
        ]
        top = figure.layout[f"yaxis{2 * row + 1 if row else ''}"].domain[1]
        where = {"x": 0, "xref": "paper", "y": top, "yref": "paper", "xanchor": "left", "yanchor": "bottom"}
        figure.add_annotation(**where, text="   ".join(names), showarrow=False, font_size=12)


def _bands(figure: go.Figure, day: "Day") -> None:
    """Draw a band for each incident through all panels, with its number on top; numbers of near ones step down."""
    last = float(day.timeline["seconds"][-1]) / 3600
    level, before = 0, -np.inf
    for number, row in enumerate(day.incidents.iter_rows(named=True)):
        begin, end, colour = row["begins_hours"], min(last, row["ends_hours"]), BANDS[number % len(BANDS)]
        span = {"x0": begin, "x1": end, "xref": "x", "yref": "paper", "y0": 0, "y1": 1, "layer": "below"}
        figure.add_shape(type="rect", **span, fillcolor=colour, opacity=0.16, line_width=0)
        figure.add_shape(type="line", **span | {"x1": begin}, line={"color": colour, "width": 1.2})
        level = (level + 1) % 3 if begin - before < 0.03 * last else 0
        before = begin
        mark = {"x": begin, "xref": "x", "y": 1, "yref": "paper", "yshift": -14 * level, "yanchor": "top"}
        figure.add_annotation(**mark, xanchor="left", text=f"<b>{number + 1}</b>", showarrow=False, font_color=INK)


def _notes(day: "Day") -> list[str]:
    """Return a line of text for each incident, cut to what a page is wide."""
    rows = day.incidents.iter_rows(named=True)
    told = [f"{number + 1}  {row['what']}: {row['effect']}" for number, row in enumerate(rows)]
    return [line for one in told for line in textwrap.wrap(one, LETTERS, subsequent_indent="    ")]


def _below(figure: go.Figure, said: list[str]) -> go.Figure:
    """Write lines below the lowest panel."""
    if said:
        text = "<br>".join(line.replace("    ", "&nbsp;&nbsp;&nbsp;") for line in said)
        where = {"x": 0, "xref": "paper", "y": 0, "yref": "paper", "yshift": -46, "xanchor": "left", "yanchor": "top"}
        figure.add_annotation(**where, text=text, align="left", showarrow=False, font={"size": 12, "color": INK})
    return figure
