"""Pictures of scaling: speed-up beside the ideal, where the lost seconds went, and which worker ran what when.

They take what `cluster.scaling` returns. Nothing here measures.

>>> import polars as pl
>>> speedup(pl.DataFrame({"workers": [1, 2], "speedup": [1.0, 1.5], "efficiency": [1.0, 0.75]})).data[0].name
'ideal'
"""

from collections.abc import Sequence

import plotly.graph_objects as go
import polars as pl

from aifactory_lab.cluster.scaling import Run, amdahl
from aifactory_lab.figures import theme
from aifactory_lab.figures.theme import COLOURS, PLAIN

LOST = {
    "alone": "no task runs: one process plans and joins",
    "more_work": "work that one worker had not",
    "idle": "workers without a task",
}
STEPS = 40  # points of a curve


def speedup(compared: pl.DataFrame, *, serial: float | None = None, title: str = "Speed-up") -> go.Figure:
    """Draw measured speed-up over workers beside the ideal.

    Parameters
    ----------
    compared
        `cluster.scaling.compare`: workers, speedup, efficiency.
    serial
        Draw also what this serial share allows (Amdahl).
    """
    counts = compared["workers"].to_list()
    most = max(counts)
    figure = go.Figure()
    line = {"color": PLAIN, "dash": "dash"}
    figure.add_scatter(x=[1, most], y=[1, most], mode="lines", name="ideal", line=line)
    if serial is not None:
        x = [1 + (most - 1) * step / STEPS for step in range(STEPS + 1)]
        name, line = f"{serial:.0%} serial (Amdahl)", {"color": COLOURS[1]}
        figure.add_scatter(x=x, y=[amdahl(count, serial) for count in x], mode="lines", name=name, line=line)
    figure.add_scatter(
        x=counts,
        y=compared["speedup"].to_list(),
        mode="lines+markers+text",
        name="measured",
        text=[f"{value:.0%}" for value in compared["efficiency"]],
        textposition="bottom center",
        line={"color": COLOURS[0]},
        marker={"size": 9},
        hovertemplate="%{x} workers: %{y:.2f} times as fast, efficiency %{text}<extra></extra>",
    )
    figure = theme.layout(figure, title, x="workers", y="times as fast as one worker")
    return figure.update_xaxes(tickvals=counts).update_yaxes(rangemode="tozero")


def lost_seconds(compared: pl.DataFrame, *, title: str = "Where the seconds went") -> go.Figure:
    """Draw the ideal seconds of each run and what came on top of them, stacked."""
    names = [f"{count} workers" if count > 1 else "1 worker" for count in compared["workers"]]
    figure = go.Figure()
    figure.add_bar(y=names, x=compared["ideal"].to_list(), name="ideal", orientation="h", marker_color=PLAIN)
    for colour, (column, what) in zip(COLOURS[:3], LOST.items(), strict=True):
        figure.add_bar(y=names, x=compared[column].to_list(), name=what, orientation="h", marker_color=colour)
    figure.update_layout(barmode="relative")
    return theme.layout(figure, title, x="seconds", height=180 + 50 * len(names)).update_yaxes(autorange="reversed")


def timeline(runs: Run | Sequence[Run], *, title: str = "Who ran what, when") -> go.Figure:
    """Draw the tasks of one or more runs on one axis of seconds, a line for each worker."""
    figure = go.Figure()
    every = [runs] if isinstance(runs, Run) else list(runs)
    kinds = sorted({task for run in every for task in run.tasks["task"]})
    rows = [(run, worker) for run in every for worker in sorted(set(run.tasks["worker"]))]
    for kind, colour in zip(kinds, COLOURS * len(kinds), strict=False):
        spans = [
            (_row(run, worker), span["start"], span["stop"] - span["start"])
            for run, worker in rows
            for span in run.tasks.filter(worker=worker, task=kind).iter_rows(named=True)
        ]
        figure.add_bar(
            y=[row for row, _, _ in spans],
            base=[start for _, start, _ in spans],
            x=[seconds for _, _, seconds in spans],
            orientation="h",
            name=kind,
            marker={"color": colour, "line": {"width": 0.5, "color": "white"}},
        )
    figure.update_layout(barmode="overlay")
    figure = theme.layout(figure, title, x="seconds", height=150 + 34 * len(rows))
    longest = max((run.seconds for run in every), default=1.0)
    return figure.update_xaxes(range=[0, longest]).update_yaxes(
        categoryorder="array", categoryarray=[_row(*row) for row in reversed(rows)]
    )


def _row(run: Run, worker: str) -> str:
    return f"{run.workers}: worker {worker}"
