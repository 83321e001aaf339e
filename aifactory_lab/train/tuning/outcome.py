"""What a search leaves behind: every trial and how far it came, the best parameters, and the winner's training.

This module asks no fleet and trains nothing.

>>> told = {"number": [0, 1, 2], "state": ["finished", "pruned", "finished"], "value": [0.6, 0.7, 0.5]}
>>> best_so_far(pl.DataFrame(told))["best"].to_list()
[0.6, 0.6, 0.6]
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from aifactory_lab.train.result import Result
from aifactory_lab.train.tuning.trial import JOB, ROUNDS, SURPLUS

if TYPE_CHECKING:
    from optuna.study import Study

STATES = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}
TRIALS: dict[str, Any] = {
    "number": pl.Int64,
    "state": pl.String,
    "value": pl.Float64,
    "seconds": pl.Float64,
    "rounds": pl.Int64,
    "job": pl.String,
}
PROGRESS: dict[str, Any] = {"number": pl.Int64, "round": pl.Int64, "auc": pl.Float64}


@dataclass(frozen=True)
class SearchResult:
    """A finished search.

    Attributes
    ----------
    params
        The best house parameters: those found, and those that were fixed.
    value
        Their AUC on the validation rows.
    trials
        One row per trial: `number`, `state` (``"finished"``, ``"pruned"``, ``"failed"``), `value` (AUC on the
        validation rows, of a pruned trial the last), `seconds`, `rounds`, `job`, and a column per parameter.
    progress
        The AUC of each trial after each link of rounds: `number`, `round`, `auc`; empty for models that train in one
        piece.
    result
        The winner, trained and scored on the test rows: ``registry.register(found.result)``.
    storage
        The journal; the same search goes on from there.
    """

    params: Mapping[str, Any]
    value: float
    trials: pl.DataFrame
    progress: pl.DataFrame
    result: Result
    storage: Path

    def history(self) -> pl.DataFrame:
        """Return the trials that count in the order of their numbers, with the `best` value so far."""
        return best_so_far(self.trials.filter(pl.col("state").is_in(["finished", "pruned"])))


def best_so_far(trials: pl.DataFrame) -> pl.DataFrame:
    """Add the best value of the trials that finished; a pruned trial's score is of a model that was never whole."""
    whole = pl.when(pl.col("state") == "finished").then(pl.col("value"))
    return trials.sort("number").with_columns(best=whole.cum_max().forward_fill())


def trials(study: "Study") -> pl.DataFrame:
    """Return the trials of a study; jobs that found nothing left to do are left out."""
    told = [trial for trial in study.get_trials(deepcopy=False) if not trial.user_attrs.get(SURPLUS)]
    names = sorted({name for trial in told for name in trial.params})
    rows = [
        {
            "number": trial.number,
            "state": STATES.get(trial.state.name, "waiting"),
            "value": trial.value if trial.value is not None else _last(trial.intermediate_values),
            "seconds": trial.duration and trial.duration.total_seconds(),
            "rounds": trial.user_attrs.get(ROUNDS),
            "job": trial.user_attrs.get(JOB),
            **{name: trial.params.get(name) for name in names},
        }
        for trial in told
    ]
    own = {name: _kind([row[name] for row in rows]) for name in names}
    return pl.DataFrame(rows, schema=TRIALS | own, orient="row")


def progress(study: "Study") -> pl.DataFrame:
    """Return the AUC of each trial after each link of its rounds."""
    rows = [
        (trial.number, step, value)
        for trial in study.get_trials(deepcopy=False)
        for step, value in sorted(trial.intermediate_values.items())
    ]
    return pl.DataFrame(rows, schema=PROGRESS, orient="row")


def _last(values: Mapping[int, float]) -> float | None:
    return values[max(values)] if values else None


def _kind(values: list[Any]) -> Any:
    """Return the type of a parameter's column: numbers where all are, else text."""
    kinds = {type(value) for value in values if value is not None}
    return pl.Int64 if kinds == {int} else pl.Float64 if kinds <= {int, float} else pl.String
