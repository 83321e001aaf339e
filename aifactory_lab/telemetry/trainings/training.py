"""A training as its log tells it: steps, scores, samples and how it stands; read once, or followed as it grows.

Steps that a resumed process takes again replace those taken before, and what was scored or written after the point of
resumption is dropped with them. A training whose process is gone without a word is *dead*, not running.

>>> import tempfile
>>> from aifactory_lab.telemetry.trainings.log import Step, TrainingLog
>>> folder = tempfile.mkdtemp()
>>> with TrainingLog(folder, title="doctest", announced=False) as log:
...     for step in (1, 2):
...         log.step(Step(step=step, steps=2, tokens=512 * step, loss=7.0 - step, learning_rate=1e-3))
>>> read(folder).steps.select("step", "tokens", "loss").rows()
[(1, 512, 6.0), (2, 1024, 5.0)]
"""

import bisect
import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.sharing.election import lives
from aifactory_lab.telemetry.trainings.entries import Begun, End, Entry, Sample, Score, Step, entry, file_of

if TYPE_CHECKING:
    import polars as pl

State = Literal["running", "finished", "stopped", "failed", "dead"]
HEAD_BYTES = 256  # of a log: process and time of its first beginning are among them
LEAST_SILENCE, SLOWER = 30.0, 20.0  # seconds, and paces between two lines, after which a running training is silent


@dataclass(frozen=True)
class Training:
    """What a log says.

    Attributes
    ----------
    path, title, facts
        The log's file, and what its training calls itself.
    steps
        A frame with the fields of `entries.Step`, one row per step line, ascending.
    scores
        A frame: ``name``, ``value``, ``step``, ``tokens`` (both null for baselines), ``time``.
    samples
        What the model wrote, in the order of its steps.
    state, reason
        ``"running"``, ``"finished"``, ``"stopped"``, ``"failed"`` or ``"dead"``, and why.
    """

    path: Path
    title: str
    facts: Mapping[str, Any]
    steps: "pl.DataFrame"
    scores: "pl.DataFrame"
    samples: tuple[Sample, ...]
    state: State
    reason: str

    @property
    def baselines(self) -> dict[str, float]:
        """The scores without a step: what the model is judged against."""
        rows = self.scores.filter(self.scores["step"].is_null()).select("name", "value").rows()
        return {str(name): float(value) for name, value in rows}

    def __repr__(self) -> str:
        return f"Training({self.title!r}, {len(self.steps)} steps, {self.state})"


class Follower:
    """A log that is read as it grows: each `look` takes in the lines that are new.

    Attributes
    ----------
    begun, ended
        The last beginning, and the end after it; `None` before there is one.
    steps, scores, samples, baselines
        What holds now, ascending by step; the baselines by name.
    heard
        When it was last written, seconds since the epoch.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = file_of(path)
        self.gone = False  # whether its file was there and no longer is
        self._head, self._place = b"", 0  # how the file begins, and the bytes of it that were taken in
        self._empty()

    def _empty(self) -> None:
        self.begun: Begun | None = None
        self.ended: End | None = None
        self.steps: list[Step] = []
        self.scores: list[Score] = []
        self.samples: list[Sample] = []
        self.baselines: dict[str, Score] = {}
        self.heard = 0.0
        self.version = 0  # grows whenever anything was taken in
        self._taken_up = False  # whether the last beginning has cut what was before it

    def look(self) -> bool:
        """Take in what was written since the last look; return whether there was anything."""
        before = self.version
        for line in self._lines():
            if (found := entry(line)) is not None:
                self.version += 1
                self.heard = max(self.heard, float(found.time))
                self.take(found)
        return self.version != before

    @property
    def last(self) -> Step | None:
        """The newest step."""
        return self.steps[-1] if self.steps else None

    def state(self) -> tuple[State, str]:
        """Return how the training stands now, and why."""
        if self.ended is not None:
            return self.ended.state, self.ended.reason
        begun = self.begun
        if self.gone:
            return "dead", f"its log {self.path} is gone"
        if begun is None or begun.host != socket.gethostname() or lives(begun.pid, begun.time):
            return "running", ""
        where = f" at step {self.last.step:,}" if self.last else " before its first step"
        return "dead", f"process {begun.pid} ended without a word{where}"

    def silence(self) -> float:
        """Return the seconds since the last line."""
        return max(0.0, time.time() - self.heard) if self.heard else 0.0

    def stale(self) -> float:
        """Return the seconds of a silence that is too long for a training of this pace, else 0."""
        pace = self.steps[-1].time - self.steps[-2].time if len(self.steps) > 1 else 0.0
        silence = self.silence()
        return silence if silence > max(LEAST_SILENCE, SLOWER * pace) else 0.0

    def tokens_at(self, step: int) -> int:
        """Return how many tokens had been seen at a step: those of the last step line that is not after it."""
        place = bisect.bisect_right(self.steps, step, key=lambda one: one.step)
        return self.steps[place - 1].tokens if place else 0

    def training(self) -> Training:
        """Return what holds now, as frames."""
        import polars as pl

        state, reason = self.state()
        numbers = dict.fromkeys(("loss", "learning_rate", "tokens_rate", "mfu", "eta", "time"), pl.Float64)
        steps = pl.DataFrame(
            [asdict(step) for step in self.steps],
            schema={"step": pl.Int64, "steps": pl.Int64, "tokens": pl.Int64, **numbers},
        )
        rows = [{**asdict(score), "tokens": self.tokens_at(score.step or 0)} for score in self.scores]
        rows += [{**asdict(score), "tokens": None} for score in self.baselines.values()]
        schema = {"name": pl.String, "value": pl.Float64, "step": pl.Int64, "tokens": pl.Int64, "time": pl.Float64}
        title, facts = (self.begun.title, self.begun.facts) if self.begun else ("", {})
        scores = pl.DataFrame(rows, schema=schema)
        return Training(self.path, title, facts, steps, scores, tuple(self.samples), state, reason)

    def _lines(self) -> Iterator[bytes]:
        """Yield the whole lines that are new; begin anew with a file that was."""
        try:
            with self.path.open("rb") as stream:
                # not by its number: a file system gives that to the next file at once
                if stream.read(len(self._head)) != self._head or stream.seek(0, os.SEEK_END) < self._place:
                    self._empty()
                    self._head, self._place = b"", 0
                if len(self._head) < HEAD_BYTES:
                    stream.seek(0)
                    self._head = stream.read(HEAD_BYTES)
                stream.seek(self._place)
                text = stream.read()
        except OSError:
            self.gone = self._place > 0
            return
        whole = text[: text.rfind(b"\n") + 1]
        self._place += len(whole)
        yield from whole.splitlines()

    def take(self, found: Entry) -> None:
        """Take in one entry: a listener's, where the file need not be read."""
        if isinstance(found, Begun):
            self.begun, self.ended, self._taken_up = found, None, False
            if found.after is not None:
                self._cut(found.after + 1)
        elif isinstance(found, End):
            self.ended = found
        elif isinstance(found, Score) and found.step is None:
            self.baselines[found.name] = found
        else:
            self._put(found)

    def _put(self, found: Step | Score | Sample) -> None:
        """Add what was at a step; the first of a new beginning cuts off what an earlier process did from there on."""
        step = found.step or 0
        if isinstance(found, Step):
            if not self._taken_up or (self.steps and step <= self.steps[-1].step):
                self._cut(step)
            self.steps.append(found)
            return
        if not self._taken_up:
            self._cut(step + 1)  # judged before the first step that is taken again
        if isinstance(found, Score):
            self.scores = [one for one in self.scores if (one.name, one.step) != (found.name, step)]
            self.scores.append(found)
        else:
            self.samples.append(found)

    def _cut(self, step: int) -> None:
        """Take back everything from a step on."""
        self._taken_up = True
        self.steps = [one for one in self.steps if one.step < step]
        self.scores = [one for one in self.scores if (one.step or 0) < step]
        self.samples = [one for one in self.samples if one.step < step]


def read(path: Path | str) -> Training:
    """Read a log.

    Parameters
    ----------
    path
        The run's folder, or the file.

    Raises
    ------
    TelemetryError
        If there is no log, or nothing in it is one's.
    """
    follower = Follower(path)
    follower.look()
    if follower.begun is None:
        msg = f"{follower.path} is no log of a training"
        raise TelemetryError(msg, mend="telemetry.trainings.read(lm.pretrain.run(…).folder)")
    return follower.training()
