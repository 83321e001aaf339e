"""The kernel's side of the boards' contest: the same scripted GPUs and the same sampler, drawn by one of two.

Called by the one cell of a notebook that voila serves; the function returns the widget to be shown.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from aifactory_lab.telemetry.readings import Snapshot
from aifactory_lab.telemetry.sampler import Sampler, watch
from tests.benchmarks.plant.driven import Script

WINDOW = 120  # points of each line
LINES = ("busy", "memory_used", "power", "temperature")


def gpu_board(gpus: int, hz: float, folder: str) -> Any:
    """Our board."""
    from aifactory_lab.widgets import GpuBoard

    _note(folder)
    return GpuBoard(Script(gpus, hz=hz), host=False)


def figure_widget(gpus: int, hz: float, folder: str) -> Any:
    """Plotly's live figure: four lines of the fleet's means, and a heat map of how busy every GPU is."""
    _note(folder)
    figure = LiveFigure(gpus)
    watch(Script(gpus, hz=hz)).subscribe(figure.see)
    KEPT.append(figure)
    return figure.widget


KEPT: list[Any] = []


class LiveFigure:
    """A FigureWidget that is brought up to date by one `batch_update` a sample, as its documentation says."""

    def __init__(self, gpus: int) -> None:
        import plotly.graph_objects as go
        from plotly.subplots import make_subplots

        self.side = int(np.ceil(np.sqrt(gpus)))
        self.times: list[float] = []
        self.lines: dict[str, list[float]] = {name: [] for name in LINES}
        figure = make_subplots(rows=len(LINES) + 1, cols=1, row_heights=[1] * len(LINES) + [2])
        for row, name in enumerate(LINES, 1):
            figure.add_trace(go.Scatter(x=[], y=[], name=name, mode="lines"), row=row, col=1)
        blank = np.zeros((self.side, self.side), dtype=np.float32)
        figure.add_trace(go.Heatmap(z=blank, zmin=0, zmax=100, showscale=False), row=len(LINES) + 1, col=1)
        figure.update_layout(height=900, showlegend=False)
        self.widget = go.FigureWidget(figure)

    def see(self, _: Sampler, snapshot: Snapshot) -> None:
        """Draw one sample."""
        self.times = [*self.times, snapshot.time][-WINDOW:]
        for name, line in self.lines.items():
            line.append(float(snapshot.column(name).mean()))
        cells = np.full(self.side * self.side, np.nan, dtype=np.float32)
        cells[: len(snapshot.values)] = snapshot.column("busy")
        times = np.array(self.times)
        with self.widget.batch_update():
            for trace, line in zip(self.widget.data, self.lines.values(), strict=False):
                trace.x, trace.y = times, np.array(line[-WINDOW:], dtype=np.float32)
            self.widget.data[-1].z = cells.reshape(self.side, self.side)


def _note(folder: str) -> None:
    """Say which process the kernel is, for whoever counts its CPU time."""
    Path(folder, "kernel.pid").write_text(str(os.getpid()))
