"""Jobs to try a fleet with: a training that resumes where it was, and one that holds its GPUs for a while.

They live in the package since a job imports what it runs; they are small, and slow on purpose. A training of your own
resumes in the same way: a `checkpoint` method, and its state on disk after every step. This module knows no scheduler.

>>> import tempfile
>>> training = Training(tempfile.mkdtemp(), steps=3, seconds=0.0)
>>> training() == Training(tempfile.mkdtemp(), steps=3, seconds=0.0)()
True
>>> training.steps_done()
[0, 1, 2]
"""

import json
import time
from pathlib import Path
from typing import Any

from aifactory_lab.errors import require

ROWS, COLUMNS, RATE = 400, 8, 0.05


class Training:
    """A linear model fitted by gradient descent to seeded points, one line on disk for every step.

    Parameters
    ----------
    folder
        Where ``steps.jsonl`` is kept; every node must see it.
    steps
        How many.
    seconds
        What a step takes.
    """

    def __init__(self, folder: Path | str, steps: int = 40, seconds: float = 0.25) -> None:
        self.path, self.steps, self.seconds = Path(folder) / "steps.jsonl", steps, seconds
        self.__name__ = Path(folder).name

    def __call__(self) -> float:
        """Train from the last step that is on disk to the end; return the loss."""
        import numpy as np

        random = np.random.default_rng(0)
        x, noise = random.normal(size=(ROWS, COLUMNS)), random.normal(size=ROWS)
        y = x @ np.arange(COLUMNS) + noise
        done = self._lines()
        weights = np.array(done[-1]["weights"]) if done else np.zeros(COLUMNS)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for step in range(len(done), self.steps):
            time.sleep(self.seconds)
            weights = weights - RATE * x.T @ (x @ weights - y) / ROWS
            self._keep(step, weights.tolist())
        return float(np.mean((x @ weights - y) ** 2))

    def checkpoint(self) -> Any:
        """Return what is to run when the job is started again: the same, which goes on from its file."""
        return require("submitit.helpers", extra="fleet").DelayedSubmission(self)

    def steps_done(self) -> list[int]:
        """Return the numbers of the steps that were made, in order, as they stand on disk."""
        return [line["step"] for line in self._lines()]

    def _keep(self, step: int, weights: list[float]) -> None:
        """Write a step down in one write: a process that is ended before it makes that step again, none twice."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "weights": weights}) + "\n")

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []


def hold(seconds: float, word: str = "done") -> str:
    """Hold the job's GPUs for some seconds, as somebody who looks at results does."""
    time.sleep(seconds)
    return word


def note(path: str, word: str) -> str:
    """Add a line to a file, so that the order of several jobs can be seen."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{word}\n")
    return word
