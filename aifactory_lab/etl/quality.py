"""How good the data is: what is missing, in what range, what joins, and what drifts between train and test.

Every figure comes from streaming passes; the few quantiles that are needed come from evenly spaced rows, so
memory stays flat as data grows. This module judges nothing against a contract (`contracts` does) and draws
nothing (`figures.quality` does).

>>> from aifactory_lab import datasets
>>> raw = datasets.load("flights")
>>> coverage(raw, FLIGHTS_JOINS).select("join", "coverage").rows()[0]
('flights → planes', 0.843...)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab.datasets import RawMaterial
from aifactory_lab.etl.features import TABLE, FeatureSpec

SAMPLE_ROWS = 100_000  # evenly spaced rows for quantiles: the error of a decile is then about 0.1 % of the rows
FENCE = 3.0  # interquartile ranges beyond the quartiles: Tukey's "far out" (Exploratory Data Analysis, 1977)
BINS = 10
# Population stability index: below 0.1 no change, above 0.25 a major one (N. Siddiqi, Credit Risk Scorecards, 2006).
PSI_MOVED, PSI_SHIFTED = 0.1, 0.25


@dataclass(frozen=True)
class Join:
    """A lookup from one table into another: equal in `on` (by name there, if `other_on` differs)."""

    table: str
    other: str
    on: tuple[str, ...]
    other_on: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.table} → {self.other}"


FLIGHTS_JOINS = (
    Join("flights", "planes", ("tailnum",)),
    Join("flights", "weather", ("origin", "time_hour")),
    Join("flights", "airports", ("dest",), ("faa",)),
    Join("flights", "airlines", ("carrier",)),
)


@dataclass(frozen=True)
class QualityReport:
    """The three frames of data quality; one is empty if it was not asked for."""

    columns: pl.DataFrame
    coverage: pl.DataFrame
    drift: pl.DataFrame = field(default_factory=pl.DataFrame)

    def _repr_html_(self) -> str:
        parts = {"Columns": self.columns, "Join coverage": self.coverage, "Drift, train to test": self.drift}
        with pl.Config(tbl_rows=200, tbl_cols=20, tbl_hide_dataframe_shape=True, float_precision=4):
            return "".join(f"<h4>{title}</h4>{frame._repr_html_()}" for title, frame in parts.items() if frame.height)


def report(raw: RawMaterial, *, joins: Sequence[Join] = (), features: Path | str | None = None) -> QualityReport:
    """Return the data-quality report of raw material and, if its folder is given, of the feature table.

    Parameters
    ----------
    joins
        Lookups whose coverage is wanted, for example `FLIGHTS_JOINS`.
    features
        A folder with `features.parquet` and `features.json`.
    """
    moved = pl.DataFrame() if features is None else drift(features)
    return QualityReport(columns(raw), coverage(raw, joins), moved)


def columns(raw: RawMaterial) -> pl.DataFrame:
    """Describe every column of every table.

    Returns
    -------
    DataFrame
        table, column, type, rows; missing (share of rows, NaN included); distinct values;
        minimum, maximum (as text); outliers (share of rows beyond Tukey's far-out fences; null if the
        column is no number, or is so concentrated that its quartiles are equal).
    """
    return pl.concat([_columns_of(name, frame) for name, frame in raw.tables.items()])


def _columns_of(table: str, frame: pl.LazyFrame) -> pl.DataFrame:
    schema = frame.collect_schema()
    rows = int(frame.select(pl.len()).collect(engine="streaming").item())
    fences = _fences(frame, [name for name, dtype in schema.items() if dtype.is_numeric()], rows)
    wanted: list[pl.Expr] = []
    for name in schema:
        value, present = pl.col(name), _present(name, schema[name])
        low, high = fences.get(name, (None, None))
        beyond = (present & ((value < low) | (value > high))).sum() if low is not None else pl.lit(None)
        wanted += [
            (~present).sum().alias(f"{name} missing"),
            value.filter(present).n_unique().alias(f"{name} distinct"),
            value.filter(present).min().alias(f"{name} minimum"),
            value.filter(present).max().alias(f"{name} maximum"),
            beyond.alias(f"{name} beyond"),
        ]
    found = frame.select(wanted).collect(engine="streaming").row(0, named=True)
    return pl.DataFrame([_describe(table, name, str(schema[name]), rows, found) for name in schema], schema=COLUMNS)


COLUMNS = {
    "table": pl.String,
    "column": pl.String,
    "type": pl.String,
    "rows": pl.Int64,
    "missing": pl.Float64,
    "distinct": pl.Int64,
    "minimum": pl.String,
    "maximum": pl.String,
    "outliers": pl.Float64,
}


def _describe(table: str, name: str, dtype: str, rows: int, found: Mapping[str, Any]) -> dict[str, Any]:
    beyond = found[f"{name} beyond"]
    return {
        "table": table,
        "column": name,
        "type": dtype,
        "rows": rows,
        "missing": found[f"{name} missing"] / rows if rows else 0.0,
        "distinct": found[f"{name} distinct"],
        "minimum": _text(found[f"{name} minimum"]),
        "maximum": _text(found[f"{name} maximum"]),
        "outliers": None if beyond is None or not rows else beyond / rows,
    }


def _text(value: Any) -> str | None:
    return f"{value:g}" if isinstance(value, float) else None if value is None else str(value)


def _present(name: str, dtype: pl.DataType) -> pl.Expr:
    value = pl.col(name)
    return value.is_not_null() & value.is_not_nan() if dtype.is_float() else value.is_not_null()


def _fences(frame: pl.LazyFrame, names: Sequence[str], rows: int) -> dict[str, tuple[float, float]]:
    """Return Tukey's outer fences, from evenly spaced rows; without columns whose quartiles are equal."""
    quartiles = _quantiles(frame, names, rows, (0.25, 0.75))
    spread = {name: (low, high, FENCE * (high - low)) for name, (low, high) in quartiles.items()}
    return {name: (low - reach, high + reach) for name, (low, high, reach) in spread.items() if reach > 0}


def _quantiles(frame: pl.LazyFrame, names: Sequence[str], rows: int, shares: Sequence[float]) -> dict[str, list[float]]:
    if not names:
        return {}
    sample = frame.select(pl.col(names).cast(pl.Float64).fill_nan(None)).gather_every(max(1, rows // SAMPLE_ROWS))
    kept = sample.collect(engine="streaming")
    found = {name: [kept[name].quantile(share) for share in shares] for name in names}
    return {name: [float(v) for v in values if v is not None] for name, values in found.items() if None not in values}


def coverage(raw: RawMaterial, joins: Sequence[Join]) -> pl.DataFrame:
    """Count how many rows find their partner in another table.

    Returns
    -------
    DataFrame
        join, on, rows, keyed (rows whose key has no null), matched, coverage (matched ÷ rows), and the three most
        frequent keys without a partner.
    """
    return pl.DataFrame([_coverage_of(raw, join) for join in joins], schema=COVERAGE)


COVERAGE = {
    "join": pl.String,
    "on": pl.String,
    "rows": pl.Int64,
    "keyed": pl.Int64,
    "matched": pl.Int64,
    "coverage": pl.Float64,
    "without": pl.String,
}


def _coverage_of(raw: RawMaterial, join: Join) -> dict[str, Any]:
    on, other_on = list(join.on), list(join.other_on or join.on)
    partners = raw[join.other].select(pl.col(theirs).alias(ours) for ours, theirs in zip(on, other_on, strict=True))
    keys = raw[join.table].group_by(on).agg(pl.len().alias("rows"))
    keys = keys.join(partners.unique().with_columns(found=pl.lit(value=True)), on=on, how="left")
    counted = keys.collect(engine="streaming")
    whole = counted.filter(~pl.any_horizontal(pl.col(on).is_null()))
    alone = whole.filter(pl.col("found").is_null()).sort("rows", *on, descending=[True, *[False] * len(on)])
    rows, keyed, missed = (int(frame["rows"].sum()) for frame in (counted, whole, alone))
    return {
        "join": str(join),
        "on": ", ".join(on),
        "rows": rows,
        "keyed": keyed,
        "matched": keyed - missed,
        "coverage": (keyed - missed) / rows if rows else 0.0,
        "without": ", ".join(f"{'/'.join(map(str, row[:-2]))} ({row[-2]:,})" for row in alone.head(3).rows()),
    }


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
        edges = sorted(set(_quantiles(train, [name], rows, shares).get(name, [])))
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
