"""Still pictures of the live boards: endpoints, the factory floor, the whole plant.

They take histories and snapshots of any source and know nothing of samplers or widgets.

>>> from aifactory_lab.telemetry.history import History
>>> from aifactory_lab.telemetry.readings import Entity, Layout
>>> layout = Layout((Entity(("endpoint",), "service"),), ("rows_rate", "latency_p50"), "simulated")
>>> [axis.text for axis in throughput([History.empty(layout)]).layout.annotations]
[]
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from aifactory_lab.figures import theme
from aifactory_lab.figures.plant import origin
from aifactory_lab.telemetry.history import History
from aifactory_lab.telemetry.metrics import METRICS
from aifactory_lab.telemetry.readings import Snapshot, State

RATES = ("tokens_rate", "predictions_rate", "rows_rate", "requests_rate")
SERVED = (*RATES, "running", "waiting", "latency_p50", "latency_p99", "ttft_p50", "itl_p50", "good_share")
PLANT = ("busy", "memory_used", "power", "rate", *RATES)
MOST_NAMES = 32  # entities beyond which the rows of a heat map carry no names
HEIGHT = 190  # of one row of two charts


def throughput(histories: Sequence[History]) -> go.Figure:
    """Draw what endpoints answered over time: a chart per metric that any of them exposes.

    Parameters
    ----------
    histories
        Of sources with entities of kind "service".
    """
    return _small_multiples("Throughput", histories, SERVED)


def overview(histories: Sequence[History]) -> go.Figure:
    """Draw everything over time: devices, stations and endpoints, the mean where there are more than eight."""
    return _small_multiples("The plant", histories, PLANT)


def fleet(history: History, metric: str = "busy") -> go.Figure:
    """Draw one metric of every entity over time as a heat map: a row an entity, grey where there is no value.

    Parameters
    ----------
    metric
        Its full scale, where it has a fixed one, is the end of the colours.
    """
    values, top = history.metric(metric), METRICS[metric].top
    labels = _labels(history, range(len(history.layout.entities)))
    heat = go.Heatmap(
        x=[datetime.fromtimestamp(t, UTC) for t in history.times],
        y=labels if len(labels) <= MOST_NAMES else None,
        z=values.T,
        colorscale="Viridis",
        zmin=0,
        zmax=top if isinstance(top, int | float) else None,
        colorbar={"title": {"text": METRICS[metric].unit}, "thickness": 12},
        hovertemplate="%{y}<br>%{x|%H:%M:%S}: %{z:.3g}<extra></extra>",
    )
    title = f"{METRICS[metric].label} of {len(labels):,}, over time"
    height = 110 + max(2, min(480, 24 * len(labels)))
    figure = theme.layout(go.Figure(heat), origin(title[0].upper() + title[1:], history.layout), height=height)
    figure.update_layout(plot_bgcolor=theme.GRID)
    return figure.update_yaxes(autorange="reversed", showgrid=False)


def floor(snapshot: Snapshot) -> go.Figure:
    """Draw what every station made in how many seconds; stations that never ran are left out."""
    names = [entity.name or entity.path[-1] for entity in snapshot.layout.entities]
    seconds = snapshot.column("seconds")
    ran = [row for row in range(len(names)) if np.isfinite(seconds[row])]
    bars = go.Bar(
        x=[float(seconds[row]) for row in ran],
        y=[names[row] for row in ran],
        orientation="h",
        text=[_made(snapshot, row) for row in ran],
        marker_color=[theme.COLOURS[row % len(theme.COLOURS)] for row in ran],
        textposition="auto",
        hovertemplate="%{y}: %{x:.3g} s<extra></extra>",
    )
    title = origin("The factory floor", snapshot.layout)
    figure = theme.layout(go.Figure(bars), title, x="seconds at work", height=90 + 44 * max(1, len(ran)))
    figure.update_yaxes(autorange="reversed")
    return figure


def _made(snapshot: Snapshot, row: int) -> str:
    entity = snapshot.layout.entities[row].id
    made, joules = (snapshot.reading(entity, name) for name in ("made", "joules"))
    energy = str(joules) if joules.state == State.VALUE else "energy unknown"
    return f"{made.value:,.0f} made · {energy}" if made.state == State.VALUE else energy


def _small_multiples(title: str, histories: Sequence[History], names: Sequence[str]) -> go.Figure:
    """Draw a chart per metric that has values, one line per entity, two charts a row."""
    shown = [name for name in names if any(_known(history, name) for history in histories)]
    rows = max(1, (len(shown) + 1) // 2)
    heads = [f"{METRICS[name].label} ({METRICS[name].unit})".replace(" ()", "") for name in shown]
    figure = make_subplots(rows, 2, subplot_titles=heads or None, vertical_spacing=0.35 / rows)
    coloured: dict[str, str] = {}
    for place, name in enumerate(shown):
        for history in histories:
            if _known(history, name):
                for trace in _lines(history, name, coloured):
                    figure.add_trace(trace, place // 2 + 1, place % 2 + 1)
    unreal = next((history.layout for history in histories if history.layout.origin != "measured"), None)
    figure = theme.layout(figure, origin(title, unreal) if unreal else title, height=110 + HEIGHT * rows)
    figure.update_layout(legend={"y": -0.3 / rows, "yanchor": "top"}, margin={"t": 74})  # below: the heads stand above
    figure.update_yaxes(rangemode="tozero")
    return figure.update_annotations(font_size=13)


def _lines(history: History, name: str, coloured: dict[str, str]) -> list[go.Scatter]:
    """Return one line per entity that has the metric, or the mean of many."""
    times = [datetime.fromtimestamp(t, UTC) for t in history.times]
    values = history.metric(name)
    having = [row for row in range(values.shape[1]) if np.isfinite(values[:, row]).any()]
    lines = dict(zip(_labels(history, having), values[:, having].T, strict=True))
    if len(having) > len(theme.COLOURS):
        lines = {f"mean of {len(having):,}": np.nanmean(values[:, having], axis=1)}
    traces = []
    for label, line in lines.items():
        fresh = label not in coloured
        colour = coloured.setdefault(label, theme.COLOURS[len(coloured) % len(theme.COLOURS)])
        style = {"color": colour, "width": 1.8}
        traces.append(go.Scatter(x=times, y=line, name=label, legendgroup=label, showlegend=fresh, line=style))
    return traces


def _labels(history: History, rows: Sequence[int]) -> list[str]:
    """Return the entities' own names, or their whole paths where two have the same name."""
    entities = [history.layout.entities[row] for row in rows]
    own = [entity.path[-1] for entity in entities]
    return own if len(set(own)) == len(own) else [entity.id for entity in entities]


def _known(history: History, name: str) -> bool:
    return name in history.layout.columns and bool(np.isfinite(history.metric(name)).any())
