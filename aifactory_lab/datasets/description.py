"""A first look at any raw material: one row per column.

Streamed: memory grows with the number of distinct values, not of rows. This module does not judge what it
finds; the quality report of `etl` does.

>>> from aifactory_lab import datasets
>>> datasets.describe(datasets.load("flights")).filter(table="planes", column="speed").select("rows", "missing").rows()
[(3322, 0.993...)]
"""

import polars as pl

from aifactory_lab.datasets.material import RawMaterial
from aifactory_lab.errors import DataError

SCHEMA = {
    "table": pl.String(),
    "column": pl.String(),
    "type": pl.String(),
    "rows": pl.Int64(),
    "missing": pl.Float64(),
    "distinct": pl.Int64(),
    "min": pl.String(),
    "max": pl.String(),
}


def describe(raw: RawMaterial) -> pl.DataFrame:
    """Return a frame with one row per column of every table.

    Parameters
    ----------
    raw
        What `datasets.load` returned.

    Returns
    -------
    polars.DataFrame
        table, column, type, rows, missing (share), distinct (values, without null), min and max (as text; null
        where the type has no order).

    Raises
    ------
    DataError
        If a table cannot be read to its end.
    """
    lines = [line for name, table in raw.tables.items() for line in _describe_table(name, table)]
    return pl.DataFrame(lines, schema=SCHEMA, orient="row")


def _describe_table(name: str, table: pl.LazyFrame) -> list[tuple[object, ...]]:
    schema = table.collect_schema()
    asked = [pl.len().alias("rows")]
    for column, type_ in schema.items():
        asked += _questions(column, type_)
    try:
        answer = table.select(asked).collect(engine="streaming").row(0, named=True)
    except pl.exceptions.PolarsError as error:
        msg = f"table {name!r} cannot be read to its end: {str(error).splitlines()[0]}"
        raise DataError(msg, mend="make or fetch its files again") from error
    rows = answer["rows"]
    return [
        (
            name,
            column,
            str(type_),
            rows,
            answer[f"missing {column}"] / rows if rows else None,
            answer[f"distinct {column}"],
            _text(answer.get(f"min {column}")),
            _text(answer.get(f"max {column}")),
        )
        for column, type_ in schema.items()
    ]


def _questions(column: str, type_: pl.DataType) -> list[pl.Expr]:
    values = pl.col(column)
    asked = [values.null_count().alias(f"missing {column}")]
    if type_.is_nested():
        return [*asked, pl.lit(None, pl.Int64).alias(f"distinct {column}")]
    return [
        *asked,
        (values.n_unique() - values.has_nulls().cast(pl.UInt32)).alias(f"distinct {column}"),
        values.min().alias(f"min {column}"),
        values.max().alias(f"max {column}"),
    ]


def _text(value: object) -> str | None:
    """Show any value; not by a cast, which polars refuses for durations and for bytes that are not UTF-8."""
    if value is None:
        return None
    return value.hex() if isinstance(value, bytes) else str(value)
