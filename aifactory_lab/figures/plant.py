"""Pictures of the plant at one moment: every device where it stands, by site, rack and node.

What has no value is drawn as what it is, unsupported, lost or stale, never as zero; what was not measured says so in
the title. One function draws one GPU and ten thousand.

>>> from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot
>>> layout = Layout((Entity(("lab", "rack 1", "node 1", "gpu 0")),), ("busy",), "simulated", "a twin")
>>> heat(Snapshot.blank(layout, time=0.0).put("lab/rack 1/node 1/gpu 0", busy=97.0), "busy").layout.title.text
'Busy, % (simulated: a twin)'
"""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import plotly.graph_objects as go

from aifactory_lab.figures.theme import BAD, COLOURS, INK, PLAIN, WARN, layout
from aifactory_lab.telemetry.history import Values
from aifactory_lab.telemetry.metrics import METRICS
from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot, State

# From dark to light through the house's blue, sky and yellow: told apart without red and green, and in grey.
SCALE = ((0.0, COLOURS[0]), (0.5, COLOURS[4]), (1.0, COLOURS[6]))
MARKS = {
    State.UNSUPPORTED: ("unsupported", "line-ew-open", PLAIN),
    State.LOST: ("lost", "x-thin-open", BAD),
    State.STALE: ("stale", "circle-open", WARN),
}
MIG = ("MIG instance", "diamond-open", INK)
MOST_ROWS, WIDTH = 60, 144


def heat(snapshot: Snapshot, metric: str, *, height: int | None = None) -> go.Figure:
    """Draw one metric of every device as a map: site, rack, node, unit.

    Parameters
    ----------
    snapshot
        Of any number of devices; a row is a node, or a rack or a site where there are very many.
    height
        In pixels; by default by the number of rows.
    """
    cells, ticks = _arranged(snapshot.layout.entities)
    rows, columns = cells.max(axis=0) + 1
    values, column = snapshot.column(metric), snapshot.layout.column(metric)
    grid, texts = np.full((rows, columns), np.nan), np.full((rows, columns), "", dtype=object)
    grid[cells[:, 0], cells[:, 1]] = values
    texts[cells[:, 0], cells[:, 1]] = [
        f"{entity.id}<br>{entity.name}<br>{snapshot.reading(entity.id, metric)}" for entity in snapshot.layout.entities
    ]
    figure = go.Figure()
    figure.add_heatmap(
        z=grid,
        hovertext=texts,
        hoverinfo="text",
        colorscale=SCALE,
        zmin=0,
        zmax=_top(snapshot, metric),
        xgap=1,
        ygap=1,
        colorbar={"title": METRICS[metric].unit, "thickness": 12},
    )
    size = float(np.clip(500 / columns, 4, 12))
    for state, mark in MARKS.items():
        _mark(figure, cells[snapshot.states[:, column] == state], mark, size)
    mig = [entity.kind == "mig" for entity in snapshot.layout.entities]
    _mark(figure, cells[np.array(mig) & (snapshot.states[:, column] == State.VALUE)], MIG, size)
    layout(figure, titled(metric, snapshot.layout), height=height or int(np.clip(130 + 24 * rows, 200, 900)))
    figure.update_xaxes(visible=False)
    axis = {"tickvals": list(ticks), "ticktext": list(ticks.values()), "showgrid": False, "zeroline": False}
    return figure.update_yaxes(autorange="reversed", **axis)


def origin(text: str, of: Layout) -> str:
    """Return a title that says where its readings are from, if they were not measured here."""
    if of.origin == "measured":
        return text
    said = of.origin in of.label or of.label.startswith("recording")
    return f"{text} ({of.label if said else f'{of.origin}: {of.label}'.rstrip(': ')})"


def titled(metric: str, of: Layout) -> str:
    """Return the title of a figure of one metric: its words, its unit, and where it is from."""
    words = METRICS[metric].label
    return origin(f"{words[0].upper()}{words[1:]}, {METRICS[metric].unit}".rstrip(", "), of)


def _arranged(entities: Sequence[Entity]) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.intp]], dict[int, str]]:
    """Return the row and column of every entity, and the words at the rows.

    A gap stands between nodes that share a row, and a row between groups.
    """
    homes = [entity.path[:-2] if entity.kind == "mig" else entity.path[:-1] for entity in entities]
    depth = max(map(len, homes))
    while depth > 1 and len({home[:depth] for home in homes}) > MOST_ROWS:
        depth -= 1
    same = next((d for d in range(depth) if len({home[: d + 1] for home in homes}) > 1), max(0, depth - 1))
    cells, ticks, row = np.zeros((len(entities), 2), dtype=np.intp), dict[int, str](), -1
    before: tuple[str, ...] | None = None
    for key, line in groupby(sorted(range(len(homes)), key=lambda i: homes[i]), key=lambda i: homes[i][:depth]):
        row += 1 if before is None or before[:-1] == key[:-1] else 2
        before, column, ticks[row] = key, 0, " · ".join(key[same:])
        for _, node in groupby(line, key=lambda i: homes[i]):
            units = list(node)
            if column and column + len(units) > WIDTH:
                row, column = row + 1, 0
            for unit in units:
                if column >= WIDTH:
                    row, column = row + 1, 0
                cells[unit] = row, column
                column += 1
            column += 1
    return cells, ticks


def _top(snapshot: Snapshot, metric: str) -> float:
    """Return the full scale of a metric: as its definition says, else what is highest now."""
    top = METRICS[metric].top
    if isinstance(top, float):
        return top
    known = snapshot.column(top) if top in snapshot.layout.columns else snapshot.column(metric)
    known = known if not np.isnan(known).all() else snapshot.column(metric)
    return 1.0 if np.isnan(known).all() else float(np.nanmax(known)) or 1.0


def _mark(figure: go.Figure, cells: Values, mark: tuple[str, str, str], size: float) -> None:
    if not len(cells):
        return
    name, symbol, colour = mark
    marker = {"symbol": symbol, "size": size, "color": colour, "line": {"width": 2, "color": colour}}
    figure.add_scatter(
        x=cells[:, 1],
        y=cells[:, 0],
        mode="markers",
        marker=marker,
        name=f"{name} ({len(cells):,})",
        showlegend=True,
        hoverinfo="skip",
    )
