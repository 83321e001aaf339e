"""The same queries by hand in one Polars call: no contract, no slices, no report. And the floor: read, write."""

from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab import datasets, etl
from aifactory_lab.etl.features import TABLE
from tests.benchmarks.etl_peers.checked import FEATURES, checked


def recipe(copies: int, folder: str) -> dict[str, Any]:
    """Run the product."""
    out = Path(folder) / "recipe"
    etl.run(etl.recipes.flights(), datasets.load("flights", copies=copies), out=out, engine="cpu", progress=False)
    return checked(out / TABLE)


def one_query(copies: int, folder: str) -> dict[str, Any]:
    """Stream the whole table at once."""
    path = Path(folder) / "one_query.parquet"
    tables = datasets.load("flights", copies=copies).tables
    etl.recipes.flights().query(tables).sink_parquet(path, engine="streaming")
    return checked(path)


def floor(copies: int, folder: str) -> dict[str, Any]:
    """Read every raw column and write as many columns as the features have, computing nothing."""
    path = Path(folder) / "floor.parquet"
    flights = datasets.load("flights", copies=copies).tables["flights"]
    flights.select(pl.all().null_count()).collect(engine="streaming")
    features = pl.scan_parquet(Path(folder) / "recipe" / TABLE)
    features.select(pl.all()).sink_parquet(path, engine="streaming")
    return {**checked(path), "columns": len(FEATURES)}
