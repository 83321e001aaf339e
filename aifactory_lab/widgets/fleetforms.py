"""Forms for a fleet: send a function or a notebook, and ask, read or cancel the jobs that were sent.

Whatever goes wrong is said in the form, with the line that mends it. The table follows the same source as the boards,
so it asks the scheduler nothing of its own. This module decides nothing: `fleet.Fleet` checks and sends.

>>> from aifactory_lab.fleet import Fleet
>>> forms = FleetForms(Fleet("inline"), namespace={"double": lambda x=1: 2 * x})
>>> forms.what.options
('double',)
>>> forms.close()
"""

from collections.abc import Mapping
from pathlib import Path
from time import time
from typing import Any

import ipywidgets as ipw

from aifactory_lab.errors import FactoryError
from aifactory_lab.fleet.dispatch import Fleet
from aifactory_lab.fleet.orders import PRIORITIES
from aifactory_lab.fleet.source import FleetSource
from aifactory_lab.telemetry.readings import Snapshot
from aifactory_lab.telemetry.sampler import Sampler
from aifactory_lab.widgets import holding
from aifactory_lab.widgets.jobtable import JobTable
from aifactory_lab.widgets.spoken import said, warned
from aifactory_lab.widgets.wishes import arguments, callables, notebooks, user_names

WIDE, HALF = ipw.Layout(width="min(100%, 560px)"), ipw.Layout(width="270px")
LATE_SECONDS = 1.0  # that an answer may be older than it says: it must not hide the job that was just sent
STYLE = {"description_width": "84px"}


class FleetForms(ipw.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """A form that sends jobs, above a table of those that were sent.

    Parameters
    ----------
    fleet
        Where to send; default ``Fleet()``.
    namespace
        Where functions are looked up by name; default the notebook's own names.
    folder
        Where notebooks are looked for; default the working folder.

    Raises
    ------
    FleetError
        If there is no such fleet.
    """

    def __init__(
        self, fleet: Fleet | None = None, *, namespace: Mapping[str, Any] | None = None, folder: Path | str = "."
    ) -> None:
        self.fleet = fleet or Fleet()
        self._names = user_names() if namespace is None else namespace
        self._folder = Path(folder)
        self._sent = 0.0
        self._fields()
        self.message = ipw.HTML()
        self.send_button = ipw.Button(description="Send", icon="play", button_style="primary")
        self.send_button.on_click(lambda _: self.submit())
        self.table = JobTable(self.fleet)
        self._sampler = self._follow()
        super().__init__([self._form(), self.table])

    def submit(self) -> Any:
        """Send what the form says; return the job, or None with the reason in `message`."""
        self.message.value = ""
        try:
            job = self._send(self.what.value.strip())
        except FactoryError as error:
            self.message.value = warned(error)
            return None
        self._sent = time()
        self.message.value = said(f"sent job {job.id}: {job.explain()}")
        self.table.show(self.fleet.jobs())
        return job

    def close(self) -> None:
        """Leave the source, and end it if nobody else looks."""
        if hasattr(self, "_end"):
            self._end()
            holding.release(self)
        super().close()

    def __repr__(self) -> str:
        return f"FleetForms({self.fleet!r})"

    def _fields(self) -> None:
        wide, half = {"layout": WIDE, "style": STYLE}, {"layout": HALF, "style": STYLE}
        choices = self._choices()
        hint = "a function of this notebook, or a notebook"
        self.what = ipw.Combobox(description="run", options=choices, placeholder=hint, ensure_option=False, **wide)
        self.given = ipw.Text(description="with", placeholder='10, rate=0.1, name="a"', **wide)
        self.gpus = ipw.BoundedIntText(description="GPUs", value=0, min=0, max=1_000_000, **half)
        self.nodes = ipw.BoundedIntText(description="nodes", value=1, min=1, max=100_000, **half)
        projects = tuple(name for name in self.fleet.projects()["project"] if name)
        first = projects[0] if projects and "default" not in projects else "default"
        self.project = ipw.Combobox(description="project", value=first, options=projects, ensure_option=False, **half)
        self.priority = ipw.Dropdown(description="priority", options=PRIORITIES, **half)
        self.hours = ipw.BoundedFloatText(description="hours", value=1.0, min=0.01, max=8760.0, step=0.5, **half)
        self.name = ipw.Text(description="name", placeholder="as the function is called", **half)

    def _choices(self) -> tuple[str, ...]:
        return (*callables(self._names), *notebooks(self._folder))

    def _form(self) -> ipw.VBox:
        pairs = [(self.gpus, self.nodes), (self.project, self.priority), (self.hours, self.name)]
        rows = [ipw.HBox(pair, layout=ipw.Layout(flex_flow="row wrap")) for pair in pairs]
        return ipw.VBox([self.what, self.given, *rows, self.send_button, self.message])

    def _send(self, what: str) -> Any:
        options = {"gpus": self.gpus.value, "nodes": self.nodes.value, "project": self.project.value.strip()}
        options |= {"priority": self.priority.value, "hours": self.hours.value}
        options |= {"name": self.name.value.strip()} if self.name.value.strip() else {}
        args, kwargs = arguments(self.given.value)
        if what.endswith(".ipynb"):
            if args:
                msg = f"a notebook takes its parameters by name; {args[0]!r} has none"
                raise FactoryError(msg, mend="rate=0.1")
            return self.fleet.notebook(self._folder / what, params=kwargs, **options)
        if what not in callables(self._names):
            msg = f"there is no function {what!r} here" if what else "nothing to run was given"
            names = callables(self._names)
            raise FactoryError(msg, mend=f"one of: {', '.join(names[:8])}" if names else "def train(): …")
        if clash := sorted(set(kwargs) & set(options)):
            msg = f"{', '.join(clash)} is asked for above; the function cannot be given it here"
            raise FactoryError(msg, mend=f"functools.partial({what}, {clash[0]}=…)")
        return self.fleet.submit(self._names[what], *args, **kwargs, **options)

    def _follow(self) -> Sampler:
        source = FleetSource(self.fleet)
        sampler = holding.hold(self, source.key, lambda: source)
        self._end = sampler.subscribe(self._on_tick)
        return sampler

    def _on_tick(self, sampler: Sampler, snapshot: Snapshot) -> None:
        """Show the jobs as they are (in the sampler's thread)."""
        del snapshot
        answers = sampler.source.answers if isinstance(sampler.source, FleetSource) else None
        if answers is not None and answers.time > self._sent + LATE_SECONDS:
            self.table.show(answers.jobs)
        if (choices := self._choices()) != self.what.options:  # a function that a later cell defines
            self.what.options = choices
