"""ETL: the flights recipe beside the same features by hand, in DuckDB, pandas and Dask, and beside its floor.

Every contestant writes all columns of the feature table; rows, sums and missing values of every column must
agree. The floor reads the raw columns and writes the features without computing any of them.
"""

import tempfile

import polars as pl

from aifactory_lab import datasets
from tests.benchmarks.harness import Case, Table, compare

PEERS = "tests.benchmarks.etl_peers"
CONTESTANTS = {
    "etl.run": "polars_hand:recipe",
    "one Polars query": "polars_hand:one_query",
    "DuckDB": "duckdb_sql:run",
    "pandas": "pandas_plain:run",
    "Dask": "dask_plain:run",
    "floor: read and write": "polars_hand:floor",
}
YEARS = {1: tuple(CONTESTANTS), 15: tuple(CONTESTANTS), 60: ("etl.run", "DuckDB", "floor: read and write")}
REPEATS = {1: 3, 15: 2, 60: 1}
ONCE = ("pandas", "Dask")  # of many years


def main(*, quick: bool) -> list[Table]:
    """Compare at 0.3, 5 and 20 million rows; `quick` takes the first alone, once."""
    return [contest(1, repeats=1)] if quick else [contest(copies, repeats) for copies, repeats in REPEATS.items()]


def contest(copies: int, repeats: int) -> Table:
    """Run all contestants on so many years of flights, made beforehand."""
    flights = datasets.load("flights", copies=copies)["flights"]
    rows = flights.select(pl.len()).collect().item()
    with tempfile.TemporaryDirectory() as folder:
        kwargs = {"copies": copies, "folder": folder}
        cases = [
            Case(name, f"{PEERS}.{CONTESTANTS[name]}", kwargs, most=1 if name in ONCE and copies > 1 else repeats)
            for name in YEARS[copies]
        ]
        return compare(f"ETL of {rows:,} flights", cases, repeats=repeats)
