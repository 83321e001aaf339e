"""Pictures of a design: the front of the best, where the watts go, what a token costs, and how far to believe it.

Frames and outcomes go in as `twin` makes them, figures come out; nothing is reckoned here.

>>> from aifactory_lab.twin import sweep
>>> frame = sweep.sweep({"chassis": ["dgx-h100", "dgx-b200"], "tp": [2, 8], "concurrency": [1, 16, 128]})
>>> [line.name for line in pareto(sweep.pareto(frame, by=["chassis"])).data]
['dgx-b200', 'dgx-h100']
"""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from aifactory_lab.figures import theme
from aifactory_lab.figures.card import ROW, card, check, legend_below, number
from aifactory_lab.figures.theme import BAD, COLOURS, GOOD, INK, PLAIN
from aifactory_lab.twin.outcome import Outcome

__all__ = ["card", "cost", "pareto", "sensitivity", "waterfall"]
# What is drawn of a frame's column: its name on an axis, and what its figures are multiplied by.
AXES: Mapping[str, tuple[str, float]] = {
    "ttft": ("milliseconds to the first token", 1e3),
    "tpot": ("milliseconds from token to token", 1e3),
    "tokens_per_second_per_mw": ("tokens per second and MW of the site", 1.0),
    "tokens_per_second_per_gpu": ("tokens per second and GPU", 1.0),
    "dollars_per_mtoken": ("USD a million tokens", 1.0),
    "joules_per_token": ("joules a token", 1.0),
}
SHOWN = ("model", "chassis", "precision", "tp", "isl", "osl", "concurrency", "cap_share", "water_celsius", "rejection")
GROUPS = {"cooling": COLOURS[4], "supply": COLOURS[3], "racks": COLOURS[1], "gpus": COLOURS[2]}
SAID = {"cooling": "cooling (not validated)", "supply": "supply", "racks": "racks", "gpus": "GPUs"}


def pareto(
    front: pl.DataFrame,
    *,
    by: str = "chassis",
    latency: str = "tpot",
    value: str = "tokens_per_second_per_mw",
    here: Outcome | None = None,
) -> go.Figure:
    """Draw fronts of the best, each point with the band of held-out measurements.

    Parameters
    ----------
    front
        Of `sweep.pareto`, for the same latency and value, `by` in its `by`.
    here
        A design to be marked among them.

    Raises
    ------
    DataError
        If the frame is not such a front.
    """
    needed = {by, latency, value, *(f"{name}_{end}" for name in (latency, value) for end in ("low", "high"))}
    check(front, needed, "a front", f'figures.design.pareto(sweep.pareto(frame, by=["{by}"]))')
    figure = go.Figure()
    for place, name in enumerate(sorted({str(one) for one in front[by]})):
        own, colour = front.filter(pl.col(by).cast(pl.String) == name), COLOURS[place % len(COLOURS)]
        x, y = (_scaled(own, column) for column in (latency, value))
        figure.add_scatter(
            x=x[0], y=y[0], name=name, mode="lines+markers", line={"color": colour, "width": 1.5},
            marker={"size": 6, "color": colour}, error_x=_error(*x, colour), error_y=_error(*y, colour),
            hovertext=[_configuration(row, latency, value) for row in own.iter_rows(named=True)], hoverinfo="text",
        )  # fmt: skip
    if here is not None:
        _mark(figure, here, latency, value)
    named = {name: AXES.get(name, (name.replace("_", " "), 1.0))[0] for name in (latency, value)}
    figure = theme.layout(figure, "The best designs, with the error of the model", x=named[latency], y=named[value])
    legend_below(figure).update_layout(height=480, hovermode="closest")
    ticks = [base * 10**power for power in range(6) for base in (1, 2, 5)]
    return figure.update_xaxes(type="log", tickvals=ticks).update_yaxes(rangemode="tozero")


def waterfall(outcome: Outcome) -> go.Figure:
    """Draw where the watts from the grid go, from the grid inwards to the tokens."""
    losses, total, figure = outcome.losses(), outcome.watts, go.Figure()
    scale, unit = (1e6, "MW") if total >= 1e6 else (1e3, "kW")
    figure.add_bar(
        y=["from the grid"], x=[total / scale], orientation="h", marker_color=PLAIN, showlegend=False,
        text=[f"{total / scale:.3g} {unit}"], textposition="outside", cliponaxis=False, hoverinfo="x+y",
    )  # fmt: skip
    for group, colour in GROUPS.items():
        own = losses.filter((pl.col("group") == group) & (pl.col("share") > 1e-6))
        figure.add_bar(
            y=own["step"].to_list(), x=(own["watts"] / scale).to_list(), base=(own["left"] / scale).to_list(),
            orientation="h", name=SAID[group], marker_color=colour, textposition="outside", cliponaxis=False,
            text=[f"{share:.1%}" for share in own["share"]],
            hovertext=[f"{step}: {watts / scale:.3g} {unit}, {share:.1%}"
                       for step, watts, share in own.select("step", "watts", "share").iter_rows()], hoverinfo="text",
        )  # fmt: skip
    drawn = ["from the grid", *losses.filter(pl.col("share") > 1e-6)["step"]]
    title = f"From {total / scale:.3g} {unit} to {number(outcome.tokens_per_second)} tokens/s:"
    title += f" {outcome.joules_per_token:.3g} J a token"
    figure = theme.layout(figure, title, x=unit, height=130 + ROW * len(drawn))
    legend_below(figure).update_layout(bargap=0.25, margin_r=60, barmode="overlay")
    return figure.update_yaxes(categoryorder="array", categoryarray=drawn[::-1])


def cost(outcome: Outcome) -> go.Figure:
    """Draw the price and the carbon of a million tokens by part, each with its range."""
    bill, table = outcome.bill, outcome.bill.table()
    titles = [f"{usual:.3g} {unit} ({low:.2g} to {high:.2g})"
              for unit, (low, usual, high) in (("USD", bill.dollars), ("kg CO2e", bill.kg_co2e))]  # fmt: skip
    figure = make_subplots(cols=2, rows=1, horizontal_spacing=0.2, subplot_titles=titles)
    for column, (unit, colour) in enumerate((("USD", COLOURS[0]), ("kg CO2e", COLOURS[2])), start=1):
        own = table.filter(pl.col("unit") == unit)
        low, usual, high = (own[name].to_list() for name in ("low", "usual", "high"))
        ends = {"array": [b - a for a, b in zip(usual, high, strict=True)],
                "arrayminus": [b - a for a, b in zip(low, usual, strict=True)]}  # fmt: skip
        figure.add_bar(
            y=own["part"].to_list(), x=usual, orientation="h", marker_color=colour, showlegend=False,
            error_x={"type": "data", "symmetric": False, "color": INK, "thickness": 1.2, "width": 4, **ends},
            hovertext=[f"{part}: {c:.3g} {unit}, from {a:.3g} to {b:.3g}"
                       for part, a, c, b in own.select("part", "low", "usual", "high").iter_rows()], hoverinfo="text",
            row=1, col=column,
        )  # fmt: skip
    figure = theme.layout(figure, "What a million tokens cost", height=290)
    figure.update_layout(margin_t=78).update_annotations(font_size=13)
    return figure.update_yaxes(autorange="reversed").update_xaxes(rangemode="tozero")


def sensitivity(frame: pl.DataFrame) -> go.Figure:
    """Draw what moves the price of a million tokens most: of `design.sensitivity`, the largest at the top.

    Raises
    ------
    DataError
        If the frame is not of `design.sensitivity`.
    """
    check(frame, {"assumption", "low", "usual", "high"}, "a sensitivity", "twin.design.sensitivity(plant, service)")
    figure, usual = go.Figure(), float(frame["usual"][0])
    for name, colour in (("low", GOOD), ("high", BAD)):
        figure.add_bar(
            y=frame["assumption"].str.replace_all("_", " ").to_list(), x=(frame[name] - frame["usual"]).to_list(),
            base=usual, orientation="h",
            name="cheap" if name == "low" else "dear", marker_color=colour,
            hovertext=[f"{one}: {value:.3g} USD" for one, value in frame.select("assumption", name).iter_rows()],
            hoverinfo="text",
        )  # fmt: skip
    figure = theme.layout(figure, "What moves the price most", x="USD a million tokens", height=130 + ROW * len(frame))
    legend_below(figure).update_layout(barmode="overlay").update_yaxes(autorange="reversed")
    return figure.add_vline(x=usual, line={"color": INK, "width": 1})


def _scaled(frame: pl.DataFrame, column: str) -> tuple[list[float], list[float], list[float]]:
    """Return the values of a column in the unit of its axis, and what they may be less and more."""
    by = AXES.get(column, ("", 1.0))[1]
    at, low, high = (frame[name].cast(pl.Float64) * by for name in (column, f"{column}_low", f"{column}_high"))
    return at.to_list(), (at - low).to_list(), (high - at).to_list()


def _error(_: list[float], less: list[float], more: list[float], colour: str) -> dict[str, Any]:
    pale = f"rgba({int(colour[1:3], 16)},{int(colour[3:5], 16)},{int(colour[5:7], 16)},0.35)"
    ends = {"array": more, "arrayminus": less, "symmetric": False}
    return {"type": "data", "color": pale, "thickness": 1, "width": 0, **ends}


def _configuration(row: Mapping[str, Any], latency: str, value: str) -> str:
    figures = []
    for name in (latency, value):
        title, by = AXES.get(name, (name.replace("_", " "), 1.0))
        low, at, high = (number(row[column] * by) for column in (f"{name}_low", name, f"{name}_high"))
        figures.append(f"{at} {title} ({low} to {high})")
    told = [f"{name.replace('_', ' ')}: {_plain(row[name])}" for name in SHOWN if name in row]
    return "<br>".join([*figures, *told])


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _mark(figure: go.Figure, here: Outcome, latency: str, value: str) -> None:
    """Mark a design where the outcome has both figures."""
    at = {"ttft": here.ttft, "tpot": here.tpot, "tokens_per_second_per_mw": here.tokens_per_second_per_mw}
    at |= {"joules_per_token": here.joules_per_token, "dollars_per_mtoken": here.bill.dollars[1]}
    at["tokens_per_second_per_gpu"] = here.tokens_per_second / here.plant.gpus
    if latency in at and value in at:
        x, y = (at[name] * AXES[name][1] for name in (latency, value))
        figure.add_scatter(x=[x], y=[y], mode="markers", name="this design",
                           marker={"symbol": "star", "size": 17, "color": BAD, "line": {"color": INK, "width": 1}},
                           hovertext=f"this design: {number(x)}, {number(y)}", hoverinfo="text")  # fmt: skip
