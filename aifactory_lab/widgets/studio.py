"""The design studio: what is built and what it serves on the left, what comes of it on the right, at every move.

A combination that cannot be is answered in place, in the twin's own words with what mends it, and the last good design
stays. This module reckons nothing: `twin` does, `figures` draw it.

>>> studio = DesignStudio()
>>> studio
DesignStudio(1,080 GPUs for llama-3-405b)
>>> studio.form.fields["model"].value = "llama-3-70b"
>>> studio.outcome.service.shape.name
'llama-3-70b'
>>> studio.close()
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import polars as pl

from aifactory_lab.errors import FactoryError
from aifactory_lab.twin import hall as halls
from aifactory_lab.twin import steady_racks
from aifactory_lab.twin.climate import Climate
from aifactory_lab.twin.design import evaluate
from aifactory_lab.twin.outcome import Outcome
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.service import Service
from aifactory_lab.widgets import studiofiles, studioviews
from aifactory_lab.widgets.gathered import Gathered
from aifactory_lab.widgets.hall import HallView
from aifactory_lab.widgets.spoken import warned
from aifactory_lab.widgets.studioday import DayPanel
from aifactory_lab.widgets.studiofile import Download
from aifactory_lab.widgets.studioform import DesignForm, group

if TYPE_CHECKING:
    from aifactory_lab.twin.operations import Day

LEFT = ipw.Layout(flex="1 1 300px", min_width="0", padding="0 14px 0 0")
RIGHT = ipw.Layout(flex="999 1 600px", min_width="min(100%, 320px)")


class DesignStudio(ipw.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """A form, a hall, figures, a day, and files to take away.

    Parameters
    ----------
    **given
        Fields of the form by name, to begin with: ``gpus=512, chassis="dgx-b200"``, ….

    Attributes
    ----------
    outcome
        The last good design.

    Raises
    ------
    TwinError
        If a field is not there, or the design to begin with cannot be.
    """

    def __init__(self, **given: Any) -> None:
        self._plant: Plant | None = None
        self.form = DesignForm(**given)
        self.outcome = self._evaluated()
        self.message = ipw.HTML()
        self.hall = HallView(halls.layout(self.outcome.plant), title="Hall", height=430)
        self.views = studioviews.Views(self.hall, picked=self.take)
        self.days = DayPanel(ask=self._asked, seen=self._on_hour, hall=self.hall)
        self.views.add("A day", self.days)
        self.form.changed = Gathered(self.design)
        self.files = self._files()
        self.form.children = (*self.form.children, group("Take away", self.files))
        left = ipw.VBox([self.form], layout=LEFT)
        right = ipw.VBox([self.message, self.views], layout=RIGHT)
        super().__init__([ipw.HBox([left, right], layout=ipw.Layout(flex_flow="row wrap"))])
        self._show()

    def design(self) -> Outcome | None:
        """Reckon what the form says and show it; return None with the reason in `message` where it cannot be."""
        try:
            self.outcome = self._evaluated()
        except FactoryError as error:
            self.message.value = warned(error)
            return None
        self.days.forget()
        self.message.value = ""
        self._show()
        return self.outcome

    def take(self, row: Mapping[str, Any]) -> None:
        """Take over a design that was clicked among the others, with the load that it was reckoned for."""
        share = float(row["cap_share"])
        same = {name: row[name] for name in ("chassis", "precision", "rejection", "water_celsius")}
        changed, self.form.changed = self.form.changed, None
        self.form.fill(**same, tp=int(row["tp"]), cap=round(100 * share), full=False)
        rate = row["tokens_per_second_per_gpu"] * self.form.plant().gpus / row["osl"]
        self.form.changed = changed
        self.form.fill(requests_per_second=rate)

    @property
    def day(self) -> "Day | None":
        """The day that this design went through; None where none was run."""
        return self.days.day

    def close(self) -> None:
        """Let go of everything on the page."""
        if hasattr(self, "views"):
            self.views.end()
        super().close()

    def __repr__(self) -> str:
        return f"DesignStudio({self.outcome.plant.gpus:,} GPUs for {self.outcome.service.shape.name})"

    def _evaluated(self) -> Outcome:
        return evaluate(self.form.plant(), self.form.service(), climate=self.form.climate())

    def _show(self) -> None:
        outcome = self.outcome
        moved = outcome.plant != self._plant
        self._plant = outcome.plant
        hall = halls.layout(outcome.plant) if moved else None
        self.hall.update(steady_racks.racks(outcome), hall=hall, incidents=(), moment="under its steady load")
        self.views.show(outcome)

    def _asked(self) -> tuple[Plant, Service, Climate]:
        """Return what a day is run of: the last good design, with the rate that it answers where none is asked."""
        found = self.outcome
        rate = found.service.requests_per_second or found.requests_per_second
        return found.plant, replace(found.service, requests_per_second=rate), found.climate

    def _on_hour(self, day: "Day", hours: float) -> None:
        """Show the hall at an hour of a day."""
        told = day.incidents.filter(pl.col("begins_hours").le(hours) & pl.col("ends_hours").gt(hours))["what"].to_list()
        self.hall.update(day.racks(hours), incidents=told, moment=f"{int(hours):02d}:{int(60 * hours) % 60:02d}")

    def _files(self) -> list[Download]:
        def report() -> bytes:
            return studiofiles.report(self.outcome, self.day, self.views.front)

        def table() -> bytes:
            return studiofiles.table(self.outcome, self.day)

        def scene() -> bytes:
            return studiofiles.scene(self.outcome, halls.layout(self.outcome.plant))

        return [
            Download("Report (HTML)", "design.html", report, hint="everything on one page, offline"),
            Download(
                "Figures (CSV)",
                "design.csv",
                table,
                hint="every figure with its range; where a day was run, its timeline",
            ),
            Download("Hall (OpenUSD, zip)", "hall_usd.zip", scene, hint="with SimReady metadata"),
        ]
