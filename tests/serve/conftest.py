"""Small real models on real flights, and servers that run them."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import xgboost

from aifactory_lab.serve.predictor import Predictor
from aifactory_lab.serve.server import Server, start
from aifactory_lab.train.bundle import Bundle, Feature

FLIGHTS = Path(__file__).parents[2] / "datasets" / "flights"
FEATURES = [
    "month",
    "day",
    "sched_dep_time",
    "sched_arr_time",
    "flight",
    "distance",
    "hour",
    "temp",
    "wind_gust",
    "visib",
]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory) -> Iterator[Path]:
    """Measurements and converted models of the tests stay out of the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("AIFACTORY_CACHE")
    os.environ["AIFACTORY_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["AIFACTORY_CACHE"]
    else:
        os.environ["AIFACTORY_CACHE"] = before


@pytest.fixture(scope="session")
def flights() -> pl.DataFrame:
    """Every eleventh flight with its weather: the features as float32 with real gaps, and `late`."""
    weather = pl.scan_parquet(FLIGHTS / "weather.parquet")
    table = pl.scan_parquet(FLIGHTS / "flights.parquet").filter(pl.col("arr_delay").is_not_null()).gather_every(11)
    joined = table.join(
        weather.select("origin", "time_hour", "temp", "wind_gust", "visib"), on=["origin", "time_hour"], how="left"
    )
    return joined.select(
        pl.col("tailnum"), pl.col(FEATURES).cast(pl.Float32), late=(pl.col("arr_delay") > 15).cast(pl.Int8)
    ).collect()


@pytest.fixture(scope="session")
def rows(flights) -> np.ndarray:
    return np.ascontiguousarray(flights.select(pl.col(FEATURES).fill_null(np.nan)).to_numpy(), dtype=np.float32)


@pytest.fixture(scope="session")
def features(rows) -> tuple[Feature, ...]:
    return tuple(
        Feature(name, float(np.nanmin(column)), float(np.nanmax(column)), float(np.isnan(column).mean()))
        for name, column in zip(FEATURES, rows.T, strict=True)
    )


def train(rows: np.ndarray, late: np.ndarray, rounds: int) -> xgboost.Booster:
    params = {"objective": "binary:logistic", "max_depth": 5, "eta": 0.1, "nthread": 1}
    return xgboost.train(params, xgboost.DMatrix(rows, late, nthread=1), rounds)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory, flights, rows, features) -> Bundle:
    booster = train(rows, flights["late"].to_numpy(), 40)
    folder = tmp_path_factory.mktemp("models") / "first"
    return Bundle("xgboost", "xgboost", features, "late", 0.3, metrics={"auc": 0.7}).save(folder, booster)


@pytest.fixture(scope="session")
def successor(tmp_path_factory, flights, rows, features) -> Bundle:
    """Another model on the same features: other trees, so other answers."""
    booster = train(rows, flights["late"].to_numpy(), 5)
    folder = tmp_path_factory.mktemp("models") / "second"
    return Bundle("xgboost", "xgboost", features, "late", 0.3).save(folder, booster)


@pytest.fixture(scope="session")
def predictor(bundle) -> Predictor:
    return Predictor.load(bundle, threads=1)


@pytest.fixture(scope="session")
def server(bundle, predictor) -> Iterator[Server]:
    """A service in a process of its own; `predictor` has measured the engines already."""
    with start(bundle.folder, threads=1) as running:
        yield running


@pytest.fixture
def row(flights) -> dict[str, float | None]:
    return flights.select(FEATURES).row(0, named=True)
