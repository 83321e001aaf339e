"""Pictures of runs: readings over time with the stations' work behind them, two runs on one axis, joules and seconds.

They take histories and recordings of any origin; what was not measured says so in the title. Nothing here reads a
device.

>>> from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot
>>> layout = Layout((Entity(("gpu 0",)),), ("power",), "simulated")
>>> lines(History.empty(layout), "power").layout.title.text
'Power, W (simulated)'
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from aifactory_lab.figures.plant import origin, titled
from aifactory_lab.figures.theme import COLOURS, INK, PLAIN, layout
from aifactory_lab.telemetry.history import History, Values
from aifactory_lab.telemetry.metrics import METRICS
from aifactory_lab.telemetry.readings import Layout
from aifactory_lab.telemetry.recordings.bands import Band
from aifactory_lab.telemetry.recordings.comparison import compare, stations
from aifactory_lab.telemetry.recordings.recording import Recording

MOST_POINTS = 2_000  # of a line: more than a screen is wide
MOST_LINES = len(COLOURS)
RANGE = "rgba(86,180,233,0.35)"  # the palette's sky
NAMED = 0.04  # of the axis: a narrower band carries no name


def lines(
    history: History,
    metrics: str | Sequence[str],
    *,
    entities: Sequence[str] | None = None,
    events: Iterable[Band] = (),
    height: int = 240,
) -> go.Figure:
    """Draw metrics over time, one below the other; more than eight devices as their median and range.

    Parameters
    ----------
    entities
        Ids of those to draw; by default all.
    events
        The stations' work, as bands behind the lines.
    height
        In pixels, of each metric.
    """
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    rows = [history.layout.row(entity) for entity in entities or history.layout.rows]
    figure = make_subplots(rows=len(names), cols=1, shared_xaxes=True, vertical_spacing=0.08 / len(names))
    for place, name in enumerate(names, start=1):
        draw = _each if len(rows) <= MOST_LINES else _range
        draw(figure, history, name, rows, place)
    _bands(figure, history, events, len(names))
    title = titled(names[0], history.layout) if len(names) == 1 else origin("Readings over time", history.layout)
    layout(figure, title, height=90 + height * len(names))
    for place, name in enumerate(names, start=1):
        figure.update_yaxes(title_text=f"{METRICS[name].label}, {METRICS[name].unit}".rstrip(", "), row=place, col=1)
    return figure.update_xaxes(title_text="UTC", row=len(names), col=1)


def overlay(
    a: Recording | Path | str,
    b: Recording | Path | str,
    metric: str,
    *,
    align: Literal["start", "station"] = "start",
    station: str = "",
    height: int = 340,
) -> go.Figure:
    """Draw one metric of two recordings on one axis, as `telemetry.compare` puts them there.

    Raises
    ------
    TelemetryError
        If they cannot be compared, or one of them has no such metric.
    """
    comparison = compare(a, b, align=align, station=station)
    figure = go.Figure()
    for run, colour, dash in ((comparison.first, COLOURS[0], "solid"), (comparison.second, COLOURS[1], "dash")):
        run.recording.layout.column(metric)
        seconds, values = thinned(run.seconds, run.lines.get(metric, np.full(len(run.seconds), np.nan)))
        figure.add_scatter(x=seconds, y=values, mode="lines", name=run.name, line={"color": colour, "dash": dash})
    figure.update_traces(hovertemplate=f"%{{x:.1f}} s<br>%{{y:.4g}} {METRICS[metric].unit}")
    of = _least_real(comparison.first.recording, comparison.second.recording)
    x = "seconds since the start" if align == "start" else f"seconds since {station or 'the station'} began"
    return layout(figure, titled(metric, of), x=x, y=METRICS[metric].unit, height=height)


def energy(*recordings: Recording) -> go.Figure:
    """Draw joules by station, a bar per recording; what no counter told is named, not drawn."""
    figure, unknown = go.Figure(), list[str]()
    for recording, colour in zip(recordings, COLOURS, strict=False):
        joules = {station: row["joules"] for station, row in stations(recording).items()}
        unknown += [station for station, value in joules.items() if value is None]
        known = {station: value for station, value in joules.items() if value is not None}
        text = [METRICS["joules"].text(value) for value in known.values()]
        figure.add_bar(x=list(known), y=list(known.values()), name=recording.name, marker_color=colour, text=text)
    figure.update_traces(textposition="outside", cliponaxis=False)
    x = f"not known: {', '.join(dict.fromkeys(unknown))}" if unknown else ""
    return layout(figure, origin("Joules by station", _least_real(*recordings)), x=x, y="J")


def share_of_time(*recordings: Recording) -> go.Figure:
    """Draw what share of each recording its stations worked, and what share none did.

    Stations that work at once count each; together they may exceed 100 %.
    """
    figure = go.Figure()
    spent = [{name: row["seconds"] or 0.0 for name, row in stations(recording).items()} for recording in recordings]
    names = [recording.name for recording in recordings]
    whole = [max(recording.seconds, 1e-9) for recording in recordings]
    for index, station in enumerate(dict.fromkeys(name for row in spent for name in row)):
        shares = [100 * row.get(station, 0.0) / of for row, of in zip(spent, whole, strict=True)]
        colour = COLOURS[index % (len(COLOURS) - 1)]  # the last is the grey of no station
        figure.add_bar(y=names, x=shares, name=station, orientation="h", marker_color=colour)
    idle = [100 * _idle(recording) / of for recording, of in zip(recordings, whole, strict=True)]
    figure.add_bar(y=names, x=idle, name="no station", orientation="h", marker_color=PLAIN)
    figure.update_traces(hovertemplate="%{y}: %{x:.1f} %")
    figure.update_layout(barmode="stack")
    title = origin("Where the time went", _least_real(*recordings))
    return layout(figure, title, x="% of the recorded time", height=130 + 50 * len(recordings))


def thinned(times: Values, values: Values, most: int = MOST_POINTS) -> tuple[Values, Values]:
    """Return a line of no more than `most` points, with the lowest and the highest of every stretch.

    Examples
    --------
    >>> thinned(np.arange(8.0), np.array([0, 9, 1, 1, 1, -5, 1, 1.0]), most=4)[1].tolist()
    [0.0, 9.0, 1.0, -5.0]
    """
    if len(times) <= most:
        return times, values
    size = -(-len(times) // (most // 2))
    blocks = _blocks(values, size)
    starts = size * np.arange(len(blocks))
    lowest = starts + np.where(np.isnan(blocks), np.inf, blocks).argmin(axis=1)
    highest = starts + np.where(np.isnan(blocks), -np.inf, blocks).argmax(axis=1)
    places = np.unique([lowest, highest])
    return times[places], values[places]


def moments(times: Values) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
    """Return seconds since the epoch as an axis of dates."""
    return (np.asarray(times) * 1e3).round().astype("datetime64[ms]")


def _each(figure: go.Figure, history: History, metric: str, rows: Sequence[int], place: int) -> None:
    """Draw a line per device, of the same colour in every metric."""
    entities = [history.layout.entities[row] for row in rows]
    short = len({entity.path[-1] for entity in entities}) == len(entities)
    for index, (row, entity) in enumerate(zip(rows, entities, strict=True)):
        times, values = thinned(history.times, history.metric(metric)[:, row])
        figure.add_scatter(
            x=moments(times),
            y=values,
            mode="lines",
            name=entity.path[-1] if short else entity.id,
            legendgroup=entity.id,
            showlegend=place == 1,
            line={"color": COLOURS[index], "width": 1.6},
            row=place,
            col=1,
        )


def _range(figure: go.Figure, history: History, metric: str, rows: Sequence[int], place: int) -> None:
    """Draw the median of many devices within their range; of a long history, those of every stretch."""
    cells = history.metric(metric)[:, rows]
    blocks = np.ma.masked_invalid(_blocks(cells, -(-len(cells) // MOST_POINTS) or 1))
    blocks = blocks.reshape(len(blocks), -1)
    times = history.times[:: -(-len(cells) // MOST_POINTS) or 1]
    looks = (
        ("lowest", blocks.min(1), {"width": 0}, None),
        ("range", blocks.max(1), {"width": 0}, "tonexty"),
        (f"median of {len(rows):,}", np.ma.median(blocks, 1), {"color": COLOURS[0], "width": 2}, None),  # type: ignore[no-untyped-call]
    )
    for name, curve, line, fill in looks:
        figure.add_scatter(
            x=moments(times),
            y=np.ma.filled(curve.astype(float), np.nan),
            mode="lines",
            name=name,
            line=line,
            fill=fill,
            fillcolor=RANGE,
            showlegend=place == 1 and name != "lowest",
            legendgroup=name,
            row=place,
            col=1,
        )


def _bands(figure: go.Figure, history: History, events: Iterable[Band], count: int) -> None:
    """Draw the stations' work behind the lines, with their names above those that are wide enough."""
    if not len(history):
        return
    first, last = float(history.times[0]), float(history.times[-1])
    shown = [band for band in events if band.within(first, last)]
    stations = list(dict.fromkeys(band.station for band in shown))
    for band in shown:
        start, stop = max(first, band.start), min(last, band.stop or last)
        colour = COLOURS[stations.index(band.station) % len(COLOURS)]
        x0, x1, middle = map(str, moments(np.array([start, stop, (start + stop) / 2])))
        for place in range(1, count + 1):
            figure.add_vrect(
                x0=x0, x1=x1, fillcolor=colour, opacity=0.18, line_width=0, layer="below", row=place, col=1
            )
        if stop - start > NAMED * (last - first):
            words = {"text": band.station, "showarrow": False, "font": {"size": 11, "color": INK}}
            figure.add_annotation(x=middle, y=0, yref="y domain", yanchor="bottom", **words)


def _least_real(*recordings: Recording) -> Layout:
    """Return the layout whose origin the title must tell: one that was not measured, if there is any."""
    layouts = [recording.layout for recording in recordings]
    return next((of for of in layouts if of.origin != "measured"), layouts[0])


def _idle(recording: Recording) -> float:
    """Return the seconds in which no station worked."""
    idle, free_from = 0.0, recording.start
    for band in recording.events:  # in order of their start
        idle += max(0.0, band.start - free_from)
        free_from = max(free_from, band.stop or recording.stop)
    return idle + max(0.0, recording.stop - free_from)


def _blocks(values: Values, size: int) -> Values:
    """Return stretches of `size` samples, the last filled up with NaN."""
    missing = -len(values) % size
    padded = np.concatenate([values, np.full((missing, *values.shape[1:]), np.nan)])
    return padded.reshape(-1, size, *values.shape[1:])
