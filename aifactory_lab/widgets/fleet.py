"""The board of a fleet: who uses and who borrows, which job has which GPU, when it ran, what waits and why.

Without an argument it follows this user's fleet on this machine, also one that begins later. It computes nothing:
words and numbers come from `fleet.account`, asked once every two seconds for all boards of the process.

>>> from aifactory_lab.fleet import Fleet
>>> board = FleetBoard(Fleet("inline"))
>>> board
FleetBoard(inline)
>>> board.close()
"""

from typing import TYPE_CHECKING, Any

from aifactory_lab.errors import FactoryError
from aifactory_lab.fleet.source import FleetSource
from aifactory_lab.telemetry.sampler import Sampler
from aifactory_lab.widgets import defaults
from aifactory_lab.widgets.board import Board, refuse, replace

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from aifactory_lab.fleet.engines import Engine

KEYWORDS = ("fleet", "title", "name")


class FleetBoard(Board):
    """One fleet, live.

    Parameters
    ----------
    fleet
        A fleet, one of its engines, a `FleetSource`, or a sampler of one; by default this user's own on this machine.
    title, name
        The heading, and the name under which a later board replaces this one.

    Raises
    ------
    FactoryError
        For an unknown keyword, or something that is no fleet.
    """

    def __init__(self, fleet: Any = None, *, title: str = "Fleet", name: str = "", **unknown: Any) -> None:
        refuse("FleetBoard", unknown, KEYWORDS)
        given = fleet if isinstance(fleet, FleetSource | Sampler) else FleetSource(fleet)
        full = replace(name or f"FleetBoard {given.key}")
        with defaults.Found(self) as found:
            slow = found.fleet(given)
            super().__init__(found.feeds, panels=["jobs"], title=title, slow=slow, absent=found.absent, name=full)

    def words(self) -> str:
        """Return which fleet: its engine's name, or whichever there is."""
        engine = self._engine()
        return engine.name if engine is not None else "this user's fleet"

    def snapshot(self) -> "go.Figure":
        """Return the timeline of the jobs as a figure that stays as it is.

        Raises
        ------
        FactoryError
            If there is no fleet yet.
        """
        from aifactory_lab.figures import fleet as figures

        engine = self._engine()
        if engine is None:
            msg = "there is no fleet on this machine yet"
            raise FactoryError(msg, mend="fleet.Fleet().submit(train, gpus=1)")
        return figures.timeline(engine.jobs())

    def _engine(self) -> "Engine | None":
        source = self.feeds[0].sampler.source
        return source.engine if isinstance(source, FleetSource) else None
