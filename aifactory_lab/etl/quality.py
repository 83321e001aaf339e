"""How good the data is: what is missing, in what range, what joins, and what drifts between train and test.

Every figure comes from streaming passes; the few quantiles that are needed come from evenly spaced rows, so
memory grows with the number of distinct values at most. This module judges nothing against a contract
(`contracts` does) and draws nothing (`figures.quality` does).

>>> from aifactory_lab import datasets
>>> raw = datasets.load("flights")
>>> coverage(raw, FLIGHTS_JOINS).select("join", "coverage").rows()[0]
('flights → planes', 0.843...)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab.datasets import RawMaterial
from aifactory_lab.etl.drift import drift, quantiles

__all__ = ["FLIGHTS_JOINS", "Join", "QualityReport", "columns", "coverage", "drift", "report"]

FENCE = 3.0  # interquartile ranges beyond the quartiles: Tukey's "far out" (Exploratory Data Analysis, 1977)


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
JOINS: Mapping[str, Sequence[Join]] = {"flights": FLIGHTS_JOINS}  # by the name of the recipe that makes them


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
    quartiles = quantiles(frame, names, rows, (0.25, 0.75))
    spread = {name: (low, high, FENCE * (high - low)) for name, (low, high) in quartiles.items()}
    return {name: (low - reach, high + reach) for name, (low, high, reach) in spread.items() if reach > 0}


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
