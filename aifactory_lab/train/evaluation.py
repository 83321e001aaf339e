"""How good a model is: scores with intervals, calibration, and the threshold that costs least.

Intervals are bootstrap percentiles. Rows of one day share its weather and its queues, so whole days are drawn (a
block bootstrap), not single rows: drawing rows would make the intervals too narrow. Rows are sorted by score once;
every replicate is then only a vector of counts, and AUC and average precision are sums over it. This module does
not know which model made the probabilities.

>>> y, p = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])
>>> scores(y, p, replicates=0)["auc"].value
0.75
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from aifactory_lab.errors import DataError

REPLICATES = 200
LEVEL = 0.95
CURVE_POINTS = 400  # a curve has a point per distinct score; a picture needs no more than it has pixels
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Costs:
    """What a wrong decision costs, in any unit: only the ratio matters.

    >>> Costs(false_alarm=1, miss=4).threshold
    0.2
    """

    false_alarm: float = 1.0
    miss: float = 4.0

    @property
    def threshold(self) -> float:
        """The threshold that is best if probabilities are exact: a / (a + m) (Elkan 2001, IJCAI, theorem 1)."""
        return self.false_alarm / (self.false_alarm + self.miss)


@dataclass(frozen=True)
class Threshold:
    """The decision: the probability from which to say yes, and the mean cost per row where it was chosen."""

    value: float
    cost: float
    cost_never: float
    cost_always: float

    def to_dict(self) -> dict[str, float]:
        """Return plain values for JSON."""
        return asdict(self)


def scores(
    y: ArrayLike, p: ArrayLike, *, blocks: ArrayLike | None = None, replicates: int = REPLICATES, seed: int = 0
) -> dict[str, Interval]:
    """Return AUC, average precision, Brier score and log loss with bootstrap intervals.

    Parameters
    ----------
    y, p
        Labels 0/1 and probabilities, shape ``(n,)``.
    blocks
        A label per row, for example its day: blocks are drawn whole. By default every row is its own block.
    replicates
        Bootstrap replicates; 0 gives intervals of no width.

    Raises
    ------
    DataError
        If the shapes differ, a probability is not in [0, 1], or only one class is there.
    """
    y, p = _checked(y, p)
    order = np.argsort(-p, kind="stable")
    scorer = _Scorer(y[order], p[order])
    found = [scorer(np.ones(len(y)))]
    random = np.random.default_rng(seed)
    code = np.arange(len(y)) if blocks is None else np.unique(np.asarray(blocks), return_inverse=True)[1]
    count, code = int(code.max()) + 1, code[order]
    for _ in range(replicates):
        drawn = np.bincount(random.integers(0, count, count), minlength=count)
        found.append(scorer(drawn[code].astype(np.float64)))
    table = np.array(found)
    low, high = np.nanquantile(table, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return {
        name: Interval(float(table[0, column]), float(low[column]), float(high[column]))
        for column, name in enumerate(_Scorer.names)
    }


class _Scorer:
    """Weighted scores of rows sorted by falling probability; ties share one point of the curve."""

    names = ("auc", "average_precision", "brier", "log_loss")

    def __init__(self, y: Floats, p: Floats) -> None:
        self.y = y
        self.ends = np.flatnonzero(np.append(np.diff(p) != 0, True))
        self.square = (p - y) ** 2
        safe = np.clip(p, 1e-15, 1 - 1e-15)
        self.log = -(y * np.log(safe) + (1 - y) * np.log(1 - safe))

    def __call__(self, weight: Floats) -> Floats:
        total = weight.sum()
        hits = np.cumsum(weight * self.y)[self.ends]
        taken = np.cumsum(weight)[self.ends]
        alarms = taken - hits
        if hits[-1] == 0 or alarms[-1] == 0:  # a replicate without one of the classes has no ranking
            return np.full(4, np.nan)
        area = np.trapezoid(np.append(0, hits), np.append(0, alarms)) / (hits[-1] * alarms[-1])
        precision = np.divide(hits, taken, out=np.zeros_like(hits), where=taken > 0)
        average = (np.diff(hits, prepend=0) * precision).sum() / hits[-1]
        return np.array([area, average, weight @ self.square / total, weight @ self.log / total])


def curve(y: ArrayLike, p: ArrayLike, costs: Costs | None = None, *, points: int = CURVE_POINTS) -> pl.DataFrame:
    """Return what each threshold gives: rates for ROC and precision-recall curves, and the cost per row.

    Returns
    -------
    polars.DataFrame
        `threshold`, `false_alarm_rate`, `recall`, `precision`, `cost`; at most `points` rows, thresholds falling.
    """
    y, p = _checked(y, p)
    costs = costs or Costs()
    frame = _all_thresholds(y, p, costs)
    keep = np.unique(np.linspace(0, frame.height - 1, min(points, frame.height)).astype(int))
    return frame[keep]


def best_threshold(y: ArrayLike, p: ArrayLike, costs: Costs | None = None) -> Threshold:
    """Return the threshold with the least cost on these rows: give validation rows, never test rows.

    Examples
    --------
    >>> best_threshold([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9]).value
    0.7
    """
    y, p = _checked(y, p)
    costs = costs or Costs()
    frame = _all_thresholds(y, p, costs)
    best = frame.row(int(frame["cost"].arg_min() or 0), named=True)
    never, always = float(y.mean() * costs.miss), float((1 - y.mean()) * costs.false_alarm)
    return Threshold(best["threshold"], best["cost"], never, always)


def cost(y: ArrayLike, p: ArrayLike, threshold: float, costs: Costs | None = None) -> float:
    """Return the mean cost per row of deciding yes from this threshold on.

    Examples
    --------
    >>> cost([0, 1], [0.9, 0.1], 0.5, Costs(false_alarm=1, miss=4))
    2.5
    """
    y, p = _checked(y, p)
    costs = costs or Costs()
    yes = p >= threshold
    return float((yes & (y == 0)).mean() * costs.false_alarm + (~yes & (y == 1)).mean() * costs.miss)


def calibration(y: ArrayLike, p: ArrayLike, *, bins: int = 10) -> pl.DataFrame:
    """Compare predicted with observed frequencies, in bins of equally many rows.

    Returns
    -------
    polars.DataFrame
        `rows`, `predicted`, `observed`, and `low`, `high`: Wilson's 95 % interval of `observed` (1927).
    """
    y, p = _checked(y, p)
    order = np.argsort(p, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    rows = np.array([len(part) for part in parts])
    observed = np.array([y[part].mean() for part in parts])
    low, high = _wilson(observed, rows)
    predicted = [float(p[part].mean()) for part in parts]
    return pl.DataFrame({"rows": rows, "predicted": predicted, "observed": observed, "low": low, "high": high})


def calibration_error(frame: pl.DataFrame) -> float:
    """Return the expected calibration error: the mean distance between predicted and observed, by rows.

    Examples
    --------
    >>> calibration_error(calibration([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5], bins=1))
    0.0
    """
    gap = (pl.col("predicted") - pl.col("observed")).abs()
    return float(frame.select((gap * pl.col("rows")).sum() / pl.col("rows").sum()).item())


def _all_thresholds(y: Floats, p: Floats, costs: Costs) -> pl.DataFrame:
    """Every distinct threshold, falling, after one that is above all probabilities (decide no everywhere)."""
    order = np.argsort(-p, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(p[order]) != 0, True))
    hits = np.append(0, np.cumsum(y[order])[ends])
    taken = np.append(0, ends + 1)
    positives, negatives = hits[-1], len(y) - hits[-1]
    alarms = taken - hits
    values: dict[str, Any] = {
        "threshold": np.append(np.nextafter(p.max(), 2), p[order][ends]),
        "false_alarm_rate": alarms / negatives,
        "recall": hits / positives,
        "precision": np.divide(hits, taken, out=np.ones_like(hits), where=taken > 0),
        "cost": (alarms * costs.false_alarm + (positives - hits) * costs.miss) / len(y),
    }
    return pl.DataFrame(values)


def _wilson(share: Floats, rows: NDArray[np.int64], z: float = 1.959964) -> tuple[Floats, Floats]:
    centre = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z * np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2)) / (1 + z**2 / rows)
    return centre - half, centre + half


def _checked(y: ArrayLike, p: ArrayLike) -> tuple[Floats, Floats]:
    labels, chance = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if labels.shape != chance.shape or labels.ndim != 1:
        msg = f"labels of shape {labels.shape} and probabilities of shape {chance.shape} do not go together"
        raise DataError(msg)
    if not ((chance >= 0) & (chance <= 1)).all():
        msg = "probabilities must be between 0 and 1, and none missing"
        raise DataError(msg)
    if not 0 < labels.mean() < 1:
        msg = f"{len(labels)} labels of one class only cannot be scored"
        raise DataError(msg)
    return labels, chance
