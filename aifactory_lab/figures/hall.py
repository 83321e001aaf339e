"""The hall from above: every rack where it stands, coloured by power, temperature or tokens, its state a mark.

Drawn to scale from `twin.hall.Hall`; values come as a frame, a row a rack. What is not known is hatched, never zero.
How values are read, and between which limits they are coloured, `rackvalues` settles for the 3-D hall as well.

>>> import polars as pl
>>> from aifactory_lab.twin import hall, plant
>>> small = hall.layout(plant.Plant(gpus=144, chassis="gb200-nvl72"))
>>> values = pl.DataFrame({"rack": [0, 1], "state": ["up", "down"], "watts": [98e3, None]})
>>> plan(small, values).layout.title.text
'Power of each rack, kW'
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import polars as pl
from plotly.colors import get_colorscale, sample_colorscale

from aifactory_lab.figures import theme
from aifactory_lab.figures.rackvalues import MEASURES, Limits, Measure, limits_of, measure, told
from aifactory_lab.figures.theme import BAD, COLOURS, INK, PLAIN, WARN
from aifactory_lab.twin.hall import Hall

# As in the 3-D hall: even in lightness, safe for the common colour-vision deficiencies.
SCALE = get_colorscale("Viridis")
STEPS = 32  # colours of a plan: a fill for each costs far less than one for each rack
EQUIPMENT = {"network": "#8C8C8C", "cdu": COLOURS[4], "fan": "#B9C1CB"}
NAMES = {"network": "network racks", "cdu": "CDUs", "fan": "fan units"}


def plan(
    hall: Hall, values: pl.DataFrame | None = None, by: str = "watts", *, limits: Limits | None = None
) -> go.Figure:
    """Draw the hall from above, to scale.

    Parameters
    ----------
    hall
        What stands where.
    values
        ``rack``, and of ``watts``, ``celsius``, ``tokens_per_second``, ``state`` (one of
        `rackvalues.STATES`), ``gpus_up``, ``note`` what is known.
    by
        What gives the colour: one of `rackvalues.MEASURES`.
    limits
        By measure, the least and the most of its scale, in the unit of its column; else `limits_of` the values.

    Raises
    ------
    TwinError
        See `rackvalues.told`; or if racks are not coloured by `by`.
    """
    how, full = measure(by), told(hall, values)
    low, high = (limits or {}).get(by) or limits_of(full, by)
    frame = hall.racks.join(full.drop("kind"), on="rack", maintain_order="left")
    gpus = frame.filter(pl.col("kind") == "gpu")
    figure = go.Figure()
    _equipment(figure, hall)
    _coloured(figure, gpus, how, low, high)
    _marks(figure, gpus)
    _hover(figure, gpus, how, low, high)
    length, breadth, _ = hall.extent
    figure = theme.layout(figure, f"{how.label.capitalize()} of each rack, {how.told}", height=_height(length, breadth))
    figure.update_xaxes(range=[0, length], showgrid=False, zeroline=False, ticksuffix=" m", nticks=8)
    figure.update_yaxes(range=[0, breadth], showgrid=False, zeroline=False, ticksuffix=" m", nticks=8, scaleanchor="x")
    return figure.update_layout(showlegend=True, margin={"t": 84})


def _corners(frame: pl.DataFrame) -> tuple[list[Any], list[Any]]:
    """Return the outlines of boxes as one line with gaps."""
    wide = np.where(frame["front"].to_numpy() % 180 == 90, frame["width"], frame["depth"]) / 2
    deep = np.where(frame["front"].to_numpy() % 180 == 90, frame["depth"], frame["width"]) / 2
    x, y = frame["x"].to_numpy()[:, None], frame["y"].to_numpy()[:, None]
    xs = x + wide[:, None] * np.array([-1, 1, 1, -1, -1, np.nan])
    ys = y + deep[:, None] * np.array([-1, -1, 1, 1, -1, np.nan])
    return xs.ravel().tolist(), ys.ravel().tolist()


def _fill(figure: go.Figure, frame: pl.DataFrame, colour: str, **how: Any) -> None:
    if frame.is_empty():
        return
    x, y = _corners(frame)
    line = {"color": INK, "width": 0.5}
    how = {"mode": "lines", "line": line, "hoverinfo": "skip", "showlegend": False} | how
    figure.add_scatter(x=x, y=y, fill="toself", fillcolor=colour, **how)


def _equipment(figure: go.Figure, hall: Hall) -> None:
    things = pl.concat([hall.racks, hall.coolers], how="diagonal")
    for kind, colour in EQUIPMENT.items():
        own = things.filter(pl.col("kind") == kind)
        _fill(figure, own, colour, opacity=0.6, name=f"{NAMES[kind]} ({own.height:,})", showlegend=True)


def _coloured(figure: go.Figure, gpus: pl.DataFrame, how: Measure, low: float, high: float) -> None:
    """Fill racks by their value, and hatch those whose value nobody knows."""
    known = gpus.filter(pl.col(how.name).is_not_null() & (pl.col("state") != "down"))
    share = ((known[how.name] - low) / (high - low)).clip(0, 1)
    step = (share * STEPS).cast(pl.Int64).clip(0, STEPS - 1)
    for place, colour in enumerate(sample_colorscale(SCALE, (np.arange(STEPS) + 0.5) / STEPS)):
        _fill(figure, known.filter(step == place), colour)
    hidden = gpus.filter(pl.col(how.name).is_null() & (pl.col("state") != "down"))
    pattern = {"shape": "/", "fgcolor": PLAIN, "bgcolor": "rgba(128,134,145,0.14)", "size": 5, "solidity": 0.3}
    _fill(figure, hidden, "rgba(0,0,0,0)", fillpattern=pattern, name=f"not known ({hidden.height:,})", showlegend=True)
    down = gpus.filter(pl.col("state") == "down")
    _fill(figure, down, "rgba(213,94,0,0.12)", line={"color": BAD, "width": 1.5})


def _marks(figure: go.Figure, gpus: pl.DataFrame) -> None:
    for state, symbol, colour in (("degraded", "triangle-up", WARN), ("down", "x", BAD)):
        own = gpus.filter(pl.col("state") == state)
        if own.height:
            marker = {"symbol": symbol, "size": 9, "color": colour, "line": {"width": 1, "color": "white"}}
            where = {"x": own["x"].to_list(), "y": own["y"].to_list(), "mode": "markers", "marker": marker}
            figure.add_scatter(**where, name=f"{state} ({own.height:,})", hoverinfo="skip")


def _hover(figure: go.Figure, gpus: pl.DataFrame, how: Measure, low: float, high: float) -> None:
    """Add what the pointer reads, and the scale."""
    bar = {"title": how.told, "thickness": 12, "outlinewidth": 0}
    span = {"cmin": low / how.each, "cmax": high / how.each, "colorscale": SCALE, "showscale": True, "colorbar": bar}
    marker = {"size": 12, "opacity": 0, "color": gpus[how.name].fill_null(math.nan).to_numpy() / how.each, **span}
    figure.add_scatter(
        x=gpus["x"].to_list(),
        y=gpus["y"].to_list(),
        mode="markers",
        marker=marker,
        text=[_words(row) for row in gpus.iter_rows(named=True)],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _words(row: Mapping[str, Any]) -> str:
    told = [
        f"{one.label} {'not known' if row[one.name] is None else f'{row[one.name] / one.each:,.4g} {one.told}'}"
        for one in MEASURES.values()
    ]
    return "<br>".join([f"rack {row['rack']}, row {row['row']}: {row['state']}", *told])


def _height(length: float, breadth: float) -> int:
    """In pixels, on a page of 900."""
    return int(np.clip(150 + 760 * breadth / length, 260, 680))
