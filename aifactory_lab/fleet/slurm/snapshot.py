"""One look at Slurm, shared by everybody in this process for two seconds: the queue, the nodes, the books, the shares.

A board, twenty waiting jobs and a cell that asks for `projects()` put one question to the controller, not thirty. The
books (projects, quotas) change by hand only and are kept for longer. This module judges nothing.

>>> Snapshot([], [], {}, {}, {}).quota("vision") is None
True
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from aifactory_lab.fleet.slurm import commands, rows
from aifactory_lab.fleet.slurm.lanes import SPARE, quota_qos

LIVE_SECONDS = 2.0
BOOKS_SECONDS = 30.0

Answer = TypeVar("Answer")
_kept: dict[tuple[str, Path | None], tuple[float, Any]] = {}
_lock = threading.RLock()


@dataclass(frozen=True)
class Snapshot:
    """What Slurm told at one moment.

    Attributes
    ----------
    queue
        Jobs that wait or run, and those that ended some minutes ago (Slurm's MinJobAge).
    nodes, books, accounts, shares
        Nodes; QOS by name; by account and user the QOS they may name; the fair-share factor by account and user.
    """

    queue: list[rows.Run]
    nodes: list[rows.Node]
    books: dict[str, rows.Qos]
    accounts: dict[str, dict[str, tuple[str, ...]]]
    shares: dict[tuple[str, str], float]
    by_id: dict[str, rows.Run] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_id", {job.id: job for job in self.queue})

    def quota(self, project: str) -> int | None:
        """Return how many GPUs a project may claim; None if nothing is written down."""
        qos = self.books.get(quota_qos(project))
        return qos.gpus if qos else None

    def running(self, project: str) -> list[rows.Run]:
        """Return a project's jobs that run."""
        return [job for job in self.queue if job.project == project and job.running]

    def used(self, project: str) -> int:
        """Return the GPUs that a project holds now, borrowed ones included."""
        return sum(job.gpus for job in self.running(project))

    def claimed(self, project: str) -> int:
        """Return the GPUs that a project's jobs claim from its quota, waiting ones included."""
        lane = quota_qos(project)
        return sum(job.gpus for job in self.queue if job.qos == lane and (job.running or job.pending))

    def borrowers(self) -> dict[str, int]:
        """Return by project the GPUs that it borrows: those in the spare lane, beyond its quota."""
        lent = {job.project: 0 for job in self.queue if job.running and job.qos == SPARE and job.gpus}
        for project in lent:
            spare = sum(job.gpus for job in self.running(project) if job.qos == SPARE)
            lent[project] = min(spare, max(0, self.used(project) - (self.quota(project) or 0)))
        return {project: gpus for project, gpus in lent.items() if gpus}

    def free(self) -> int:
        """Return the GPUs that nobody holds, on nodes that work."""
        return sum(node.gpus - node.used for node in self.nodes if node.state in {"idle", "mixed", "allocated"})


def look(conf: Path | None) -> Snapshot:
    """Return the last look at this Slurm, or a new one if it is older than `LIVE_SECONDS`.

    Raises
    ------
    FleetError
        If the controller does not answer.
    """
    return shared("look", conf, LIVE_SECONDS, lambda: Snapshot(_queue(conf), nodes(conf), *_books(conf), _shares(conf)))


def devices(conf: Path | None) -> dict[str, list[str]]:
    """Return the GPUs of each running job by its raw id, as ``node:index``."""
    asked = ("scontrol", "-d", "-o", "show", "job")
    return shared("devices", conf, LIVE_SECONDS, lambda: rows.devices(commands.run(*asked, conf=conf)))


def nodes(conf: Path | None) -> list[rows.Node]:
    """Return the nodes, asked anew."""
    return rows.nodes(commands.run("scontrol", "-d", "-o", "show", "node", conf=conf))


def forget(conf: Path | None, *, books: bool = False) -> None:
    """Ask anew next time, since something was changed here; with `books`, about projects and quotas, too."""
    with _lock:
        for name in ("look", "devices", *(("books",) if books else ())):
            _kept.pop((name, conf), None)


def shared(name: str, conf: Path | None, age: float, ask: Callable[[], Answer]) -> Answer:
    """Return an answer that is at most so old; who comes meanwhile waits for the same one."""
    with _lock:
        told = _kept.get((name, conf))
        if told is None or monotonic() - told[0] > age:
            answer = ask()
            for old in [one for one, (when, _) in _kept.items() if monotonic() - when > BOOKS_SECONDS]:
                del _kept[old]
            told = _kept[name, conf] = (monotonic(), answer)
        kept: Answer = told[1]
        return kept


def _queue(conf: Path | None) -> list[rows.Run]:
    return rows.queue(commands.run("squeue", "-h", "-a", "-r", "-t", "all", "-O", rows.QUEUE, conf=conf))


def _books(conf: Path | None) -> tuple[Any, Any]:
    return shared("books", conf, BOOKS_SECONDS, lambda: _read(conf))


def _read(conf: Path | None) -> tuple[Any, Any]:
    qos = "show", "qos", "format=name,priority,grptres,maxtrespu,preempt,gracetime"
    return (
        rows.books(commands.books("sacctmgr", "-nP", *qos, conf=conf)),
        rows.accounts(commands.books("sacctmgr", "-nP", "show", "assoc", "format=account,user,qos", conf=conf)),
    )


def _shares(conf: Path | None) -> dict[tuple[str, str], float]:
    return rows.shares(commands.books("sshare", "-P", "-h", "-a", "-o", "Account,User,FairShare", conf=conf))
