"""How well work scales, from runs that were measured: speed-up, efficiency, and where the lost seconds went.

A run on n workers takes ``alone + work / n + idle`` seconds: no task runs, or tasks do, spread evenly, or some workers
have none left. Against the ideal, the run on one worker divided by n, each of the three may have grown. Amdahl's law
(1967) knows the first only: ``1 / (s + (1 - s) / n)`` for a serial share s; Karp and Flatt (1990) read s off a measured
speed-up. This module starts nothing and draws nothing.

>>> round(amdahl(2, serial=0.1), 2), round(karp_flatt(amdahl(8, serial=0.1), 8), 2)
(1.82, 0.1)
"""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import polars as pl

from aifactory_lab.errors import require

HASH = re.compile(r".*\d.*|[0-9a-f]{8,}")  # a part of a uuid may be without digits, its first hardly ever
TASKS = {"worker": pl.String, "task": pl.String, "start": pl.Float64, "stop": pl.Float64}


@dataclass
class Run:
    """A measured run.

    Attributes
    ----------
    workers
        How many there were.
    seconds
        From its beginning to its end.
    tasks
        worker, task, start, stop: seconds since its beginning.
    """

    workers: int
    seconds: float = 0.0
    tasks: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TASKS))

    @property
    def work(self) -> float:
        """Seconds that workers computed, added up."""
        return float((self.tasks["stop"] - self.tasks["start"]).sum())

    @property
    def alone(self) -> float:
        """Seconds in which no task ran: what the process that asked did by itself."""
        spans = self.tasks.sort("start")
        ends = spans["stop"].cum_max().shift(1, fill_value=0.0)
        busy = (spans["stop"].cum_max() - pl.select(pl.max_horizontal(spans["start"], ends)).to_series()).sum()
        return max(0.0, self.seconds - float(busy))

    @property
    def idle(self) -> float:
        """Seconds that a worker had no task while another had one, on average over the workers."""
        return max(0.0, self.seconds - self.alone - self.work / self.workers)


@contextmanager
def measured(client: Any) -> Iterator[Run]:
    """Measure what the block runs on the client's workers; the tasks are Dask's own record of them."""
    stream = require("distributed", extra="fleet").get_task_stream
    run = Run(len(client.scheduler_info(n_workers=-1)["workers"]))
    with stream(client) as record:
        began, clock = time.time(), time.perf_counter()
        yield run
        run.seconds = time.perf_counter() - clock
    names = {address: str(one["name"]) for address, one in client.scheduler_info(n_workers=-1)["workers"].items()}
    spans = [
        (names.get(one["worker"], one["worker"]), _name(one["key"]), span["start"] - began, span["stop"] - began)
        for one in record.data
        for span in one["startstops"]
        if span["action"] == "compute"
    ]
    run.tasks = pl.DataFrame(spans, schema=TASKS, orient="row").sort("start", "worker")


def compare(runs: Mapping[int, Run]) -> pl.DataFrame:
    """Return one row for each number of workers, beside the ideal: the fewest workers' run, scaled.

    Returns
    -------
    polars.DataFrame
        workers; seconds; ideal (seconds); speedup; efficiency (speed-up ÷ workers, of the fewest); and the seconds
        beyond the ideal: alone, more_work, idle. The three sum to ``seconds - ideal``.
    """
    least = min(runs)
    first = runs[least]
    rows = []
    for count, run in sorted(runs.items()):
        share = least / count
        rows.append(
            {
                "workers": count,
                "seconds": run.seconds,
                "ideal": first.seconds * share,
                "speedup": first.seconds / run.seconds,
                "efficiency": first.seconds * share / run.seconds,
                "alone": run.alone - first.alone * share,
                "more_work": (run.work - first.work) / count,
                "idle": run.idle - first.idle * share,
            }
        )
    return pl.DataFrame(rows)


def amdahl(workers: float, serial: float) -> float:
    """Return the speed-up that a serial share allows (Amdahl 1967)."""
    return 1 / (serial + (1 - serial) / workers)


def karp_flatt(speedup: float, workers: int) -> float:
    """Return the share that behaved as if it were serial (Karp & Flatt 1990); needs more than one worker."""
    return (1 / speedup - 1 / workers) / (1 - 1 / workers)


def _name(key: Any) -> str:
    """Return the readable part of a task's key: what stands before its hash or number.

    >>> _name("read-csv-41c5a0ee-ccaf-4d1c-9b1f"), _name(("sum-tree-deadbeef", 3))
    ('read-csv', 'sum-tree')
    """
    text = str(key[0] if isinstance(key, tuple) else key)
    return "-".join(takewhile(lambda word: not HASH.fullmatch(word), text.split("-"))) or text
