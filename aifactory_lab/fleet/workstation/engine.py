"""The engine of a machine without Slurm: see `fleet.engines.Engine` for what it answers.

Jobs wait in Dask's queue for counted GPUs (`workstation.queue`), in a process that every notebook of this user shares
and that outlives them and starts with the first job. It keeps no quota: that needs Slurm, and `limits` says so.

>>> Workstation.limits.split(":")[0]
'quota, fair share and preemption need Slurm'
"""

import os
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab import device
from aifactory_lab.errors import FleetError
from aifactory_lab.fleet import frames
from aifactory_lab.fleet.folders import made, root
from aifactory_lab.fleet.frames import State
from aifactory_lab.fleet.orders import Order
from aifactory_lab.fleet.workstation import processes, sentences
from aifactory_lab.fleet.workstation.connection import Connection, Note
from aifactory_lab.fleet.workstation.plugin import WorkstationExecutor, WorkstationJob
from aifactory_lab.fleet.workstation.records import Ledger, Record


class Workstation:
    """The machine as a plant of one node.

    Parameters
    ----------
    reason
        Why it was chosen.
    folder
        The fleet's.
    gpus
        How many GPUs to count; default those of the engine that is there, else those that the driver sees.

    Raises
    ------
    FleetError
        If an engine is there that counts another number.
    """

    name = "workstation"
    limits = "quota, fair share and preemption need Slurm: aifactory fleet up"

    def __init__(self, reason: str, folder: Path | str | None = None, *, gpus: int | None = None) -> None:
        home = root(folder)
        self.folder = made(home / "jobs" / "workstation")
        self.ledger = Ledger(self.folder)
        seen = len(device.current("auto", needs=()).gpus)
        known = Connection(home).note
        count = gpus if gpus is not None else known.gpus if known else seen
        self.pretend = count > seen
        self._connection = Connection(home, count, pretend=self.pretend)
        self.gpus = count
        if known and known.lives:
            self._agree(known)
        words = f"{count} pretend GPUs: counted, with nothing behind them" if self.pretend else f"{count} GPUs"
        self.reason = f"{reason}; this machine, {words}"

    def check(self, order: Order) -> None:
        """Refuse what one machine can never start.

        Raises
        ------
        FleetError
            More GPUs or nodes than there are, or an unknown job to come after.
        """
        if order.gpus > self.gpus:
            msg = f"{order.gpus} GPUs were asked for; this machine has {self.gpus}"
            pretend = f'Fleet("workstation", gpus={order.gpus})  # pretend GPUs, after fleet.engine.stop()'
            raise FleetError(msg, mend=f"fleet.submit(fn, …, gpus={self.gpus})" if self.gpus else pretend)
        if order.nodes > 1:
            msg = f"a workstation is one node; {order.nodes} were asked for"
            raise FleetError(msg, mend="aifactory fleet up  # a private Slurm with several nodes")
        if unknown := [job_id for job_id in order.after if not self.ledger.has(job_id)]:
            msg = f"there is no job {unknown[0]!r} to come after"
            raise FleetError(msg, mend="fleet.jobs()  # their ids")

    def send(self, calls: Sequence[Any], order: Order, *, at_most: int | None = None) -> list[Any]:
        """Put calls into the queue, once the engine is there."""
        self._agree(self._connection.ensure())
        executor = WorkstationExecutor(self.folder, lambda ids: self._tell("submit", list(ids)))
        executor.order, executor.at_most = order, at_most
        jobs: list[Any] = executor._internal_process_submissions(list(calls))  # noqa: SLF001 - submitit's own hook
        return jobs

    def attach(self, job_id: str) -> Any:
        """Return submitit's job of an id."""
        return WorkstationJob(self.folder, job_id)

    def state(self, job_id: str) -> State:
        """Return how a job stands; an engine that died is started again, so that it can go on."""
        record = self.ledger.load(job_id)
        if not record.ended and not self._connection.lives:
            self._connection.ensure()
        if record.state == "RUNNING" and processes.outcome(self.attach(job_id).paths.result_pickle) == "success":
            return "COMPLETED"  # its result is there; the engine sees its process end in a moment
        return record.state

    def cancel(self, job_id: str) -> None:
        """End a job, running or not."""
        if not self.ledger.load(job_id).ended:
            self._tell("cancel", job_id)

    def explain(self, job_id: str) -> str:
        """Say in one sentence why a job waits, or how it runs or ended."""
        return sentences.explain(self.ledger.load(job_id), list(self._open()), self.gpus, self.limits)

    def jobs(self, since: datetime | None = None) -> pl.DataFrame:
        """Return what waits and runs, and what ended after `since`, newest first."""
        records = [one for one in self.ledger.all() if since is None or _lately(one, since)]
        return frames.frame(frames.JOBS, [_row(record) for record in reversed(records)])

    def nodes(self) -> pl.DataFrame:
        """Return this machine."""
        running = [record for record in self._open() if record.state == "RUNNING"]
        used = sum(record.order.gpus for record in running)
        state = "idle" if not running else "allocated" if used == self.gpus > 0 else "mixed"
        row = {
            "node": socket.gethostname(),
            "state": state,
            "gpus": self.gpus,
            "used": used,
            "cpus": os.cpu_count(),
            "cpus_used": min(os.cpu_count() or 1, sum(record.order.cpus for record in running)),
            "jobs": [record.id for record in running],
        }
        return frames.frame(frames.NODES, [row])

    def projects(self) -> pl.DataFrame:
        """Return who uses and who waits; no quota is kept here."""
        named: dict[str, dict[str, Any]] = {}
        for record in self._open():
            row = named.setdefault(record.order.project, dict.fromkeys(("used", "waiting", "running", "pending"), 0))
            runs = record.state == "RUNNING"
            row["used" if runs else "waiting"] += record.order.gpus
            row["running" if runs else "pending"] += 1
        rows = [{"project": name, "borrowed": 0, **row} for name, row in sorted(named.items())]
        return frames.frame(frames.PROJECTS, rows)

    def usage(self, since: datetime) -> pl.DataFrame:
        """Return GPU-hours by project and user, of all attempts."""
        used: dict[tuple[str, str], dict[str, Any]] = {}
        for record in self.ledger.all():
            if hours := _hours(record, since.timestamp()):
                order = record.order
                row = used.setdefault((order.project, order.user), {"jobs": 0, "gpu_hours": 0.0, "cpu_hours": 0.0})
                row["jobs"] += 1
                row["gpu_hours"] += hours * order.gpus
                row["cpu_hours"] += hours * order.cpus
        rows = [{"project": project, "user": user, **row} for (project, user), row in sorted(used.items())]
        return frames.frame(frames.USAGE, rows)

    def stop(self) -> None:
        """End the engine; running jobs live on, waiting ones wait for the next engine."""
        self._connection.stop()

    def _open(self) -> list[Record]:
        return [record for record in self.ledger.all() if not record.ended]

    def _agree(self, note: Note) -> None:
        if note.gpus != self.gpus:
            msg = f"the engine of {self._connection.folder} counts {note.gpus} GPUs, not {self.gpus}"
            raise FleetError(msg, mend=f'Fleet("workstation", gpus={note.gpus})  # or fleet.engine.stop() first')

    def _tell(self, operation: str, *words: Any) -> None:
        self._connection.call(operation, *words)


def _row(record: Record) -> dict[str, Any]:
    order, node = record.order, socket.gethostname()
    told = {name: getattr(order, name) for name in frames.JOBS if hasattr(order, name)}
    last = record.spans[-1] if record.spans else []
    times = {
        "submitted": _moment(record.submitted),
        "started": _moment(last[0] if last else None),
        "ended": _moment(last[1] if record.ended and len(last) > 1 else None),
    }
    own = {"id": record.id, "state": record.state, "reason": record.reason, "borrowed": False}
    devices = [f"{node}:{index}" for index in record.devices]
    return {**told, **own, **times, "devices": devices, "attempts": len(record.spans)}


def _hours(record: Record, since: float) -> float:
    now = time.time()
    return sum(max(0.0, (span[1] if len(span) > 1 else now) - max(span[0], since)) for span in record.spans) / 3600


def _lately(record: Record, since: datetime) -> bool:
    ended = record.spans[-1][-1] if record.spans else record.submitted
    return not record.ended or ended >= since.timestamp()


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
