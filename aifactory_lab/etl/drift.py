"""Drift: how far the features of the test split have moved from those of the train split.

The population stability index over the deciles of train, one feature at a time, so that a table larger than
memory is no matter. This module does not know what moved them: a season, a new airline or a leak.

>>> psi([50, 50], [50, 50]), verdict(psi([500, 500], [900, 100]))
(0.0, 'shifted')
"""

from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab.etl.features import TABLE, FeatureSpec

SAMPLE_ROWS = 300_000  # up to twice as many are read whole: the same answer in whatever order they lie
BINS = 10
# Below 0.1 no change, above 0.25 a major one (N. Siddiqi, Credit Risk Scorecards, 2006).
PSI_MOVED, PSI_SHIFTED = 0.1, 0.25


def quantiles(frame: pl.LazyFrame, names: Sequence[str], rows: int, shares: Sequence[float]) -> dict[str, list[float]]:
    """Return quantiles of columns from evenly spaced rows of a table; columns without any value are left out.

    Examples
    --------
    >>> quantiles(pl.LazyFrame({"x": range(101)}), ["x"], 101, [0.25, 0.75])
    {'x': [25.0, 75.0]}
    """
    if not names:
        return {}
    sample = frame.select(pl.col(names).cast(pl.Float64).fill_nan(None)).gather_every(max(1, rows // SAMPLE_ROWS))
    kept = sample.collect(engine="streaming")
    found = {name: [kept[name].quantile(share) for share in shares] for name in names}
    return {name: [float(v) for v in values if v is not None] for name, values in found.items() if None not in values}


def drift(features: Path | str) -> pl.DataFrame:
    """Compare every feature between the train and the test split.

    Parameters
    ----------
    features
        A folder with `features.parquet` and `features.json`.

    Returns
    -------
    DataFrame
        feature, group; psi, the population stability index over the deciles of train, with missing values as a
        bin of their own; verdict; share missing and mean in either split. Sorted by psi, largest first.
    """
    folder = Path(features)
    spec = FeatureSpec.load(folder)
    table = pl.scan_parquet(folder / TABLE)
    group_of = {name: group for group in spec.groups for name in spec.columns(group)}
    train = table.filter(pl.col(spec.split) == "train")
    rows = int(train.select(pl.len()).collect(engine="streaming").item())
    shares = [(index + 1) / BINS for index in range(BINS - 1)]
    found = []
    for name, group in group_of.items():
        edges = sorted(set(quantiles(train, [name], rows, shares).get(name, [])))
        found.append({"feature": name, "group": group, **_drift_of(table, spec.split, name, edges)})
    return pl.DataFrame(found, schema=DRIFT).sort("psi", "feature", descending=[True, False])


DRIFT = {
    "feature": pl.String,
    "group": pl.String,
    "psi": pl.Float64,
    "verdict": pl.String,
    "missing_train": pl.Float64,
    "missing_test": pl.Float64,
    "mean_train": pl.Float64,
    "mean_test": pl.Float64,
}


def _drift_of(table: pl.LazyFrame, split: str, name: str, edges: Sequence[float]) -> dict[str, Any]:
    value = pl.col(name).cast(pl.Float64).fill_nan(None)
    bins = pl.sum_horizontal(pl.lit(0), *[(value > edge).cast(pl.Int32) for edge in edges])
    place = pl.when(value.is_null()).then(-1).otherwise(bins).alias("bin")
    counted = table.group_by(split, place).agg(pl.len().alias("rows"), value.sum().alias("sum"))
    sides = counted.collect(engine="streaming").partition_by(split, as_dict=True)
    train, test = (sides.get((side,), counted.clear().collect()) for side in ("train", "test"))
    index = psi(_counts(train, len(edges)), _counts(test, len(edges)))
    return {
        "psi": index,
        "verdict": verdict(index),
        "missing_train": _missing(train),
        "missing_test": _missing(test),
        "mean_train": _mean(train),
        "mean_test": _mean(test),
    }


def _counts(side: pl.DataFrame, edges: int) -> list[int]:
    counts = dict(side.select("bin", "rows").rows())
    return [counts.get(place, 0) for place in range(-1, edges + 1)]


def _missing(side: pl.DataFrame) -> float | None:
    rows = int(side["rows"].sum())
    return int(side.filter(pl.col("bin") < 0)["rows"].sum()) / rows if rows else None


def _mean(side: pl.DataFrame) -> float | None:
    present = side.filter(pl.col("bin") >= 0)
    return float(present["sum"].sum()) / int(present["rows"].sum()) if present.height else None


def psi(expected: Sequence[int], actual: Sequence[int]) -> float:
    """Return the population stability index of two histograms over the same bins.

    Σ (p − q) · ln(p ÷ q), the symmetric Kullback–Leibler divergence (Jeffreys). A bin that is empty on both sides is
    left out; half a row is added to the others, so that an empty one counts much but not infinitely.

    Examples
    --------
    >>> psi([50, 50], [50, 50]), round(psi([500, 500], [900, 100]), 2)
    (0.0, 0.88)
    """
    used = [(p + 0.5, q + 0.5) for p, q in zip(expected, actual, strict=True) if p or q]
    here, there = sum(p for p, _ in used), sum(q for _, q in used)
    return sum((p / here - q / there) * log((p / here) / (q / there)) for p, q in used)


def verdict(index: float) -> str:
    """Say a population stability index in words: stable, moved or shifted.

    Examples
    --------
    >>> verdict(0.05), verdict(0.2), verdict(0.3)
    ('stable', 'moved', 'shifted')
    """
    return "stable" if index < PSI_MOVED else "moved" if index <= PSI_SHIFTED else "shifted"
