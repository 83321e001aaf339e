"""What a queue costs: from sending a job to its first line, and jobs per second, beside plain Dask and plain submitit.

The job is `time.time`, so its result is the moment at which it began. Latency is the median over jobs sent one after
the other, each when the one before has ended; the rate is of jobs sent at once, until the last of them has begun. Every
contestant runs in a fresh process, and has run a job before it is timed. Two of them do less: plain Dask starts a bare
interpreter (no pickle, no log, no result on disk), and submitit's local executor has no queue: it starts all at once.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.harness import Case, Table, run

HERE = "tests.benchmarks.bench_fleet"
SLOTS = 2  # jobs at the same time, where that is counted
CODE = "import time; print(time.time())"
Send = Callable[[int], Sequence[float]]  # sends so many jobs, returns when each of them began


def workstation(alone: int, at_once: int, folder: str) -> dict[str, float]:
    """Send to the house's own queue."""
    from aifactory_lab.fleet import Fleet

    fleet = Fleet("workstation", folder=Path(folder) / "workstation", gpus=SLOTS)
    try:
        return _timed(lambda count: _fleet(fleet, count, gpus=1), alone, at_once)
    finally:
        fleet.engine.stop()


def slurm(alone: int, at_once: int, folder: str) -> dict[str, float]:
    """Send to the private Slurm as the house does."""
    from aifactory_lab.fleet import Fleet

    fleet = Fleet("slurm", folder=folder)
    return _timed(lambda count: _fleet(fleet, count, gpus=1, project="vision", priority="interactive"), alone, at_once)


def dask(alone: int, at_once: int, folder: str) -> dict[str, float]:
    """Have plain Dask start processes."""
    import distributed

    with distributed.LocalCluster(1, processes=False, threads_per_worker=SLOTS, dashboard_address=None) as cluster:
        client = distributed.Client(cluster)

        def send(count: int) -> list[float]:
            command = [sys.executable, "-c", CODE]
            futures = [
                client.submit(subprocess.run, command, capture_output=True, check=True, pure=False)
                for _ in range(count)
            ]
            return [float(done.stdout) for done in client.gather(futures)]

        try:
            return _timed(send, alone, at_once)
        finally:
            client.close()


def submitit_local(alone: int, at_once: int, folder: str) -> dict[str, float]:
    """Send with submitit's local executor."""
    import submitit

    return _timed(_submitit(submitit.LocalExecutor(Path(folder) / "local")), alone, at_once)


def submitit_slurm(alone: int, at_once: int, folder: str) -> dict[str, float]:
    """Send to the private Slurm with submitit alone."""
    from aifactory_lab.fleet import private

    os.environ["SLURM_CONF"] = str(private.status(folder).conf)
    import submitit

    executor = submitit.SlurmExecutor(Path(folder) / "plain")
    executor.update_parameters(account="vision", time=60, gpus_per_node=1)
    return _timed(_submitit(executor), alone, at_once)


def _fleet(fleet: Any, count: int, **options: Any) -> list[float]:
    return [job.result() for job in [fleet.submit(time.time, **options) for _ in range(count)]]


def _submitit(executor: Any) -> Send:
    return lambda count: [job.result() for job in [executor.submit(time.time) for _ in range(count)]]


def _timed(send: Send, alone: int, at_once: int) -> dict[str, float]:
    send(1)
    latency = []
    for _ in range(alone):
        sent = time.time()
        latency.append(send(1)[0] - sent)
    sent = time.time()
    return {"latency": median(latency), "rate": at_once / (max(send(at_once)) - sent)}


CONTESTANTS = {
    "the house on a workstation": ("workstation", False),
    "plain Dask, bare processes": ("dask", False),
    "plain submitit, local (no queue)": ("submitit_local", False),
    "the house on Slurm": ("slurm", True),
    "plain submitit on Slurm": ("submitit_slurm", True),
}


def main(*, quick: bool) -> list[Table]:
    """Run all in turn; those on Slurm where it is installed."""
    from aifactory_lab.fleet import private
    from aifactory_lab.fleet.private import programs

    alone, at_once, repeats = (3, 10, 1) if quick else (15, 100, 3)
    missing = programs.missing()
    with tempfile.TemporaryDirectory() as folder:
        if not missing:
            private.up(folder, nodes=1, gpus_per_node=SLOTS, projects={"vision": SLOTS}, pretend=True)
        try:
            runs: dict[str, list[dict[str, Any]]] = {}
            kwargs = {"alone": alone, "at_once": at_once, "folder": folder}
            for _ in range(repeats):
                for name, (function, needs_slurm) in CONTESTANTS.items():
                    if not (needs_slurm and missing):
                        told = run(Case(name, f"{HERE}:{function}", kwargs))
                        runs.setdefault(name, []).append(told["result"])
        finally:
            private.down(folder)
    return [_table(runs, at_once, missing)]


def _table(runs: dict[str, list[dict[str, Any]]], at_once: int, missing: Sequence[str]) -> Table:
    rows = [
        {
            "case": name,
            "from sending to starting, ms": round(1e3 * median(one["latency"] for one in told)),
            "jobs/s": round(median(one["rate"] for one in told), 2),
        }
        for name, told in runs.items()
    ]
    notes = [f"Latency of jobs sent alone; rate of {at_once} jobs sent at once to {SLOTS} GPUs (pretend where none)."]
    if missing:
        notes.append(f"Slurm is not measured: {', '.join(missing)} are not installed (make system-deps).")
    return Table("A job from its sending to its start", rows, notes)
