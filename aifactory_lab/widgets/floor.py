"""The factory floor: the stations in the way of the goods, who is at work, how fast, and where the line is held up.

It shows what this process does and what `make run` does in a terminal. It computes nothing: who is the bottleneck,
and why, `telemetry.production` says.

>>> floor = FactoryFloor()
>>> floor
FactoryFloor(decisions, tokens)
>>> floor.close()
"""

from typing import TYPE_CHECKING, Any

from aifactory_lab.telemetry.flow import LINES
from aifactory_lab.telemetry.sampler import Sampler
from aifactory_lab.telemetry.sources import Source
from aifactory_lab.widgets import defaults
from aifactory_lab.widgets.board import Board, refuse, replace

if TYPE_CHECKING:
    import plotly.graph_objects as go

KEYWORDS = ("source", "title", "name")


class FactoryFloor(Board):
    """The stations of the factory, live.

    Parameters
    ----------
    source
        A source or sampler of stations (entities of kind "station"); by default this process and the workspace.
    title, name
        The heading, and the name under which a later board replaces this one.

    Raises
    ------
    FactoryError
        For an unknown keyword.
    """

    def __init__(
        self,
        source: Source | Sampler | None = None,
        *,
        title: str = "Factory floor",
        name: str = "",
        **unknown: Any,
    ) -> None:
        refuse("FactoryFloor", unknown, KEYWORDS)
        full = replace(name or f"FactoryFloor {getattr(source, 'key', 'auto')}")
        with defaults.Found(self) as found:
            slow = found.production(given=source)
            super().__init__(found.feeds, panels=["floor"], title=title, slow=slow, absent=found.absent, name=full)

    def words(self) -> str:
        """Return the lines that are there, or the names of stations that are in none.

        What else ran differs from notebook to notebook.
        """
        here = [entity for feed in self.feeds for entity in feed.sampler.layout.entities]
        names = {entity.path[-1] for entity in here}
        lines = [line for line, stations in LINES.items() if names & set(stations)]
        return ", ".join(lines or [entity.name or entity.path[-1] for entity in here]) or "no stations"

    def snapshot(self) -> "go.Figure":
        """Return what every station made and spent as a figure that stays as it is."""
        from aifactory_lab.figures import boards

        return boards.floor(self.feeds[0].sampler.first())
