"""What a training leaves behind: a verified model folder, its scores, and the frames that figures draw.

A folder is believed only if its `result.json` is there, which is written last. This module does not train.

>>> Result.load("no/such/training")
Traceback (most recent call last):
aifactory_lab.errors.ModelError: no/such/training is not a finished training: ...
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

from aifactory_lab.errors import ModelError
from aifactory_lab.measure import StationReport
from aifactory_lab.train import evaluation
from aifactory_lab.train.bundle import Bundle
from aifactory_lab.train.evaluation import Costs, Interval, Threshold

BUNDLE, PREDICTIONS, HISTORY, RESULT = "bundle", "predictions.parquet", "history.parquet", "result.json"


@dataclass(frozen=True)
class Result:
    """A trained model and how good it is.

    Attributes
    ----------
    bundle
        The model folder, verified.
    report
        What the training cost.
    scores
        `auc`, `average_precision`, `brier`, `log_loss` on the test rows, each an `Interval`.
    threshold
        The decision, chosen on the validation rows.
    folder
        Where everything lies.
    """

    bundle: Bundle
    report: StationReport
    scores: Mapping[str, Interval]
    threshold: Threshold
    costs: Costs
    folder: Path

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read a finished training's folder.

        Raises
        ------
        ModelError
            If the training did not finish, or its model is damaged.
        """
        folder = Path(folder)
        try:
            values = json.loads((folder / RESULT).read_text())
        except (OSError, ValueError) as error:
            msg = f"{folder} is not a finished training: {RESULT} cannot be read ({error})"
            raise ModelError(msg, mend="train.fit(features, out=folder)") from error
        bundle = Bundle.load(folder / BUNDLE)
        scores = {name: Interval(**values) for name, values in bundle.metrics["test"].items()}
        threshold = Threshold(**bundle.metrics["threshold"])
        costs = Costs(**bundle.metrics["costs"])
        return cls(bundle, StationReport.from_dict(values["report"]), scores, threshold, costs, folder)

    @property
    def predictions(self) -> Path:
        """Parquet with `slice` ("valid", "test"), `day`, `label`, `probability`."""
        return self.folder / PREDICTIONS

    def predicted(self, part: str = "test") -> pl.DataFrame:
        """Return the predictions of one slice; those for ``"valid"`` come from the model before the last fit."""
        return pl.scan_parquet(self.predictions).filter(pl.col("slice") == part).collect()

    def history(self) -> pl.DataFrame:
        """Return the loss per round (empty for estimators that train in one piece)."""
        return pl.read_parquet(self.folder / HISTORY)

    def calibration(self, bins: int = 10) -> pl.DataFrame:
        """Return predicted against observed frequencies on the test rows."""
        frame = self.predicted()
        return evaluation.calibration(frame["label"], frame["probability"], bins=bins)

    def curve(self, part: str = "test") -> pl.DataFrame:
        """Return rates and cost per threshold (`evaluation.curve`)."""
        frame = self.predicted(part)
        return evaluation.curve(frame["label"], frame["probability"], self.costs)
