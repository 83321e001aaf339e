"""What a fine-tuning leaves behind: a verified adapter, what it gained and forgot, and the answers to read.

The adapter's card is written last, so a folder without one is not finished. This module does not train.

>>> Result.load("no/such/tuning")
Traceback (most recent call last):
aifactory_lab.errors.ModelError: no/such/tuning is not an adapter: no adapter_config.json in it
  mend: lm.finetune.run(base, pairs, folder) makes one
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from aifactory_lab.errors import ModelError
from aifactory_lab.lm import checkpoint
from aifactory_lab.lm.adapters import CONFIG, WEIGHTS, Adapter
from aifactory_lab.lm.comparison import Comparison, compare, overlap
from aifactory_lab.lm.examination import Floats, Marks
from aifactory_lab.lm.examples import Window
from aifactory_lab.measure import StationReport
from aifactory_lab.telemetry.trainings.entries import FILE

HISTORY, ANSWERS = "history.parquet", "answers.parquet"
CHANCE = "overlap_by_chance"
# What each score is, for tables and figures.
NAMES = {
    "loss": "nats per answer token",
    "overlap": "overlap with the true answer (ROUGE-L)",
    "stopped": "answers that end by themselves",
    "bits_per_byte": "bits per byte of old text",
}


@dataclass(frozen=True)
class Result:
    """A finished fine-tuning.

    Attributes
    ----------
    adapter
        The adapter, verified.
    report
        What it cost.
    scores
        Before and after on held-out items: `loss`, `overlap`, `stopped`, and, where old text was given,
        `bits_per_byte`: what was forgotten.
    overlap_by_chance
        What the tuned answers share with the true answers to *other* questions: what style alone is worth.
    """

    adapter: Adapter
    report: StationReport
    scores: Mapping[str, Comparison]
    overlap_by_chance: float

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read a finished fine-tuning's folder.

        Raises
        ------
        ModelError
            If it did not finish, or its files were changed.
        """
        adapter = Adapter.load(folder)
        if "report" not in adapter.card:
            msg = f"{folder} is an adapter that was not trained here: it has no report"
            raise ModelError(msg, mend="lm.adapters.Adapter.load(folder) reads it")
        metrics = dict(adapter.card["metrics"])
        chance = float(metrics.pop(CHANCE))
        scores = {name: Comparison.from_dict(values) for name, values in metrics.items()}
        return cls(adapter, StationReport.from_dict(adapter.card["report"]), scores, chance)

    @property
    def folder(self) -> Path:
        """The adapter's folder, which `serve.llm.start(…, adapters={name: folder})` takes."""
        return self.adapter.folder

    @property
    def history(self) -> pl.DataFrame:
        """The frame of steps: `step`, `tokens`, `loss` (nats per answer token), `learning_rate`, `cpu_seconds`."""
        return pl.read_parquet(self.folder / HISTORY)

    @property
    def answers(self) -> pl.DataFrame:
        """The held-out pairs: `path`, `prompt`, `answer`, what was said `before` and `after`, and their scores."""
        return pl.read_parquet(self.folder / ANSWERS)

    def __str__(self) -> str:
        lines = [f"{NAMES[name]}: {score}" for name, score in self.scores.items()]
        chance = f"overlap of the answers with those to other questions: {self.overlap_by_chance:.3f}"
        return "\n".join([str(self.adapter), *lines, chance])


def compared(before: Marks, after: Marks) -> dict[str, Comparison]:
    """Return what was gained on held-out pairs; whole files are drawn."""
    files = before.pairs["path"].to_numpy()
    return {
        "loss": compare(before.nats, after.nats, weights=before.tokens, groups=files),
        "overlap": compare(before.overlap, after.overlap, groups=files),
        "stopped": compare(before.stopped, after.stopped, groups=files),
    }


def forgotten(before: Floats, after: Floats, windows: Sequence[Window]) -> dict[str, Comparison]:
    """Return how much worse (or better) old text is predicted; whole documents are drawn."""
    if not windows:
        return {}
    documents = np.array([window.document for window in windows])
    size = np.array([window.bytes for window in windows], dtype=np.float64)
    bits = 1 / np.log(2)
    return {"bits_per_byte": compare(before * bits, after * bits, weights=size, groups=documents)}


def table(before: Marks, after: Marks) -> pl.DataFrame:
    """Return the answers before and after side by side, in the order in which they were drawn."""
    return before.pairs.select("path", "prompt", "answer").with_columns(
        *(
            pl.Series(f"{name}{ending}", values)
            for ending, marks in (("before", before), ("after", after))
            for name, values in (("", marks.answers), ("overlap_", marks.overlap), ("stopped_", marks.stopped))
        ),
        pl.Series("loss_before", before.nats / before.tokens),
        pl.Series("loss_after", after.nats / after.tokens),
    )


def clear(folder: Path) -> None:
    """Take away what an earlier fine-tuning left, so that a killed one leaves nothing that looks finished."""
    for name in (checkpoint.CARD, CONFIG, WEIGHTS, HISTORY, ANSWERS, FILE):
        (folder / name).unlink(missing_ok=True)


def by_chance(marks: Marks) -> float:
    """Return the mean overlap of each answer with the true answers to all other questions.

    An overlap no higher than this says that the model learned how answers sound, not what they are about.
    """
    truths = marks.pairs["answer"].to_list()
    found = [overlap(one, other) for i, one in enumerate(marks.answers) for j, other in enumerate(truths) if i != j]
    return float(np.mean(found)) if found else 0.0


def card(
    title: str, scores: Mapping[str, Comparison], chance: float, report: StationReport, lineage: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the adapter's card says of its training."""
    metrics = {name: score.to_dict() for name, score in scores.items()} | {CHANCE: chance}
    return {"title": title, "metrics": metrics, "lineage": dict(lineage), "report": report.to_dict()}
