"""Pictures of a fleet: who uses and who borrows, when which job ran, which project has which GPU, GPU-hours.

Frames go in as `fleet.Fleet` returns them, figures come out. A project has the same colour in all of them and on the
boards; what is borrowed is hatched.

>>> from aifactory_lab.fleet import frames
>>> projects = frames.frame(frames.PROJECTS, [{"project": "vision", "quota": 4, "used": 6, "borrowed": 2}])
>>> [(bar.name, bar.x) for bar in quota(projects).data if bar.type == "bar"]
[('within the quota', (4,)), ('borrowed', (2,))]
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import plotly.graph_objects as go
import polars as pl

from aifactory_lab.errors import DataError
from aifactory_lab.figures import theme
from aifactory_lab.figures.theme import COLOURS, INK, PLAIN
from aifactory_lab.fleet import frames, places
from aifactory_lab.fleet.timeline import Span, Timeline, spans

FREE = "rgba(128,134,145,0.16)"
HATCH = {"fgcolor": "rgba(255,255,255,0.8)", "size": 7, "solidity": 0.35}
MOST_ROWS = 40
DRAWN = {"projects": "quota", "jobs": "timeline", "nodes": "nodes", "usage": "hours"}
ROW = 22  # pixels
# Okabe & Ito's that show on any ground, then from Paul Tol's "muted" (2021)
PALETTE = (*(COLOURS[place] for place in (0, 5, 2, 3, 1, 4)), "#332288", "#999933", "#882255", "#44AA99")
MAIN = 6
Colours = Mapping[str, str]


def colours(*told: pl.DataFrame) -> dict[str, str]:
    """Return a colour for every project of some frames: by its name, so that it is the same in the next figure.

    Where two names would share one, the later in the alphabet takes the next that is free. The boards do the same.
    """
    found: dict[str, str] = {}
    for name in sorted({name for frame in told for name in frame["project"].drop_nulls()}):
        first = _place(name)
        order = [*PALETTE[first:MAIN], *PALETTE[:first], *PALETTE[MAIN:]]
        free = [colour for colour in order if colour not in found.values()]
        found[name] = (free or order)[0]
    return found


def quota(projects: pl.DataFrame, *, colours: Colours | None = None) -> go.Figure:
    """Draw the GPUs that each project uses against its quota.

    Raises
    ------
    DataError
        If the frame is not one of projects (`frames.PROJECTS`).
    """
    _check(projects, frames.PROJECTS, "projects")
    shown = projects.sort("project", descending=True).with_columns(pl.col("used", "borrowed").fill_null(0))
    names, inks = shown["project"].to_list(), _inks(colours, projects)
    own = (shown["used"] - shown["borrowed"]).clip(lower_bound=0)
    figure = go.Figure()
    for name, values, shape in (("within the quota", own, ""), ("borrowed", shown["borrowed"], "/")):
        marker = {"color": [inks[project] for project in names], "pattern": HATCH | {"shape": [shape] * len(names)}}
        figure.add_bar(y=names, x=values.to_list(), orientation="h", name=name, marker=marker)
    limits = shown.filter(pl.col("quota").is_not_null())
    if limits.height:
        mark = {"symbol": "line-ns", "size": 26, "line": {"width": 3, "color": INK}}
        where = {"y": limits["project"].to_list(), "x": limits["quota"].to_list()}
        figure.add_scatter(**where, mode="markers", marker=mark, name="quota")
    figure = theme.layout(figure, "GPUs in use by project", x="GPUs", height=_height(len(names), 2 * ROW))
    return figure.update_layout(barmode="stack").update_xaxes(rangemode="tozero", tickformat="d")


def timeline(
    jobs: pl.DataFrame,
    *,
    by: Literal["job", "gpu"] = "job",
    seen: Timeline | None = None,
    colours: Colours | None = None,
    now: float | None = None,
) -> go.Figure:
    """Draw when which job ran: the last attempt of each, the newest at the top.

    Parameters
    ----------
    by
        A row for each job, or for each GPU that a job had.
    seen
        Frames that were observed while jobs ran: then earlier attempts are drawn, too.
    now
        Where what still runs ends, in seconds since the epoch; default the time of the call.

    Raises
    ------
    DataError
        If the frame is not one of jobs (`frames.JOBS`).
    """
    _check(jobs, frames.JOBS, "jobs")
    now = datetime.now(UTC).timestamp() if now is None else now
    named = {row["id"]: row for row in jobs.select("id", "name", "project").iter_rows(named=True)}
    told = [span for span in (spans(jobs, now) if seen is None else seen.spans()) if span.job in named]
    bars = [(row, span) for span in told for row in _rows(span, named[span.job], by)]
    order = sorted({row for row, _ in bars}) if by == "gpu" else list(dict.fromkeys(row for row, _ in reversed(bars)))
    kept, inks, figure = set(order[:MOST_ROWS]), _inks(colours, jobs), go.Figure()
    for project in sorted({named[span.job]["project"] or "" for _, span in bars}):
        own = [(row, span) for row, span in bars if row in kept and (named[span.job]["project"] or "") == project]
        figure.add_bar(**_bars(own, named, now), name=project, marker=_marker(own, inks.get(project, PLAIN)))
    left = len(order) - len(kept)
    title = "When which job ran" + (f" (the newest {MOST_ROWS} of {len(order)})" if left else "")
    figure = theme.layout(figure, title, height=_height(len(kept), ROW))
    figure.update_layout(barmode="overlay", bargap=0.2, showlegend=True)
    return figure.update_yaxes(categoryorder="array", categoryarray=order[:MOST_ROWS][::-1]).update_xaxes(type="date")


def nodes(nodes: pl.DataFrame, jobs: pl.DataFrame, *, colours: Colours | None = None) -> go.Figure:
    """Draw a cell for every GPU of every node, in the colour of the project that has it; ``b`` is borrowed.

    Raises
    ------
    DataError
        If the frames are not of nodes and jobs (`frames.NODES`, `frames.JOBS`).
    """
    _check(nodes, frames.NODES, "nodes")
    _check(jobs, frames.JOBS, "jobs")
    told, more = places.nodes(nodes, jobs)
    rows = {row["id"]: row for row in jobs.iter_rows(named=True)}
    inks = _inks(colours, jobs)
    kinds = ["free", "in use", *sorted({rows[job]["project"] for one in told for job in one["cells"] if job in rows})]
    shades = [FREE, PLAIN, *(inks[project] for project in kinds[2:])]
    figure = go.Figure(_cells(told[::-1], rows, kinds, shades))
    for kind, shade in zip(kinds, shades, strict=True):
        mark = {"symbol": "square", "size": 12, "color": shade}
        figure.add_scatter(x=[None], y=[None], mode="markers", marker=mark, name=kind)
    if any(rows[job]["borrowed"] for one in told for job in one["cells"] if job in rows):
        figure.add_scatter(x=[None], y=[None], mode="text", text=["b"], name="b: borrowed")
    title = "Who has which GPU" + (f" ({more} more nodes not drawn)" if more else "")
    figure = theme.layout(figure, title, x="GPU", height=_height(len(told), ROW + 6))
    return figure.update_xaxes(dtick=1, showgrid=False).update_yaxes(showgrid=False, type="category")


def hours(usage: pl.DataFrame, *, colours: Colours | None = None) -> go.Figure:
    """Draw the GPU-hours of each project, a part for each of its people.

    Raises
    ------
    DataError
        If the frame is not one of usage (`frames.USAGE`).
    """
    _check(usage, frames.USAGE, "usage")
    inks, figure = _inks(colours, usage), go.Figure()
    for row in usage.sort("project", "gpu_hours", descending=[True, True]).iter_rows(named=True):
        marker = {"color": inks[row["project"]], "line": {"color": "white", "width": 1.5}}
        told = f"{row['user']}: {row['gpu_hours']:,.3g} GPU-hours in {row['jobs']} jobs"
        where = {"y": [row["project"]], "x": [row["gpu_hours"]], "orientation": "h"}
        figure.add_bar(**where, marker=marker, text=row["user"], hovertext=told, hoverinfo="text", name=row["user"])
    figure = theme.layout(figure, "GPU-hours by project and user", x="GPU-hours", height=_height(len(inks), 2 * ROW))
    return figure.update_layout(barmode="stack", showlegend=False, margin={"t": 50})


def _rows(span: Span, job: Mapping[str, Any], by: str) -> list[str]:
    return list(span.devices) if by == "gpu" else [f"{job['name'] or 'job'} · {span.job}"]


def _bars(own: list[tuple[str, Span]], named: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Return bars along a time axis: where each begins, and how many milliseconds it lasts."""
    lasts = [1e3 * ((now if span.end is None else span.end) - span.start) for _, span in own]
    texts = [
        f"{named[span.job]['name']} (job {span.job}), {ms / 1e3:,.0f} s, {span.state.lower()}"
        + (", borrowed" if span.borrowed else "")
        for (_, span), ms in zip(own, lasts, strict=True)
    ]
    base = [datetime.fromtimestamp(span.start, UTC).isoformat() for _, span in own]
    where = {"y": [row for row, _ in own], "x": lasts, "base": base, "orientation": "h"}
    return where | {"hovertext": texts, "hoverinfo": "text"}


def _marker(own: list[tuple[str, Span]], ink: str) -> dict[str, Any]:
    shapes = ["/" if span.borrowed else "" for _, span in own]
    return {"color": ink, "pattern": HATCH | {"shape": shapes}}


def _cells(told: list[dict[str, Any]], jobs: Mapping[str, Any], kinds: list[str], shades: list[str]) -> go.Heatmap:
    """Return the map: one colour for each kind of cell."""
    most = max((len(one["cells"]) for one in told), default=0)
    rows = [
        [_cell(job, jobs, kinds) for job in one["cells"]] + [(None, "", "")] * (most - len(one["cells"]))
        for one in told
    ]
    steps = [(place / len(shades), shade) for shade, place in _edges(shades)]
    return go.Heatmap(
        y=[one["node"] for one in told],
        z=[[kind for kind, _, _ in row] for row in rows],
        text=[[mark for _, mark, _ in row] for row in rows],
        hovertext=[[words for _, _, words in row] for row in rows],
        hovertemplate="%{y}, GPU %{x}: %{hovertext}<extra></extra>",
        texttemplate="%{text}",
        colorscale=steps,
        zmin=-0.5,
        zmax=len(kinds) - 0.5,
        showscale=False,
        xgap=2,
        ygap=3,
    )


def _cell(job: str, jobs: Mapping[str, Any], kinds: list[str]) -> tuple[int | None, str, str]:
    """Return which kind a cell is, its mark and its words."""
    if job not in jobs:
        return int(bool(job)), "", kinds[int(bool(job))]
    row = jobs[job]
    return kinds.index(row["project"]), "b" if row["borrowed"] else "", f"{row['name']} (job {job})"


def _edges(shades: list[str]) -> list[tuple[str, int]]:
    """Return each shade with both of its edges, so that a colour scale has steps and no slopes."""
    return [(shade, place + side) for place, shade in enumerate(shades) for side in (0, 1)]


def _inks(given: Colours | None, frame: pl.DataFrame) -> dict[str, str]:
    return colours(frame) | dict(given or {})


def _place(name: str) -> int:
    """Return a place among the main colours that depends on the name alone, in every process."""
    total = 0
    for letter in name:
        total = (total * 31 + ord(letter)) & 0xFFFFFFFF
    return total % MAIN


def _height(rows: int, each: int) -> int:
    return 130 + each * max(1, rows)


def _check(frame: pl.DataFrame, schema: Mapping[str, Any], what: str) -> None:
    if missing := set(schema) - set(frame.columns):
        msg = f"this is no frame of {what}: it lacks {', '.join(sorted(missing))}"
        raise DataError(msg, mend=f"figures.fleet.{DRAWN[what]}(Fleet().{what}())")
