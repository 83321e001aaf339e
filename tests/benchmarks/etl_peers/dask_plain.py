"""The flights recipe in Dask: pandas per partition, group-bys and one shuffle by aircraft across partitions.

Every step that looks at one row runs on partitions; what is counted into cells of time is small, is computed once
and goes on in pandas; only the previous leg needs an aircraft's flights together. All columns, nothing left out.
"""

from pathlib import Path
from typing import Any

import dask.dataframe as dd

from aifactory_lab import datasets
from aifactory_lab.etl.encoding import TIMETABLE
from tests.benchmarks.etl_peers import pandas_plain as plain
from tests.benchmarks.etl_peers.checked import checked


def run(copies: int, folder: str) -> dict[str, Any]:
    import dask

    path = Path(folder) / "dask"
    paths = datasets.load("flights", copies=copies).paths
    raw = {name: dd.read_parquet([str(file) for file in files]) for name, files in paths.items()}
    airports, planes, weather = dask.compute(raw["airports"], raw["planes"], raw["weather"])
    sample = plain.times(raw["flights"].head(), airports)
    log = raw["flights"].map_partitions(plain.times, airports, meta=sample)
    cells, arrivals, counts, scheduled = dask.compute(
        summed(log, plain.departures, [*plain.AIRLINE, "cell"]),
        summed(log, plain.arrivals, ["dest", "cell"]),
        summed(log, plain.monthly, [*TIMETABLE, "period", "cell"]),
        log.groupby(["origin", "hour_utc"]).size(),
    )
    hours = plain.hours(scheduled.rename("size").reset_index(), weather)
    tables = plain.board(cells, hours), plain.landings(arrivals), plain.timetable(counts)
    legs = log.shuffle("tailnum").map_partitions(plain.legs)
    legs.map_partitions(plain.joined, planes, *tables).to_parquet(path, compression="zstd", write_index=False)
    return checked(path)


def summed(log: dd.DataFrame, events: Any, keys: list[str]) -> dd.DataFrame:
    """Sum what the partitions counted."""
    return log.map_partitions(events).groupby(keys).sum().reset_index()
