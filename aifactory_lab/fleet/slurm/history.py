"""What ran on a Slurm: every attempt that its books hold, and the hours that they took.

The books (``sacct``) come some seconds after the controller, so what stands now is not asked here. Each attempt counts:
a preempted job used its GPUs twice. This module knows no live job.

>>> hours([]).height
0
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl

from aifactory_lab.fleet import frames
from aifactory_lab.fleet.slurm import commands, rows, snapshot

LATELY_SECONDS = 30.0  # the controller forgets an ended job after its MinJobAge, 300 s by default
FOREVER = "2000-01-01T00:00:00"


def attempts(conf: Path | None, since: datetime | None = None, *, truncate: bool = False) -> list[rows.Run]:
    """Return the attempts that ended after `since` or still run, oldest first.

    With `truncate`, what lay before `since` does not count as elapsed.
    """
    start = since.strftime("%Y-%m-%dT%H:%M:%S") if since else FOREVER
    flags = ["-T"] if truncate else []
    return rows.past(
        commands.books("sacct", "-X", "-P", "-n", "-D", "-a", *flags, "-S", start, "-o", rows.PAST, conf=conf)
    )


def lately(conf: Path | None, since: datetime | None) -> list[rows.Run]:
    """Return the attempts that ended after `since`, at least: of a minute or less ago the controller itself tells."""
    start = since.replace(second=0, microsecond=0) if since else None
    return snapshot.shared(f"history since {start}", conf, LATELY_SECONDS, lambda: attempts(conf, start))


def of(conf: Path | None, job_id: str) -> list[rows.Run]:
    """Return the attempts of one job, oldest first."""
    told = rows.past(commands.books("sacct", "-X", "-P", "-n", "-D", "-j", job_id, "-o", rows.PAST, conf=conf))
    return [run for run in told if run.id == job_id]


def by_job(told: Iterable[rows.Run]) -> dict[str, list[rows.Run]]:
    """Return the attempts of each job."""
    found: dict[str, list[rows.Run]] = {}
    for run in told:
        found.setdefault(run.id, []).append(run)
    return found


def hours(told: Sequence[rows.Run]) -> pl.DataFrame:
    """Return GPU-hours and CPU-hours by project and user: the columns of `frames.USAGE`, most GPU-hours first."""
    columns = {
        "project": pl.String,
        "user": pl.String,
        "id": pl.String,
        "gpu_hours": pl.Float64,
        "cpu_hours": pl.Float64,
    }
    used = [
        (run.project, run.user, run.id, run.gpus * run.elapsed / 3600, run.cpus * run.elapsed / 3600)
        for run in told
        if run.started
    ]
    summed = pl.DataFrame(used, schema=columns, orient="row").group_by("project", "user")
    counted = summed.agg(
        jobs=pl.col("id").n_unique().cast(pl.Int64),
        gpu_hours=pl.col("gpu_hours").sum(),
        cpu_hours=pl.col("cpu_hours").sum(),
    )
    return counted.select(list(frames.USAGE)).sort("gpu_hours", "project", "user", descending=[True, False, False])
