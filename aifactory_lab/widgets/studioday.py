"""The studio's day: incidents are chosen, the plant is run through them, and the hall is seen at any hour of it.

The day runs in a thread of its own, so that the page answers meanwhile. What happens in it is `twin.operations`'s to
say, how it is drawn `figures.operations`'s.

>>> panel = DayPanel(ask=tuple, seen=print, hall=ipw.HTML())
>>> panel.rows[0].incident() is None
True
>>> panel.close()
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw

from aifactory_lab import figures, twin_report
from aifactory_lab.errors import FactoryError
from aifactory_lab.report import TextTable
from aifactory_lab.twin.climate import Climate
from aifactory_lab.twin.design import Service
from aifactory_lab.twin.operations.incidents import KINDS, Incident
from aifactory_lab.twin.plant import Plant
from aifactory_lab.widgets import studiotiles
from aifactory_lab.widgets.spoken import said, warned
from aifactory_lab.widgets.studioplot import Plot

if TYPE_CHECKING:
    from aifactory_lab.twin.operations import Day

Ask = Callable[[], tuple[Plant, Service, Climate]]
MOST_INCIDENTS = 6
MOMENTS = 4  # of an hour, at which the hall can be seen
SHAPES = {"an office day": "office", "the same all day": "flat"}
SHARES = {"every replica": 1.0, "1 in 4": 0.25, "1 in 10": 0.1, "1 in 100": 0.01}
COLUMNS = "repeat(auto-fit, minmax(min(100%, 430px), 1fr))"
PAIR = ipw.Layout(display="grid", grid_template_columns=COLUMNS, grid_gap="4px 14px", align_items="flex-start")
ROW = ipw.Layout(flex_flow="row wrap", align_items="center")


class IncidentRow(ipw.HBox):  # type: ignore[misc]  # ipywidgets has no types
    """One incident: what, when, how long, how many or how much."""

    def __init__(self) -> None:
        options = [("nothing goes wrong", ""), *((words, kind) for kind, words in KINDS.items())]
        self.kind = ipw.Dropdown(options=options, layout=ipw.Layout(width="230px"))
        self.at = _number("from hour", 14.0, 0.0, 24.0, 0.5)
        self.lasting = _number("for hours", 2.0, 0.1, 24.0, 0.5)
        self.count = _number("how many", 1, 1, 1_000_000, 1)
        self.megawatts = _number("site MW", 1.0, 0.01, 10_000.0, 0.1)
        self.kelvin = _number("warmer, K", 8.0, 0.5, 30.0, 0.5)
        self.kind.observe(self._on_kind, "value")
        super().__init__(layout=ROW)
        self._on_kind()

    def incident(self) -> Incident | None:
        """Return the incident, None for none.

        Raises
        ------
        TwinError
            If it cannot be.
        """
        kind = self.kind.value
        if not kind:
            return None
        when = {"at_hours": self.at.value, "for_hours": self.lasting.value}
        if kind == "grid":
            return Incident(kind, **when, watts=1e6 * self.megawatts.value)
        if kind == "heat":
            return Incident(kind, **when, kelvin=self.kelvin.value)
        return Incident(kind, **when, count=int(self.count.value))

    def _on_kind(self, _: object = None) -> None:
        """Ask only what this kind needs."""
        how = {"grid": self.megawatts, "heat": self.kelvin}.get(self.kind.value, self.count)
        self.children = (self.kind, self.at, self.lasting, how) if self.kind.value else (self.kind,)


class DayPanel(ipw.VBox):  # type: ignore[misc]
    """Incidents, a button, the day.

    Parameters
    ----------
    ask
        Returns the plant, the service with its rate, and the weather to run.
    seen
        Called with the day and the hour at which its hall is to be shown.
    hall
        Where it is shown.

    Attributes
    ----------
    day
        The day that this design went through; None before one was run.
    """

    def __init__(self, ask: Ask, seen: "Callable[[Day, float], None]", hall: ipw.Widget) -> None:
        self._ask, self._seen = ask, seen
        self.day: Day | None = None
        self._thread: threading.Thread | None = None
        self.rows = [IncidentRow()]
        self.shape = ipw.Dropdown(description="traffic", options=SHAPES, layout=ipw.Layout(width="230px"))
        self.share = ipw.Dropdown(description="simulate", options=SHARES, value=0.1, layout=ipw.Layout(width="230px"))
        self.more = ipw.Button(description="Another incident", icon="plus")
        self.run_button = ipw.Button(description="Run the day", icon="play", button_style="primary")
        self.message, self.plot, self.totals, self.effects = ipw.HTML(), Plot(), ipw.HTML(), ipw.HTML()
        self._design = 0  # counts the designs, so that a day knows whether its own is still there
        self.hour = ipw.IntSlider(0, 0, 24 * MOMENTS - 1, readout=False, description="hall at", continuous_update=True)
        self.clock, self.play = ipw.HTML(), ipw.Play(interval=400, min=0, max=24 * MOMENTS - 1)
        ipw.jslink((self.play, "value"), (self.hour, "value"))
        self._incidents, self._result = ipw.VBox(self.rows), ipw.VBox(layout=ipw.Layout(display="none"))
        seen_at = ipw.HBox([self.play, self.hour, self.clock], layout=ROW)
        beside = ipw.Box([hall, self.totals], layout=PAIR)
        self._result.children = (self.plot, self.effects, seen_at, beside)
        self.more.on_click(lambda _: self.another())
        self.run_button.on_click(lambda _: self.run())
        self.hour.observe(self._on_hour, "value")
        buttons = ipw.HBox([self.shape, self.share, self.more, self.run_button], layout=ROW)
        super().__init__([self._incidents, buttons, self.message, self._result])

    def another(self) -> IncidentRow:
        """Ask for one more incident."""
        self.rows = [*self.rows, IncidentRow()]
        self._incidents.children = tuple(self.rows)
        self.more.disabled = len(self.rows) >= MOST_INCIDENTS
        return self.rows[-1]

    def run(self) -> None:
        """Run the day in a thread; what goes wrong is said in `message`."""
        if self._thread is not None and self._thread.is_alive():
            return
        try:
            incidents = [found for row in self.rows if (found := row.incident()) is not None]
        except FactoryError as error:
            self.message.value = warned(error)
            return
        self.message.value = said("the day is run …", "plain")
        self.run_button.disabled = True
        what = {"incidents": incidents, "shape": self.shape.value, "share": self.share.value, "design": self._design}
        self._thread = threading.Thread(target=self._run, args=(*self._ask(), what), name="aifactory-day", daemon=True)
        self._thread.start()

    def forget(self) -> None:
        """Let go of the day, since the design is another now."""
        self._design += 1
        self.day = None
        self._result.layout.display = "none"

    def join(self, seconds: float | None = None) -> None:
        """Wait until the day has run."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self, plant: Plant, service: Service, climate: Climate, what: Mapping[str, Any]) -> None:
        """Run a day, and show it (in a thread of its own)."""
        from aifactory_lab.twin import sampling  # numba: seconds
        from aifactory_lab.twin.operations import operate, traffic

        try:
            asked = {"isl": service.isl, "osl": service.osl, "shape": what["shape"]}
            came = traffic.day(service.requests_per_second or 0.0, **asked)
            how: dict[str, Any] = {"climate": climate, "incidents": what["incidents"]}
            if what["share"] == 1:
                self._show(operate(plant, service, came, **how), what["design"])
            else:
                found = sampling.operate(plant, service, came, share=what["share"], **how)
                self._show(found.day, what["design"], [twin_report.sampled(found)])
        except FactoryError as error:
            self.message.value = warned(error)
        except BaseException:
            self.message.value = said("the day was not run: an error of the twin itself is in the kernel's log", "bad")
            raise
        finally:
            self.run_button.disabled = False

    def _show(self, day: "Day", design: int, more: Sequence[TextTable] = ()) -> None:
        if design != self._design:
            self.message.value = said("the design was changed while its day was run: run it again", "plain")
            return
        self.day = day
        self.plot.show(figures.operations.timeline(day))
        self.effects.value = studiotiles.table(twin_report.incidents(day)) if day.incidents.height else ""
        self.totals.value = "".join(map(studiotiles.table, [*more, twin_report.totals(day)]))
        self._result.layout.display = None
        self.message.value = ""
        self._on_hour()

    def _on_hour(self, _: object = None) -> None:
        if self.day is None:
            return
        hours = self.hour.value / MOMENTS
        self.clock.value = f"{int(hours):02d}:{int(60 * hours) % 60:02d}"
        self._seen(self.day, hours)


def _number(label: str, value: float, least: float, most: float, step: float) -> Any:
    kind = ipw.BoundedIntText if isinstance(value, int) else ipw.BoundedFloatText
    style, layout = {"description_width": "72px"}, ipw.Layout(width="158px")
    return kind(value, min=least, max=most, step=step, description=label, style=style, layout=layout)
