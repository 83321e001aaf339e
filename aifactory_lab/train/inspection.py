"""What a model leans on, and whether more rows would help.

Permutation importance works on any model: shuffle one feature (or a whole group) of held-out rows and see how
much AUC is lost (Breiman 2001). Features that say the same thing share their importance, so each looks small;
the groups tell the sum. This module does not know how models are made.

>>> x = np.arange(40, dtype="f4").reshape(-1, 1)
>>> rows = Rows(x, (x[:, 0] > 20).astype(np.int8), np.zeros(40, "datetime64[D]"))
>>> importance_of(lambda x: x[:, 0] / 40, rows, {"only": [0]})["drop"][0] > 0.2
True
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aifactory_lab.train import estimators, evaluation
from aifactory_lab.train.bundle import Bundle
from aifactory_lab.train.fitting import learn
from aifactory_lab.train.table import Rows, Table

SAMPLE = 5000
REPEATS = 3
SHARES = (0.03, 0.1, 0.3, 1.0)
Predict = Callable[[NDArray[np.float32]], NDArray[np.float64]]


def importance(
    bundle: Bundle,
    features: Path | str,
    *,
    by: Literal["feature", "group"] = "feature",
    sample: int = SAMPLE,
    repeats: int = REPEATS,
    seed: int = 0,
) -> pl.DataFrame:
    """Return how much test AUC is lost when a feature, or a group, is shuffled.

    Parameters
    ----------
    bundle
        The model.
    features
        The feature table whose test rows are used.
    by
        Shuffle features one by one, or the features of a group together.
    sample, repeats
        Test rows used, and shuffles of each.

    Returns
    -------
    polars.DataFrame
        `name`, `group`, `drop` (mean), `low`, `high` (least and greatest of the repeats), largest first.
    """
    opened = Table.open(features)
    rows = replace(opened, columns=tuple(bundle.names)).rows("test")
    chosen = np.random.default_rng(seed).permutation(len(rows))[:sample]
    model = bundle.model()
    place = {name: number for number, name in enumerate(bundle.names)}
    groups = {group: [place[name] for name in names if name in place] for group, names in opened.spec.groups.items()}
    owner = {column: group for group, columns in groups.items() for column in columns}
    if by == "group":
        named = {group: columns for group, columns in groups.items() if columns}
    else:
        named = {name: [column] for name, column in place.items()}
    frame = importance_of(
        lambda x: estimators.probability(model, x), rows.take(chosen), named, repeats=repeats, seed=seed
    )
    return frame.insert_column(1, pl.Series("group", [owner[named[name][0]] for name in frame["name"]]))


def importance_of(
    predict: Predict, rows: Rows, columns: Mapping[str, Sequence[int]], *, repeats: int = REPEATS, seed: int = 0
) -> pl.DataFrame:
    """Return the AUC lost by shuffling each named set of columns together; any function may predict."""
    random = np.random.default_rng(seed)
    base = _auc(rows.y, predict(rows.x))
    lines = []
    for name, chosen in columns.items():
        drops = []
        for _ in range(repeats):
            shuffled = rows.x.copy()
            shuffled[:, chosen] = shuffled[random.permutation(len(rows))][:, chosen]
            drops.append(base - _auc(rows.y, predict(shuffled)))
        lines.append({"name": name, "drop": float(np.mean(drops)), "low": min(drops), "high": max(drops)})
    return pl.DataFrame(lines).sort("drop", descending=True)


def learning_curve(
    features: Path | str,
    estimator: str = "xgboost",
    groups: Sequence[str] = (),
    *,
    shares: Sequence[float] = SHARES,
    device: str | None = None,
    seed: int = 0,
    **params: Any,
) -> pl.DataFrame:
    """Return test AUC against the number of rows learned from, drawn at random from the learning slice.

    Returns
    -------
    polars.DataFrame
        `rows`, `auc`, `low`, `high`; smallest first.
    """
    table = Table.open(features, groups)
    train, valid, test = table.rows("learn"), table.rows("valid"), table.rows("test")
    order = np.random.default_rng(seed).permutation(len(train))
    lines = []
    for share in sorted(shares):
        some = train.take(order[: max(2, round(share * len(train)))])
        fitted = learn(estimator, some, valid, device=device, **params)
        auc = evaluation.scores(test.y, fitted.probability(test), blocks=test.day)["auc"]
        lines.append({"rows": len(some), "auc": auc.value, "low": auc.low, "high": auc.high})
    return pl.DataFrame(lines)


def _auc(y: NDArray[np.int8], p: NDArray[np.float64]) -> float:
    return evaluation.scores(y, p, replicates=0)["auc"].value
