"""A table of jobs with buttons: why does it wait, what did it write, cancel it.

Rows are made once and filled anew, so that a button does not move under the pointer. This module asks the scheduler
only when a button is pressed.

>>> from aifactory_lab.fleet import Fleet, frames
>>> table = JobTable(Fleet("inline"))
>>> table.show(frames.frame(frames.JOBS, [{"id": "7", "name": "train", "state": "RUNNING", "gpus": 2}]))
>>> [row.job_id for row in table.rows]
['7']
"""

from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from typing import Any

import ipywidgets as ipw
import polars as pl

from aifactory_lab.errors import FactoryError
from aifactory_lab.fleet.dispatch import Fleet
from aifactory_lab.fleet.frames import ENDED
from aifactory_lab.widgets.spoken import said, shown, warned

MOST_ROWS = 12
MOST_LETTERS = 20_000  # of what a job wrote, from its end
STATES = {
    "PENDING": "waits",
    "REQUEUED": "waits again",
    "RUNNING": "runs",
    "COMPLETED": "done",
    "TIMEOUT": "out of time",
}
EMPTY = "No job was sent yet."


class JobTable(ipw.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """The newest jobs of a fleet.

    Parameters
    ----------
    fleet
        Whom to ask when a button is pressed.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.rows: list[Row] = []
        self.note, self.told = ipw.HTML(said(EMPTY, "plain")), ipw.HTML()
        self._jobs = ipw.VBox([])
        super().__init__([self.note, self._jobs, self.told])

    def show(self, jobs: pl.DataFrame) -> None:
        """Show the first `MOST_ROWS` of a frame of jobs, which is newest first."""
        kept = jobs.head(MOST_ROWS).to_dicts()
        if len(kept) > len(self.rows):
            self.rows += [Row(self._press) for _ in range(len(kept) - len(self.rows))]
            self._jobs.children = tuple(self.rows)
        for row, job in zip(self.rows, kept, strict=False):
            row.fill(job)
        for row in self.rows[len(kept) :]:
            row.clear()
        left = jobs.height - len(kept)
        note = EMPTY if not kept else f"the newest {len(kept)} of {jobs.height} jobs" if left else ""
        words = said(note, "plain") if note else ""
        if self.note.value != words:
            self.note.value = words

    def _press(self, what: str, job_id: str) -> None:
        """Answer a button in words, whatever happens."""
        try:
            self.told.value = self._answer(what, job_id)
        except FactoryError as error:
            self.told.value = warned(error)

    def _answer(self, what: str, job_id: str) -> str:
        job = self.fleet.attach(job_id)
        if what == "logs":
            text = job.logs()[-MOST_LETTERS:]
            return shown(text) if text.strip() else said(f"job {job_id} has written nothing yet", "plain")
        if what == "cancel":
            job.cancel()
        return said(job.explain(), "plain")


class Row(ipw.HBox):  # type: ignore[misc]
    """One job with its buttons.

    Parameters
    ----------
    press
        Called with what was pressed and the job's id.
    """

    def __init__(self, press: Callable[[str, str], None]) -> None:
        self.job_id = ""
        self.words = ipw.HTML(layout=ipw.Layout(flex="1 1 320px", min_width="0", overflow="hidden"))
        self.buttons = {name: _button(name, partial(self._pressed, press, name)) for name in BUTTONS}
        buttons = ipw.HBox(tuple(self.buttons.values()))
        layout = ipw.Layout(flex_flow="row wrap", align_items="center", border_bottom="1px solid rgba(128,134,145,.25)")
        super().__init__([self.words, buttons], layout=layout)

    def _pressed(self, press: Callable[[str, str], None], what: str) -> None:
        press(what, self.job_id)

    def fill(self, job: Mapping[str, Any]) -> None:
        """Show a job; what has not changed is not sent again."""
        self.job_id = str(job["id"])
        words, ended = _words(job), job["state"] in ENDED
        if self.words.value != words:
            self.words.value = words
        if self.buttons["cancel"].disabled != ended:
            self.buttons["cancel"].disabled = ended
        if self.layout.display == "none":
            self.layout.display = None

    def clear(self) -> None:
        """Show nothing."""
        self.layout.display = "none"


BUTTONS = {"explain": "why it waits, or how it runs or ended", "logs": "what it wrote", "cancel": "end it"}


def _button(name: str, press: Callable[[], None]) -> ipw.Button:
    style = "warning" if name == "cancel" else ""
    button = ipw.Button(description=name, tooltip=BUTTONS[name], button_style=style, layout=ipw.Layout(width="76px"))
    button.on_click(lambda _: press())
    return button


def _words(job: Mapping[str, Any]) -> str:
    state = STATES.get(job["state"], str(job["state"]).lower())
    gpus = job.get("gpus") or 0
    told = f"{job.get('project') or ''}, {gpus} GPU{'' if gpus == 1 else 's'}, {state}"
    reason = job.get("reason") or ""
    more = f" ({reason})" if job["state"] in ("PENDING", "REQUEUED") and reason else ""
    return f"<b>{escape(str(job.get('name') or ''))}</b> {escape(str(job['id']))}: {escape(told + more)}"
