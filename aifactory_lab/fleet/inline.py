"""The engine without a queue: a job runs at once, in this process, and its errors can be debugged there.

It counts no GPUs and knows no other user. Its files are like every other engine's.

>>> Inline("for this example").limits
'no queue: a job runs at once in this process; it counts no GPUs and keeps no quota'
"""

import os
import traceback
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab.errors import FleetError, require
from aifactory_lab.fleet import frames
from aifactory_lab.fleet.folders import made, order_file, root, trusted
from aifactory_lab.fleet.frames import State
from aifactory_lab.fleet.orders import Order


class Inline:
    """See the module; the protocol is `fleet.engines.Engine`."""

    name = "inline"
    limits = "no queue: a job runs at once in this process; it counts no GPUs and keeps no quota"
    pretend = False

    def __init__(self, reason: str, folder: Path | str | None = None) -> None:
        self.reason = reason
        self.folder = root(folder) / "jobs" / "inline"

    def check(self, order: Order) -> None:
        """Refuse more than one node; GPUs are not counted here.

        Raises
        ------
        FleetError
            If there are more nodes than this process.
        """
        if order.nodes > 1:
            msg = f"inline runs in this process: one node, not {order.nodes}"
            raise FleetError(msg, mend='Fleet("slurm")')

    def send(self, calls: Sequence[Any], order: Order, *, at_most: int | None = None) -> list[Any]:
        """Run the calls one after the other, so never more than `at_most` at a time."""
        del at_most
        made(self.folder)
        return [self._run(call, order) for call in calls]

    def attach(self, job_id: str) -> Any:
        """Return the files of a job that ran."""
        return _Ran(self.folder, job_id)

    def state(self, job_id: str) -> State:
        """Return how a job ended."""
        paths = _Ran(self.folder, job_id).paths
        if not paths.result_pickle.exists():
            return "CANCELLED"  # its process died while it ran
        outcome, _ = require("submitit.core.utils", extra="fleet").pickle_load(trusted(paths.result_pickle))
        return "COMPLETED" if outcome == "success" else "FAILED"

    def cancel(self, job_id: str) -> None:
        """Do nothing: a job has ended when it is sent."""

    def explain(self, job_id: str) -> str:
        """Say how a job ended."""
        return f"job {job_id} ran at once in the process that sent it, and is {self.state(job_id)}"

    def jobs(self, since: datetime | None = None) -> pl.DataFrame:
        """Return the jobs that ran."""
        rows = [self._row(path) for path in self.folder.glob("*_order.json")]
        told = frames.frame(frames.JOBS, rows).sort("submitted", descending=True)
        return told.filter(pl.col("ended") >= since) if since else told

    def nodes(self) -> pl.DataFrame:
        """Return no node: nothing is counted."""
        return frames.empty(frames.NODES)

    def projects(self) -> pl.DataFrame:
        """Return no project: no quota is kept."""
        return frames.empty(frames.PROJECTS)

    def usage(self, since: datetime) -> pl.DataFrame:
        """Return the hours that jobs took, as if the GPUs that they asked for had been there."""
        told = self.jobs(since)
        hours = (pl.col("ended") - pl.col("started")).dt.total_microseconds() / 3.6e9
        used = told.group_by("project", "user").agg(
            jobs=pl.len().cast(pl.Int64), gpu_hours=(hours * pl.col("gpus")).sum(), cpu_hours=hours.sum()
        )
        return used.select(pl.col(name).cast(kind) for name, kind in frames.USAGE.items()).sort("project", "user")

    def _run(self, call: Any, order: Order) -> "_Ran":
        ran = _Ran(self.folder, uuid.uuid4().hex[:8])
        files = ran.paths
        order.save(order_file(self.folder, ran.job_id))
        call.dump(files.submitted_pickle)
        with (
            files.stdout.open("w") as out,
            files.stderr.open("w") as err,
            redirect_stdout(out),
            redirect_stderr(err),
            _inside(ran),
        ):
            try:
                outcome = ("success", call.result())
            except Exception:  # noqa: BLE001 - whatever a user's function raises is the job's result
                outcome = ("error", traceback.format_exc())
                err.write(outcome[1])
        utils = require("submitit.core.utils", extra="fleet")
        with utils.temporary_save_path(files.result_pickle) as aside:
            utils.cloudpickle_dump(outcome, aside)
        return ran

    def _row(self, path: Path) -> dict[str, Any]:
        ran = _Ran(self.folder, path.name.removesuffix("_order.json"))
        order, started = Order.load(path), _time(ran.paths.submitted_pickle)
        told = {name: getattr(order, name) for name in frames.JOBS if hasattr(order, name)}
        ended = _time(ran.paths.result_pickle)
        own = {"id": ran.job_id, "state": self.state(ran.job_id), "reason": "inline", "borrowed": False, "attempts": 1}
        return {**told, **own, "devices": [], "submitted": started, "started": started, "ended": ended}


class _Ran:
    """The files of a job that ran, as submitit names them."""

    def __init__(self, folder: Path, job_id: str) -> None:
        self.job_id = job_id
        self.paths = require("submitit.core.utils", extra="fleet").JobPaths(folder, job_id=job_id)


@contextmanager
def _inside(ran: _Ran) -> Iterator[None]:
    """Let code find the job that it runs in, as on every engine: by submitit's `JobEnvironment`."""
    told = {"SUBMITIT_DEBUG_JOB_ID": ran.job_id, "SUBMITIT_FOLDER": str(ran.paths.folder)}
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _time(path: Path) -> datetime | None:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC) if path.exists() else None
