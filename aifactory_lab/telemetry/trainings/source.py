"""A training as a source of readings: its loss, its tokens per second, its MFU, how far it is and what is left.

Without a path it is the newest training of this user on this machine, also one that begins later. One that has ended
keeps its last loss but has no rate any more; one that says nothing for too long is stale; one whose process is gone
without a word is lost, with the step where it was heard last. What a log means is `training`'s business.

>>> import tempfile
>>> from aifactory_lab.telemetry.trainings.log import Step, TrainingLog
>>> folder = tempfile.mkdtemp()
>>> log = TrainingLog(folder, title="doctest", announced=False)
>>> log.step(Step(step=5, steps=10, tokens=5_120, loss=6.5, learning_rate=1e-3, tokens_rate=8_000.0))
>>> with TrainingSource(folder) as source:
...     snapshot = source.sample()
...     training = source.layout.entities[0].id
...     print(*(snapshot.reading(training, name) for name in ("loss", "progress", "tokens_rate", "mfu")))
6.5 50 % 8 ktokens/s unsupported
>>> log.close()
"""

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.metrics import TRAINING
from aifactory_lab.telemetry.readings import Entity, Facts, Layout, Snapshot, State
from aifactory_lab.telemetry.sources import Source, here
from aifactory_lab.telemetry.trainings import account, found
from aifactory_lab.telemetry.trainings.entries import file_of
from aifactory_lab.telemetry.trainings.training import Follower

REST = 20.0  # times as long as the words of a log took: one of days costs 5 % of a core at most


class TrainingSource(Source):
    """The readings of one training.

    Parameters
    ----------
    path
        A run's folder or its log; by default whatever training began last on this machine.
    folder
        Where trainings are announced, by default this user's own folder.
    """

    period = 1.0

    def __init__(self, path: Path | str | None = None, *, folder: Path | str | None = None) -> None:
        self.path = None if path is None else file_of(path).absolute()
        self.key = "training" if self.path is None else f"training {self.path}"
        self._folder = folder
        self.log: Follower | None = None
        self._said: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
        self._due = 0.0

    def open(self) -> Layout:
        """Look for the training; none yet is no error."""
        self._look()
        return self._layout()

    def sample(self) -> Snapshot:
        """Return where the training stands."""
        self._look()
        if (layout := self._layout()) != self.layout:
            self.layout = layout
        snapshot = Snapshot.blank(self.layout, time=time.time())
        if self.log is None or not self.layout.entities:
            return snapshot
        who = self.layout.entities[0].id
        state, reason = self.log.state()
        snapshot.put(who, **_readings(self.log, running=state == "running"))
        if state == "dead":
            snapshot.put(who, **dict.fromkeys(TRAINING, State.LOST))
        elif state == "running" and (silent := self.log.stale()):
            snapshot.put(who, **dict.fromkeys(TRAINING, State.STALE))
            reason = f"the training has said nothing for {silent:.0f} s"
        return replace(snapshot, notes=(reason,)) if reason else snapshot

    def facts(self) -> Mapping[str, Facts]:
        """Return what stays as it is: parameters, device and why, peak."""
        if self.log is None or self.log.begun is None or not self.layout.entities:
            return {}
        details = account.facts(self.log.begun.facts) | {"log": str(self.log.path)}
        return {self.layout.entities[0].id: Facts(details=details)}

    def words(self) -> dict[str, Any]:
        """Return the curves, scores, samples and state for a board; nothing while there is no training."""
        if self.log is None:
            return {}
        stands = (self.log.path, self.log.state())
        now, before = (*stands, self.log.version, self.log.stale()), self._said[0]
        if now != before and (stands != before[:2] or time.monotonic() >= self._due):
            start = time.monotonic()
            self._said = (now, account.words(self.log))
            self._due = time.monotonic() + REST * (time.monotonic() - start)
        return self._said[1]

    def _look(self) -> None:
        path = self.path
        if path is None:
            try:
                path = found.newest(self._folder)
            except TelemetryError:  # no private folder to meet in: nobody announces
                path = None
        if path is not None and (self.log is None or self.log.path != path):
            self.log = Follower(path)
        if self.log is not None:
            self.log.look()

    def _layout(self) -> Layout:
        begun = self.log.begun if self.log is not None else None
        if self.log is None or begun is None:
            return Layout((), TRAINING, "measured", "a training")
        written = Path(begun.path) if begun.path else self.log.path  # what is read may be a copy
        name = written.parent.name or written.stem
        return Layout((Entity((*here(), name), "training", begun.title, str(self.log.path)),), TRAINING, "measured")


def _readings(log: Follower, *, running: bool) -> dict[str, float | State]:
    """Return what is known; what has ended has no rate and nothing left."""
    readings: dict[str, float | State] = dict.fromkeys(TRAINING, State.UNSUPPORTED)
    step = log.last
    if step is None:
        return readings
    known: dict[str, float | None] = {
        "loss": step.loss,
        "bits_per_byte": next((one.value for one in reversed(log.scores) if one.name == account.HELD_OUT), None),
        "progress": 100.0 * step.step / step.steps if step.steps else None,
        "steps": step.step,
        "tokens": step.tokens,
    }
    if running:
        now = {"tokens_rate": step.tokens_rate, "mfu": step.mfu, "learning_rate": step.learning_rate, "eta": step.eta}
        known |= now
    return readings | {name: value for name, value in known.items() if value is not None and math.isfinite(value)}
