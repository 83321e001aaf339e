"""From one worker to two: ETL and XGBoost on Dask workers, beside one process with one thread and with two.

Every case runs in a fresh process and is timed after a first, smaller run, so that neither starting the workers nor
importing is counted (CPU-s counts both). Efficiency is the seconds of one, over twice the seconds of two; the ideal
is 1. All cases compute the same rows. Workers of one machine can only show what scaling out costs: they have the cores
and the memory that one process would have.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.harness import Case, Table, run

HERE = "tests.benchmarks.bench_scaling"
PLACES = {  # name → (workers, threads); without workers in one process
    "one process, 1 thread": (0, 1),
    "one process, 2 threads": (0, 2),
    "1 worker": (1, 1),
    "2 workers": (2, 1),
}


def features(workers: int, threads: int, copies: int) -> dict[str, Any]:
    """The flights recipe over some years."""
    os.environ["POLARS_MAX_THREADS"] = str(threads)
    from aifactory_lab import datasets, etl

    recipe, years = etl.recipes.flights(), datasets.load("flights", copies=copies)

    def work(client: Any, out: Path, *, first: bool) -> dict[str, Any]:
        raw = datasets.load("flights") if first else years
        engine = "cluster" if client else "cpu"
        report = etl.run(recipe, raw, out=out, engine=engine, client=client, progress=False)
        return {"rows": report.made, "slices": report.details["slices"], "sum": _sum(out)}

    return _timed(work, workers)


def trees(workers: int, threads: int, folder: str, rounds: int) -> dict[str, Any]:
    """XGBoost on one year of flights, and its score on the last quarter."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    from aifactory_lab import train

    usual: dict[str, Any] = {"device": "cpu", "threads": threads, "refit": False}

    def work(client: Any, out: Path, *, first: bool) -> dict[str, Any]:
        result = train.fit(folder, out=out, client=client, rounds=2 if first else rounds, **usual)
        return {"rows": result.bundle.lineage["rows"]["learn"], "AUC": round(result.scores["auc"].value, 4)}

    return _timed(work, workers)


def _timed(work: Callable[..., dict[str, Any]], workers: int) -> dict[str, Any]:
    """Run twice, time the second."""
    from aifactory_lab import cluster

    here = cluster.start("cpu", workers=workers) if workers else None
    try:
        with tempfile.TemporaryDirectory() as out:
            client = here.client if here else None
            work(client, Path(out), first=True)
            began = time.perf_counter()
            told = work(client, Path(out), first=False)
            return {"seconds": time.perf_counter() - began, **told}
    finally:
        if here:
            here.stop()


def _sum(out: Path) -> float:
    """Sum what every row has, in whole thousandths: the same in any order."""
    import polars as pl
    import polars.selectors as cs

    table = pl.scan_parquet(out / "features.parquet")
    return float(table.select((cs.float() * 1_000).round().cast(pl.Int64).sum()).collect().sum_horizontal().item())


def main(*, quick: bool) -> list[Table]:
    """ETL first, then XGBoost on one year's features."""
    from aifactory_lab import datasets, etl

    copies, rounds, repeats = (1, 20, 1) if quick else (3, 200, 3)
    datasets.load("flights", copies=copies)  # the years are made before anything is timed
    with tempfile.TemporaryDirectory() as folder:
        etl.run(etl.recipes.flights(), datasets.load("flights"), out=folder, engine="cpu", progress=False)
        years = {"copies": copies}
        model = {"folder": folder, "rounds": rounds}
        return [
            _table(f"ETL of {copies} years of flights, from one worker to two", "features", years, repeats, "sum"),
            _table(f"XGBoost, {rounds} rounds, from one worker to two", "trees", model, repeats, "rows"),
        ]


def _table(title: str, function: str, kwargs: dict[str, Any], repeats: int, same: str) -> Table:
    cases = [
        Case(name, f"{HERE}:{function}", {**kwargs, "workers": workers, "threads": threads})
        for name, (workers, threads) in PLACES.items()
    ]
    runs: dict[str, list[dict[str, Any]]] = {case.name: [] for case in cases}
    for _ in range(repeats):
        for case in cases:
            runs[case.name].append(run(case))
    told = {name: results[0]["result"] for name, results in runs.items()}
    assert len({one[same] for one in told.values()}) == 1, f"different results: {told}"
    seconds = {name: median(one["result"]["seconds"] for one in results) for name, results in runs.items()}
    rows = []
    for name, results in runs.items():
        rest = {key: value for key, value in told[name].items() if key not in ("seconds", "sum")}
        cpu = median(one["cpu_seconds"] for one in results)
        rows.append({"case": name, "s": round(seconds[name], 2), "CPU-s": round(cpu, 1), **rest})
    thread, threads, worker, workers = (seconds[name] for name in PLACES)
    return Table(
        title,
        rows,
        [
            f"Two workers are {worker / workers:.2f} times as fast as one: efficiency {worker / (2 * workers):.2f}, "
            f"the ideal is 1. In one process two threads are {thread / threads:.2f} times as fast as one: efficiency "
            f"{thread / (2 * threads):.2f}.",
            f"Two workers take {workers / threads:.2f} times the seconds of one process with two threads.",
        ],
    )
