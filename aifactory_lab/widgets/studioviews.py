"""What the studio shows of a design: tiles, the hall, other designs beside it, where watts and dollars go, how sure.

Other designs are swept in a thread, once for each model and length of its requests. Nothing is reckoned here.

>>> from aifactory_lab.twin import hall
>>> from aifactory_lab.twin.plant import Plant
>>> from aifactory_lab.widgets.hall import HallView
>>> views = Views(HallView(hall.layout(Plant(gpus=72, chassis="gb200-nvl72"))))
>>> views.tabs.titles
('Design', 'How sure', 'Assumptions')
>>> views.end()
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as ipw
import plotly.graph_objects as go
import polars as pl

from aifactory_lab import figures, twin_report
from aifactory_lab.twin import alternatives, validation
from aifactory_lab.twin.outcome import Outcome
from aifactory_lab.widgets import studiotiles
from aifactory_lab.widgets.hall import HallView
from aifactory_lab.widgets.spoken import said
from aifactory_lab.widgets.studioday import PAIR
from aifactory_lab.widgets.studioplot import Plot

COLUMN = ipw.Layout(min_width="0")
KEPT = 6  # sweeps that are remembered


class Views(ipw.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Tiles above tabs.

    Parameters
    ----------
    hall
        Where the hall is shown.
    picked
        Called with a row of `front` that was clicked.

    Attributes
    ----------
    front
        The best other designs for the same requests; None until they are swept.
    """

    def __init__(self, hall: HallView, picked: Callable[[Mapping[str, Any]], None] | None = None) -> None:
        self.front: pl.DataFrame | None = None
        self._swept: dict[tuple[str, float, float], pl.DataFrame] = {}
        self._thread: threading.Thread | None = None
        self._lock, self._sweeping = threading.Lock(), False
        self._outcome: Outcome | None = None
        self._picked, self._ended = picked, False
        self.tiles, self.notes = ipw.HTML(), ipw.HTML()
        self.others, self.watts, self.money = Plot(picked=self._pick), Plot(), Plot()
        self.card, self.figures, self.assumed = Plot(), ipw.HTML(), ipw.HTML()
        columns = [ipw.VBox(pair, layout=COLUMN) for pair in ([hall, self.money], [self.others, self.watts])]
        design = ipw.Box(columns, layout=PAIR)
        sure = ipw.VBox([ipw.HTML(said(twin_report.UNVALIDATED, "bad")), self.card, self.figures])
        self.tabs = ipw.Tab([design, sure, self.assumed], titles=["Design", "How sure", "Assumptions"])
        self.tabs.observe(self._on_tab, "selected_index")
        super().__init__([self.tiles, self.notes, self.tabs])

    def add(self, title: str, widget: ipw.Widget) -> None:
        """Add a tab."""
        titles = self.tabs.titles
        self.tabs.children = (*self.tabs.children, widget)
        self.tabs.titles = (*titles, title)

    def show(self, outcome: Outcome) -> None:
        """Show a design: its figures first, they take no time."""
        self._outcome = outcome
        self.tiles.value = studiotiles.tiles(twin_report.kpis(outcome))
        self.notes.value = studiotiles.verdict(outcome)
        self._on_tab()
        self._compare(outcome)

    def join(self, seconds: float | None = None) -> None:
        """Wait until other designs are swept."""
        if self._thread is not None:
            self._thread.join(seconds)

    def end(self) -> None:
        """Show nothing any more."""
        self._ended = True

    def _on_tab(self, _: object = None) -> None:
        """Fill the tab that is looked at."""
        outcome, place = self._outcome, self.tabs.selected_index
        if outcome is None:
            return
        if place == 0:
            self.watts.show(figures.design.waterfall(outcome))
            self.money.show(figures.design.cost(outcome))
        elif place == 1:
            self.figures.value = studiotiles.table(twin_report.figures(outcome))
            if not self.card.figure:
                self.card.show(figures.design.card(validation.card()))
        elif place == 2:
            told = [twin_report.design(outcome), *twin_report.assumptions(outcome)]
            self.assumed.value = "".join(map(studiotiles.table, told))

    def _compare(self, outcome: Outcome) -> None:
        """Draw the design among others; have these swept in a thread where nobody has yet."""
        with self._lock:
            self._outcome, self.front = outcome, self._swept.get(alternatives.asked(outcome))
            begin = self.front is None and not self._sweeping
            self._sweeping = self._sweeping or begin
        waits = self.front is None
        self.others.show(_swept_soon() if waits else figures.design.pareto(self.front, here=outcome))
        if begin:
            self._thread = threading.Thread(target=self._run, name="aifactory-sweep", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        """Sweep until the design that is shown stands among others (in a thread)."""
        while True:
            with self._lock:
                outcome = self._outcome
                if outcome is None or self._ended or alternatives.asked(outcome) in self._swept:
                    self._sweeping = False
                    break
            self._swept = dict(
                [*self._swept.items(), (alternatives.asked(outcome), alternatives.front(outcome))][-KEPT:]
            )
        if outcome is not None and not self._ended:
            self._compare(outcome)

    def _pick(self, content: Mapping[str, Any]) -> None:
        """Hand on the design of a point: chassis are drawn in the order of their names."""
        if self.front is None or self._picked is None:
            return
        names = sorted(self.front["chassis"].unique())
        if content["trace"] < len(names):  # beyond them is this design itself
            own = self.front.filter(pl.col("chassis") == names[content["trace"]])
            self._picked(own.row(content["point"], named=True))


def _swept_soon() -> go.Figure:
    """Return what stands in place of other designs until they are there, as high as they will be."""
    figure = figures.theme.layout(go.Figure(), "Other designs for the same requests are being swept …", height=460)
    return figure.update_xaxes(visible=False).update_yaxes(visible=False)
