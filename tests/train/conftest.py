"""A feature table from the vendored flights, made by plain Polars so that these tests stand on training alone."""

from pathlib import Path

import polars as pl
import pytest

from aifactory_lab import datasets
from aifactory_lab.etl.features import TABLE, FeatureSpec

SCHEDULE = ("hour", "minute", "weekday", "distance", "carrier_code", "origin_code")
WEATHER = ("visib", "precip", "wind_speed", "pressure", "humid", "temp")
PLANE = ("seats", "built")
LEAK = ("dep_delay",)


def write_features(folder: Path, every: int = 12) -> Path:
    """Write every n-th flight of the year as a feature table; the last quarter is the test."""
    raw = datasets.load("flights")
    planes = raw["planes"].select("tailnum", pl.col("seats"), pl.col("year").alias("built"))
    weather = raw["weather"].select("origin", "time_hour", *WEATHER).unique(["origin", "time_hour"])
    hour = pl.col("time_hour").str.to_datetime(time_zone="UTC", strict=True)
    codes = [pl.col(name).rank("dense").alias(f"{name}_code") for name in ("carrier", "origin")]
    columns = [pl.col(name).cast(pl.Float32) for name in (*SCHEDULE, *WEATHER, *PLANE, *LEAK)]
    table = (
        raw["flights"]
        .with_columns(*codes)
        .filter(pl.col("arr_delay").is_not_null())
        .gather_every(every)
        .join(weather, on=["origin", "time_hour"], how="left", maintain_order="left")
        .join(planes, on="tailnum", how="left", maintain_order="left")
        .with_columns(sched_dep=hour + pl.duration(minutes="minute"))
        .with_columns(
            weekday=pl.col("sched_dep").dt.weekday(),
            late=(pl.col("arr_delay") > 15).cast(pl.Int8),
            split=pl.when(pl.col("month") <= 9).then(pl.lit("train")).otherwise(pl.lit("test")),
        )
        .select("tailnum", "sched_dep", "late", "split", *columns)
    )
    folder.mkdir(parents=True, exist_ok=True)
    table.collect().write_parquet(folder / TABLE)
    groups = {"schedule": SCHEDULE, "weather": WEATHER, "plane": PLANE, "leak": LEAK}
    FeatureSpec("late", "sched_dep", "split", groups, ("leak",), {"hour": "scheduled hour, local"}).save(folder)
    return folder


@pytest.fixture(scope="session")
def features(tmp_path_factory) -> Path:
    """About 27,000 flights."""
    return write_features(tmp_path_factory.mktemp("features"))
