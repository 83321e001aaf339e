"""ETL: the flights recipe beside the same features by hand, in DuckDB and in pandas, and beside its floor.

Every contestant writes all columns of the feature table; rows, sums and missing values of every column must
agree. The floor reads the raw columns and writes the features without computing any of them.
"""

import tempfile
from pathlib import Path

from aifactory_lab import datasets
from tests.benchmarks.harness import Case, Table, compare

PEERS = "tests.benchmarks.etl_peers"
CONTESTANTS = {
    "etl.run": "polars_hand:recipe",
    "one Polars query": "polars_hand:one_query",
    "DuckDB": "duckdb_sql:run",
    "pandas": "pandas_plain:run",
    "floor: read and write": "polars_hand:floor",
}
PANDAS_COPIES = 15  # 14 GB at 60


def main(*, quick: bool) -> list[Table]:
    """Compare at 0.3, 5 and 20 million rows; `quick` takes the first alone."""
    return [contest(copies, repeats=1 if quick or copies > 15 else 3) for copies in ([1] if quick else [1, 15, 60])]


def contest(copies: int, repeats: int) -> Table:
    """Run all contestants on so many years of flights, made beforehand."""
    rows = sum(1 for _ in datasets.load("flights", copies=copies).paths["flights"]) * 336_776
    chosen = {name: at for name, at in CONTESTANTS.items() if name != "pandas" or copies <= PANDAS_COPIES}
    with tempfile.TemporaryDirectory() as folder:
        kwargs = {"copies": copies, "folder": str(Path(folder))}
        cases = [Case(name, f"{PEERS}.{at}", kwargs) for name, at in chosen.items()]
        return compare(f"ETL of {rows:,} flights", cases, repeats=repeats)
