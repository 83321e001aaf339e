"""The hall in three dimensions: racks, coolers, pipes and trays, coloured by power, temperature or tokens.

All that is shown is state of the widget, so that a page that comes later, or without a kernel, shows the same: the hall
once, then values as small binary buffers. The page draws, turns, picks and reads; without WebGL it draws the plan from
above. Nothing is computed here: what a plant does comes as a frame, a row a rack.

>>> import polars as pl
>>> from aifactory_lab.twin import hall, plant
>>> view = HallView(hall.layout(plant.Plant(gpus=144, chassis="gb200-nvl72")))
>>> view.update(pl.DataFrame({"rack": [0, 1], "watts": [98e3, 101e3]}))
>>> view
HallView(2 GPU racks by power, 2 known)
>>> view.close()
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import anywidget
import polars as pl
import traitlets

from aifactory_lab.errors import TwinError
from aifactory_lab.figures import hall as figures
from aifactory_lab.figures import rackvalues
from aifactory_lab.figures.rackvalues import MEASURES, Limits
from aifactory_lab.twin.hall import Hall
from aifactory_lab.widgets import hallwire

if TYPE_CHECKING:
    import plotly.graph_objects as go

STATIC = files("aifactory_lab.widgets") / "static"


class HallView(anywidget.AnyWidget):
    """A hall, to be turned, read and picked in.

    Parameters
    ----------
    hall
        What stands where: `twin.hall.layout` of a plant.
    values
        ``rack``, and of ``watts`` (W), ``celsius`` (°C), ``tokens_per_second``, ``state`` (``"up"``, ``"degraded"``,
        ``"down"``, ``"unknown"``), ``gpus_up``, ``note`` what is known; others are not looked at.
    by
        What gives the colour: ``"watts"``, ``"celsius"`` or ``"tokens_per_second"``; also chosen in the page.
    title
        The heading.
    limits
        By measure, the least and the most of its scale; else they follow the values and only ever widen, so that a
        colour keeps its meaning while a day goes by.
    height
        Of the picture, in pixels.

    Attributes
    ----------
    selected
        Number of the rack whose figures are open, None for none. Set here or by a click in the page; watch it with
        ``view.observe(f, "selected")``.
    incidents
        What is wrong in the hall now, a line each.
    moment
        When the values are of, in words.

    Raises
    ------
    TwinError
        If the values are not of this hall, or racks cannot be coloured by `by`.
    """

    _esm = (STATIC / "hall.js").read_text(encoding="utf-8")
    _css = (STATIC / "hall.css").read_text(encoding="utf-8")
    title = traitlets.Unicode().tag(sync=True)
    by = traitlets.Unicode("watts").tag(sync=True)
    selected = traitlets.Int(None, allow_none=True).tag(sync=True)
    incidents = traitlets.List(traitlets.Unicode()).tag(sync=True)
    moment = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(480).tag(sync=True)
    told_hall = traitlets.Dict().tag(sync=True)
    told_values = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        hall: Hall,
        values: pl.DataFrame | None = None,
        by: str = "watts",
        *,
        title: str = "Hall",
        limits: Limits | None = None,
        height: int = 480,
    ) -> None:
        rackvalues.measure(by)
        self.hall, self.values, self._given = hall, values, dict(limits or {})
        self._seen: dict[str, tuple[float, float]] = {}
        wire = {"told_hall": hallwire.of_hall(hall), "told_values": self._wire(rackvalues.told(hall, values))}
        super().__init__(title=title, by=by, height=height, **wire)

    def update(
        self,
        values: pl.DataFrame | None = None,
        *,
        hall: Hall | None = None,
        incidents: Sequence[str] | None = None,
        moment: str | None = None,
    ) -> None:
        """Show other values, or another hall; what is not given stays, but for the values of another hall.

        Raises
        ------
        TwinError
            If the values are not of the hall; then everything stays as it is.
        """
        now = self.hall if hall is None else hall
        known = values if values is not None or hall is not None else self.values
        full = rackvalues.told(now, known)
        self._seen = self._seen if hall is None else {}
        self.hall, self.values = now, known
        with self.hold_sync():
            if hall is not None:
                if self.selected not in set(hall.racks["rack"]):
                    self.selected = None
                self.told_hall = hallwire.of_hall(hall)
            self.told_values = self._wire(full)
            self.incidents = self.incidents if incidents is None else list(incidents)
            self.moment = self.moment if moment is None else moment

    def snapshot(self) -> "go.Figure":
        """Return the plan from above as a figure that stays as it is."""
        return figures.plan(self.hall, self.values, self.by, limits=self._limits())

    def __repr__(self) -> str:
        full = rackvalues.told(self.hall, self.values).filter(pl.col("kind") == "gpu")
        known = full[self.by].is_not_null().sum()
        return f"HallView({full.height:,} GPU racks by {MEASURES[self.by].label}, {known:,} known)"

    @traitlets.validate("by")
    def _coloured_by(self, proposal: dict[str, Any]) -> str:
        return rackvalues.measure(proposal["value"]).name

    @traitlets.validate("selected")
    def _stands_here(self, proposal: dict[str, Any]) -> int | None:
        value: int | None = proposal["value"]
        if value is not None and value not in self.hall.racks["rack"]:
            msg = f"rack {value!r} does not stand in this hall of {self.hall.racks.height} racks"
            raise TwinError(msg, mend="view.selected = 0")
        return value

    def _wire(self, full: pl.DataFrame) -> dict[str, Any]:
        """Return values for the page, every scale wide enough for all that came so far."""
        for name in MEASURES:
            if full[name].count():
                low, high = rackvalues.limits_of(full, name)
                before = self._seen.get(name, (low, high))
                self._seen[name] = min(low, before[0]), max(high, before[1])
        return hallwire.of_values(full, self._limits())

    def _limits(self) -> dict[str, tuple[float, float]]:
        """Return the ends of every scale: as given, as seen, or where nothing is known as for nothing."""
        return {name: rackvalues.limits_of(pl.DataFrame(), name) for name in MEASURES} | self._seen | self._given
