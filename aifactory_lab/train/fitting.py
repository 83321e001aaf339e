"""The training station: a feature table becomes a verified model folder with its scores.

The model learns on the earlier part of the training rows; the later part stops it early and chooses the decision
threshold by cost; then it is trained again on both parts and scored once on the test rows, which choose nothing
here. (The house's parameters were once chosen by people who had seen such scores.) This module does not know what
the features mean, nor who will use the model.

`fit` writes into `out`: `bundle/` (the model), `predictions.parquet` (validation and test rows),
`history.parquet` (loss per round) and `result.json`, which comes last.
"""

import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aifactory_lab import __version__
from aifactory_lab import device as devices
from aifactory_lab.aside import write_aside, write_text
from aifactory_lab.errors import ModelError
from aifactory_lab.measure import Meter
from aifactory_lab.train import boosting, estimators, evaluation
from aifactory_lab.train.bundle import Bundle
from aifactory_lab.train.evaluation import Costs, Threshold
from aifactory_lab.train.result import BUNDLE, HISTORY, PREDICTIONS, RESULT, Result
from aifactory_lab.train.table import VALIDATION, Rows, Slice, Table

PACKAGES = ("xgboost", "scikit-learn", "numpy", "polars")


@dataclass(frozen=True)
class Fitted:
    """A model in memory: an `xgboost.Booster` or a scikit-learn estimator."""

    model: Any
    rounds: int | None = None
    losses: pl.DataFrame | None = None
    resumed: int = 0

    def probability(self, rows: Rows) -> NDArray[np.float64]:
        """Return the probability of the positive class, shape ``(n,)``."""
        return estimators.probability(self.model, rows.x)


def fit(
    features: Path | str,
    estimator: str = "xgboost",
    groups: Sequence[str] = (),
    *,
    out: Path | str,
    checkpoint: Path | str | None = None,
    device: str | None = None,
    client: Any = None,
    costs: Costs | None = None,
    validation: float = VALIDATION,
    refit: bool = True,
    lineage: Mapping[str, Any] | None = None,
    **params: Any,
) -> Result:
    """Train, evaluate and save a model.

    Parameters
    ----------
    features
        Folder with `features.parquet` and `features.json`.
    estimator
        ``"xgboost"``, ``"random_forest"`` or ``"logistic_regression"``.
    groups
        Feature groups to learn from; by default all honest ones.
    out
        Folder for the model and its evaluation.
    checkpoint
        Folder that outlives a kill: XGBoost saves its state there every `boosting.EVERY` rounds, and the same call
        takes it up again, to the same model. The other estimators train in one piece.
    device
        ``"cpu"``, ``"gpu"`` or ``"auto"``; by default what `aifactory_lab.device` chooses.
    client
        A `dask.distributed.Client`, for example ``cluster.start().client``: XGBoost then trains on its workers
        (`train.distributed`), and with a GPU on each cuML's estimators do too (`train.many_gpus`).
    costs
        What a false alarm and a miss cost; they choose the threshold, on the validation rows.
    validation
        Share of the training rows, the latest by time, that is set aside for that.
    refit
        Train again on learning and validation rows together before the test.
    lineage
        Anything to remember with the model: the raw data's hash, the recipe.
    **params
        House parameters of the estimator, `seed` and `threads` among them (see `estimators.house`).

    Returns
    -------
    Result
        Where the bundle, the scores and the report are.

    Raises
    ------
    DataError
        If the feature table does not keep its contract.
    ModelError
        If the estimator or a parameter is unknown, or the estimator does not classify, or cannot be distributed.
    """
    chosen = devices.current(device)
    job = _Job(estimator, params, chosen.kind, Path(checkpoint) if checkpoint else None, client)
    costs, out = costs or Costs(), Path(out)
    (out / RESULT).unlink(missing_ok=True)  # what is in the folder is unfinished until this one is
    with Meter("train", unit="rows", device_used=chosen) as meter:
        table = Table.open(features, groups, validation=validation)
        job = replace(
            job,
            params=estimators.sized(
                estimator, table.lazy.filter(table.where("learn")).select(pl.len()).collect().item(), params
            ),
        )
        first = job.learn(table, "learn", "valid")
        valid = table.rows("valid")
        chance = first.probability(valid)
        last = job.learn(table, "train", rounds=first.rounds) if refit else first
        test = table.rows("test")
        final = last.probability(test)
        threshold = evaluation.best_threshold(valid.y, chance, costs)
        metrics = _metrics(valid, chance, test, final, threshold, costs)
        told = _lineage(table, job, last, refit) | dict(lineage or {})
        bundle = _save(out, table, estimator, last, threshold, metrics, told)
        _write_frames(out, first, {"valid": (valid, chance), "test": (test, final)})
        rows = told["rows"]["train" if refit else "learn"]
        meter.count(rows, bytes_in=table.bytes, bytes_out=_size(out), auc=metrics["test"]["auc"]["value"])
        if chosen.kind == "cpu":  # a GPU reads its own memory
            meter.count(memory_bytes=_traffic(told, len(table.columns), (first, last) if refit else (first,)))
        meter.count(host_to_device_bytes=0 if client else _sent(told, len(table.columns), estimator))
        meter.count(rounds=last.rounds, resumed_from_round=max(first.resumed, last.resumed))
    write_text(out / RESULT, json.dumps({"report": meter.report.to_dict()}, indent=1))
    loaded = Result.load(out)
    return replace(loaded, bundle=bundle)


def learn(
    estimator: str,
    rows: Rows,
    valid: Rows | None = None,
    *,
    device: str | None = None,
    checkpoint: Path | None = None,
    data: str = "",
    after: boosting.Watch | None = None,
    **params: Any,
) -> Fitted:
    """Train one model in memory, without writing it: what `fit`, a search, the ladder and the learning curve share.

    Parameters
    ----------
    rows, valid
        Training rows, and the rows that stop XGBoost early; without them it trains all its rounds.
    checkpoint, data
        Folder for checkpoints and the data's hash (`boosting.boost`).
    after
        Called as XGBoost goes on (`boosting.boost`); the other estimators train in one piece.
    """
    params = estimators.sized(estimator, len(rows), params)
    if estimator != "xgboost":
        model = estimators.make(estimator, device, **params).fit(rows.x, rows.y)
        return Fitted(estimators.portable(model))
    native, rounds = estimators.xgboost_params(device, **params)
    matrix = boosting.quantile_matrix(rows.x, rows.y, threads=native["nthread"])
    watch = valid and boosting.quantile_matrix(valid.x, valid.y, threads=native["nthread"], like=matrix)
    done = boosting.boost(matrix, watch, native, rounds, checkpoint=checkpoint, data=data, after=after)
    # Predictions here come from rows in host memory; on CUDA they would be copied back and forth with a warning.
    done.booster.set_param({"device": "cpu", "nthread": native["nthread"]})
    return Fitted(done.booster, done.rounds, done.history(), done.resumed)


def data_mark(table: Table, part: Slice, stop: Slice | None = None) -> str:
    """Return what a checkpoint knows its data by: the table, and which of its rows and columns were learned from."""
    return f"{table.content_hash} {part} {stop} {table.columns} {table.cutoff}"


@dataclass(frozen=True)
class _Job:
    """What to train and where; checked when it is made."""

    estimator: str
    params: Mapping[str, Any]
    kind: devices.Kind
    checkpoint: Path | None
    client: Any

    def __post_init__(self) -> None:
        estimators.house(self.estimator, **self.params)
        if self.estimator not in estimators.names("classify"):
            msg = f"{self.estimator} does not classify; those that do: {', '.join(estimators.names('classify'))}"
            raise ModelError(msg, mend=f"estimators.make({self.estimator!r}).fit(...)")
        if self.client is not None and self.estimator != "xgboost" and self.kind == "cpu":
            from aifactory_lab.train import many_gpus

            many_gpus.refuse(self.estimator)

    def learn(self, table: Table, part: Slice, stop: Slice | None = None, rounds: int | None = None) -> Fitted:
        """Learn from a slice; stop early on another, or after these rounds."""
        params = {**self.params, **({"rounds": rounds} if rounds else {})}
        if self.client is not None and self.estimator != "xgboost":
            from aifactory_lab.train import many_gpus

            return many_gpus.learn(self.client, self.estimator, table, part, **params)
        if self.client is not None:
            from aifactory_lab.train import distributed

            return distributed.learn(self.client, table, part, stop, device=self.kind, **params)
        mark = data_mark(table, part, stop)
        watch = table.rows(stop) if stop and self.estimator == "xgboost" else None
        rows, kept = table.rows(part), self.checkpoint
        return learn(self.estimator, rows, watch, device=self.kind, checkpoint=kept, data=mark, **params)


def _metrics(
    valid: Rows,
    chance: NDArray[np.float64],
    test: Rows,
    final: NDArray[np.float64],
    threshold: Threshold,
    costs: Costs,
) -> dict[str, Any]:
    intervals = evaluation.scores(test.y, final, blocks=test.day)
    error = evaluation.calibration_error(evaluation.calibration(test.y, final))
    return {
        "test": {name: asdict(interval) for name, interval in intervals.items()},
        "valid": {"auc": evaluation.scores(valid.y, chance, replicates=0)["auc"].value},
        "calibration_error": error,
        "base_rate": {"valid": float(valid.y.mean()), "test": float(test.y.mean())},
        "threshold": threshold.to_dict(),
        "costs": asdict(costs),
        "test_cost": evaluation.cost(test.y, final, threshold.value, costs),
        "test_cost_never": evaluation.cost(test.y, final, 2.0, costs),
        "test_cost_always": evaluation.cost(test.y, final, 0.0, costs),
    }


def _lineage(table: Table, job: _Job, fitted: Fitted, refit: bool) -> dict[str, Any]:
    parts: tuple[Slice, ...] = ("learn", "valid", "train", "test")
    counts = table.lazy.select(table.where(part).sum().alias(part) for part in parts).collect()
    when = table.lazy.select(pl.col(table.spec.time).min().alias("a"), pl.col(table.spec.time).max().alias("b"))
    first, last = when.collect().row(0)
    return {
        "features_sha256": table.content_hash,
        "leaks": [name for group in table.spec.leaks for name in table.spec.columns(group) if name in table.columns],
        "time": [first.isoformat(), last.isoformat()],
        "validation_from": table.cutoff.isoformat(),
        "rows": counts.row(0, named=True),
        "refit": refit,
        "params": estimators.house(job.estimator, **job.params),
        "rounds": fitted.rounds,
        "device": job.kind,
        "trained": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"aifactory-lab": __version__, "python": platform.python_version(), **found}


def _save(
    out: Path,
    table: Table,
    estimator: str,
    fitted: Fitted,
    threshold: Threshold,
    metrics: Mapping[str, Any],
    lineage: Mapping[str, Any],
) -> Bundle:
    kind = "xgboost" if estimator == "xgboost" else "sklearn"
    bundle = Bundle(
        kind, estimator, table.features(), table.spec.target, threshold.value, metrics=metrics, lineage=lineage
    )
    return bundle.save(out / BUNDLE, fitted.model)


def _write_frames(out: Path, first: Fitted, slices: Mapping[str, tuple[Rows, NDArray[np.float64]]]) -> None:
    frames = [
        pl.DataFrame({"day": rows.day, "label": rows.y, "probability": chance}).insert_column(
            0, pl.lit(part).alias("slice")
        )
        for part, (rows, chance) in slices.items()
    ]
    with write_aside(out / PREDICTIONS) as aside:
        pl.concat(frames).write_parquet(aside)
    with write_aside(out / HISTORY) as aside:
        (pl.DataFrame() if first.losses is None else first.losses).write_parquet(aside)


def _traffic(told: Mapping[str, Any], columns: int, fits: Sequence[Fitted]) -> int:
    """Return the bytes that XGBoost had to read from memory; 0, for not counted, for other estimators."""
    rows = (told["rows"]["learn"], told["rows"]["train"])
    return sum(
        boosting.traffic(count, columns, fitted.rounds or 0, told["params"])
        for count, fitted in zip(rows, fits, strict=False)
    )


def _sent(told: Mapping[str, Any], columns: int, estimator: str) -> int:
    """Return the bytes that one GPU must at least be sent: XGBoost's bins, a byte a value, else float32; labels."""
    rows = told["rows"]["learn"] + (told["rows"]["train"] if told["refit"] else 0)
    return int(rows * (columns * (1 if estimator == "xgboost" else 4) + 4))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
