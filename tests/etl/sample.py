"""Two weeks of real flights around a change of encoding period: small enough to run recipes many times."""

from functools import cache
from pathlib import Path

import polars as pl

from aifactory_lab import datasets
from aifactory_lab.etl.steps import instant

DAYS = ("2013-01-24", "2013-02-07")  # the periods of four weeks change on 31 January
CARRIERS = ("B6", "EV", "US")


@cache
def tables() -> dict[str, pl.LazyFrame]:
    raw = datasets.load("flights").tables
    inside = pl.col("time_hour").is_between(pl.lit(DAYS[0]), pl.lit(DAYS[1]), closed="left")
    flights = raw["flights"].filter(inside, pl.col("carrier").is_in(CARRIERS))
    small = {**raw, "flights": flights, "weather": raw["weather"].filter(inside)}
    return {name: table.collect().lazy() for name, table in small.items()}


def moment(minutes: int):
    return pl.select(instant(pl.lit(minutes))).item()


def material(folder: Path) -> datasets.RawMaterial:
    """Write the sample into files."""
    for name, table in tables().items():
        table.sink_parquet(folder / f"{name}.parquet")
    return datasets.RawMaterial("sample", {name: (folder / f"{name}.parquet",) for name in tables()})
