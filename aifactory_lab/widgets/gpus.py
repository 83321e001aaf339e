"""The board of the GPUs: one to ten thousand, each as a cell, with lines, details and the stations behind them.

Without an argument it watches the GPUs of this machine, and where there are none it says so and shows the host. It
takes any other source of GPU readings as well: a recording, a simulation, a cluster. It computes nothing.

>>> from aifactory_lab.telemetry import Entity, Layout, Snapshot, Source
>>> class Eight(Source):
...     key = "eight"
...
...     def open(self):
...         return Layout(tuple(Entity(("node 1", f"gpu {i}")) for i in range(8)), ("busy",), "simulated", "idle")
...
...     def sample(self):
...         return Snapshot.blank(self.layout, time=0.0)
>>> board = GpuBoard(Eight(), host=False)
>>> board
GpuBoard(8 GPUs, simulated)
>>> board.close()
"""

from typing import TYPE_CHECKING, Any

from aifactory_lab.telemetry.readings import Layout
from aifactory_lab.telemetry.sampler import Sampler
from aifactory_lab.telemetry.sources import Source
from aifactory_lab.widgets import defaults
from aifactory_lab.widgets.board import Board, refuse, replace

if TYPE_CHECKING:
    import plotly.graph_objects as go

KEYWORDS = ("source", "host", "bands", "title", "name")


class GpuBoard(Board):
    """All GPUs of a source, live.

    Parameters
    ----------
    source
        A source or a running sampler of GPU readings, or the address of an exporter's metrics
        (``"http://node-7:9400/metrics"``); by default the GPUs of this machine.
    host
        Whether the machine itself is shown below: CPU, memory, disk, network. With a source that is not this
        machine (a recording, a simulation) it is left out.
    bands
        Whether stations at work are drawn behind the lines: those of a recording when it is one, else this
        machine's; left out for what is not measured here.
    title, name
        The heading, and the name under which a later board replaces this one.

    Raises
    ------
    FactoryError
        For an unknown keyword.
    """

    def __init__(
        self,
        source: str | Source | Sampler | None = None,
        *,
        host: bool = True,
        bands: bool = True,
        title: str = "GPUs",
        name: str = "",
        **unknown: Any,
    ) -> None:
        refuse("GpuBoard", unknown, KEYWORDS)
        full = replace(name or f"GpuBoard {getattr(source, 'key', source)}")
        with defaults.Found(self) as found:
            found.gpus(source)
            here = all(sampler.layout.origin == "measured" for _, sampler in found.feeds)
            if host and here:
                found.host()
            watched = source.source if isinstance(source, Sampler) else source
            slow = found.stations(watched) if bands else {}
            super().__init__(
                found.feeds, panels=["gpus", "hosts"], title=title, slow=slow, absent=found.absent, name=full
            )

    def words(self) -> str:
        """Return how many GPUs, and whether they are real."""
        layouts = [feed.sampler.layout for feed in self.feeds if feed.role == "gpu"]
        return f"{counted(layouts[0])}, {layouts[0].origin}" if layouts else "no GPUs"

    def snapshot(self) -> "go.Figure":
        """Return the history of every device as a figure that stays as it is."""
        from aifactory_lab.figures import boards

        return boards.fleet(self.feeds[0].sampler.ring.history())


def counted(layout: Layout) -> str:
    """Return "8 GPUs"; MIG instances count as parts of theirs."""
    count = sum(entity.kind == "gpu" for entity in layout.entities)
    return "1 GPU" if count == 1 else f"{count:,} GPUs"
