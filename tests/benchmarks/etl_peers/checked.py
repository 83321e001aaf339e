"""What every contestant hands back: rows, and sums and missing values of every column, from the file it wrote."""

from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab.etl import recipes

SPEC = recipes.flights().spec
FEATURES = [*SPEC.columns(), *SPEC.columns("leak")]


def checked(path: Path) -> dict[str, Any]:
    frame = pl.scan_parquet(path)
    numbers = [pl.col(name).cast(pl.Float64) for name in ["late", *FEATURES]]
    sums = [number.fill_nan(None).sum() for number in numbers]
    missing = [(number.is_null() | number.is_nan()).sum().alias(f"{number.meta.output_name()}?") for number in numbers]
    found = frame.select(pl.len().alias("rows"), *sums, *missing, (pl.col("split") == "train").sum().alias("train"))
    values = found.collect(engine="streaming").row(0, named=True)
    return {"rows": values.pop("rows"), "checksum": values}
