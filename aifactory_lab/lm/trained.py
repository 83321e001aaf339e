"""What a pre-training leaves behind: a checkpoint, its scores, every step's loss, and what the number means.

A folder is believed only if its `pretraining.json` is there, which is written last. This module does not train.

>>> Result.load("no/such/model")
Traceback (most recent call last):
aifactory_lab.errors.ModelError: no/such/model is not a finished pre-training: ...
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import polars as pl

from aifactory_lab.aside import write_aside, write_text
from aifactory_lab.errors import ModelError
from aifactory_lab.lm import checkpoint
from aifactory_lab.lm.checkpoint import Checkpoint
from aifactory_lab.measure import StationReport
from aifactory_lab.telemetry import trainings

HISTORY, RESULT = "history.parquet", "pretraining.json"


@dataclass(frozen=True)
class Result:
    """A pre-trained model and how good it is.

    Attributes
    ----------
    folder
        The Hugging Face checkpoint, with `history.parquet`, `training.jsonl` and `pretraining.json` beside it.
    report
        What the training cost; `made` are the tokens that this visit saw, without those of a run that it took up.
    scores
        ``bits_per_byte``, ``nats_per_token`` on all held-out text, ``mfu`` (0 to 1), ``tokens_per_second``,
        ``tokens_per_cpu_second``.
    baselines
        Bits per byte of counting and of compressors on the same text: `lm.evaluation.baselines`.
    verdict
        What the bits per byte mean, in words.
    samples
        What the model writes; after a million tokens it is shaped like the corpus and means nothing.
    """

    folder: Path
    report: StationReport
    scores: Mapping[str, float]
    baselines: Mapping[str, float]
    verdict: str
    samples: tuple[str, ...]

    @property
    def history(self) -> pl.DataFrame:
        """Every step: ``step`` (from 1), ``tokens``, ``loss`` (nats per token), ``learning_rate``."""
        return pl.read_parquet(self.folder / HISTORY)

    @property
    def log(self) -> trainings.Training:
        """All that the training said: what `figures.pretraining` draws."""
        return trainings.read(self.folder)

    @property
    def checkpoint(self) -> Checkpoint:
        """The model, loaded and verified."""
        return checkpoint.load(self.folder)

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read a finished pre-training's folder.

        Raises
        ------
        ModelError
            If the training did not finish, or its checkpoint is damaged.
        """
        folder = Path(folder)
        try:
            values: dict[str, Any] = json.loads((folder / RESULT).read_text())
        except (OSError, ValueError) as error:
            msg = f"{folder} is not a finished pre-training: {RESULT} cannot be read ({error})"
            raise ModelError(msg, mend="lm.pretrain.run(shards, tokenizer, folder)") from error
        checkpoint.verify(folder)
        report = StationReport.from_dict(values.pop("report"))
        return cls(folder, report, samples=tuple(values.pop("samples")), **values)

    def save(self, history: pl.DataFrame) -> Self:
        """Write down what is not the checkpoint, the proof of completeness last."""
        with write_aside(self.folder / HISTORY) as aside:
            history.write_parquet(aside)
        values = {
            "report": self.report.to_dict(),
            "scores": dict(self.scores),
            "baselines": dict(self.baselines),
            "verdict": self.verdict,
            "samples": list(self.samples),
        }
        write_text(self.folder / RESULT, json.dumps(values, indent=1))
        return self

    def __str__(self) -> str:
        return f"{self.report}\n{self.verdict}"
