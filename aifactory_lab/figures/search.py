"""A search for hyper-parameters, as figures: trials and the best so far, who was pruned when, and which values won.

>>> import polars as pl
>>> told = {"number": [0, 1], "state": ["finished", "pruned"], "value": [0.7, 0.6], "best": [0.7, 0.7]}
>>> [trace.name for trace in history(pl.DataFrame(told)).data]
['finished', 'pruned', 'best so far']
"""

import math
from typing import Any

import plotly.graph_objects as go
import polars as pl

from aifactory_lab.figures import theme
from aifactory_lab.figures.theme import COLOURS, GOOD, PLAIN

LOOKS = {
    "finished": {"color": COLOURS[0], "size": 9, "symbol": "circle"},
    "pruned": {"color": PLAIN, "size": 8, "symbol": "x-thin-open"},
}
OWN = ("number", "state", "value", "seconds", "rounds", "job", "best")  # columns that are no parameters
WIDE = 20.0  # a parameter whose largest value is so many times its smallest is drawn by its logarithm
SCORE = "validation AUC"


def history(trials: pl.DataFrame) -> go.Figure:
    """Draw the score of every trial and the best so far.

    Parameters
    ----------
    trials
        `SearchResult.history`: `number`, `state`, `value`, `best`.
    """
    figure = go.Figure()
    for state, look in LOOKS.items():
        of = trials.filter(state=state)
        figure.add_scatter(
            x=of["number"].to_list(), y=of["value"].to_list(), mode="markers", marker=look, name=state, text=_words(of)
        )
    best = trials.filter(pl.col("best").is_not_null())
    line = {"color": GOOD, "width": 2, "shape": "hv"}
    figure.add_scatter(
        x=best["number"].to_list(), y=best["best"].to_list(), mode="lines", line=line, name="best so far"
    )
    return theme.layout(figure, "Trials, and the best so far", x="trial", y=SCORE)


def pruning(progress: pl.DataFrame, trials: pl.DataFrame) -> go.Figure:
    """Draw how each trial's score grew with its rounds; those that were pruned end in a cross.

    Parameters
    ----------
    progress
        `SearchResult.progress`: `number`, `round`, `auc`.
    trials
        `SearchResult.trials`: `number`, `state`.
    """
    figure, seen = go.Figure(), set()
    joined = progress.join(trials.select("number", "state"), on="number").filter(pl.col("state").is_in([*LOOKS]))
    for (number, state), lines in joined.sort("round").group_by("number", "state", maintain_order=True):
        colour = LOOKS[str(state)]["color"]
        last = {"size": [0] * (lines.height - 1) + [8 if state == "pruned" else 5], "color": colour}
        figure.add_scatter(
            x=lines["round"].to_list(),
            y=lines["auc"].to_list(),
            mode="lines+markers",
            line={"color": colour, "width": 1.5},
            marker=last | {"symbol": LOOKS[str(state)]["symbol"], "line": {"color": colour, "width": 2}},
            name=str(state),
            legendgroup=str(state),
            showlegend=state not in seen,
            hovertemplate=f"trial {number}<br>round %{{x}}: %{{y:.4f}}<extra></extra>",
        )
        seen.add(state)
    return theme.layout(figure, "Which trials were ended early", x="round", y=SCORE)


def parallel(trials: pl.DataFrame) -> go.Figure:
    """Draw each finished trial as a line through its parameters to its score; the better, the brighter.

    Parameters
    ----------
    trials
        `SearchResult.trials`: `state`, `value`, and a column per parameter.
    """
    whole = trials.filter(state="finished").sort("value")
    names = [name for name in whole.columns if name not in OWN]
    score = whole["value"].to_list()
    axes = [_axis(name, whole[name]) for name in names] + [{"label": SCORE, "values": score}]
    figure = go.Figure(
        go.Parcoords(dimensions=axes, line={"color": score, "colorscale": "Viridis"}), {"showlegend": False}
    )
    figure = theme.layout(figure, "Which values won: one line per finished trial", height=380)
    return figure.update_layout(margin={"l": 70, "r": 50, "t": 90, "b": 24})


def _axis(name: str, values: pl.Series) -> dict[str, Any]:
    """Return an axis: words at whole numbers, a wide range by its logarithm, else the values as they are."""
    if values.dtype == pl.String:
        words = sorted(values.drop_nulls().unique())
        place = {word: float(index) for index, word in enumerate(words)}
        ticks = {"tickvals": list(place.values()), "ticktext": words}
        return {"label": name, "values": [place.get(word) for word in values], **ticks}
    numbers = values.cast(pl.Float64).to_list()
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)
    if low <= 0 or high / low < WIDE:
        return {"label": name, "values": numbers}
    marks = [low * (high / low) ** (step / 4) for step in range(5)]
    ticks = {"tickvals": [math.log10(mark) for mark in marks], "ticktext": [f"{mark:.3g}" for mark in marks]}
    return {"label": name, "values": [math.log10(number) for number in numbers], **ticks}


def _words(trials: pl.DataFrame) -> list[str]:
    names = [name for name in trials.columns if name not in OWN]
    return [", ".join(f"{name} {_short(row[name])}" for name in names) for row in trials.iter_rows(named=True)]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
