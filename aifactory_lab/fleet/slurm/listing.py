"""A job of Slurm as a row of the fleet's frame: what Slurm says, what was ordered, what the job wrote down itself.

This module asks nobody.

>>> written([{"rank": 0, "node": "n1", "devices": ["0", "1"]}])
['n1:0', 'n1:1']
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aifactory_lab.fleet.frames import ENDED, State
from aifactory_lab.fleet.orders import Order
from aifactory_lab.fleet.slurm.lanes import SPARE
from aifactory_lab.fleet.slurm.rows import Run


def row(
    run: Run,
    state: State,
    order: Order | None,
    starts: Sequence[Mapping[str, Any]],
    *,
    devices: Sequence[str] = (),
    attempts: int = 0,
) -> dict[str, Any]:
    """Return a row of `frames.JOBS`.

    Parameters
    ----------
    run
        What Slurm says, of the last attempt.
    order
        What was asked for; None for a job that was not sent by a fleet.
    starts
        What the job wrote down, for the devices of a job that has ended: Slurm forgets them.
    devices
        What it holds now, as Slurm says.
    attempts
        How often Slurm started it.
    """
    waits = state in {"PENDING", "REQUEUED"}
    return {
        "id": run.id,
        "name": run.name,
        "kind": order.kind if order else None,
        "project": run.project,
        "user": run.user,
        "priority": order.priority if order else None,
        "state": state,
        "reason": run.reason or None,
        "gpus": run.gpus,
        "nodes": run.nodes,
        "borrowed": run.qos == SPARE and state == "RUNNING" and run.gpus > 0,
        "devices": [] if waits else list(devices) or written(starts),
        "submitted": run.submitted,
        "started": None if waits else run.started,  # of a job that waits, Slurm's guess
        "ended": _ended(run) if state in ENDED else None,
        "hours": None if run.limit is None else run.limit / 3600,
        "attempts": attempts,
    }


def _ended(run: Run) -> datetime | None:
    """Return when a job ended: for one whose result is there, but which Slurm still runs, Slurm tells its limit."""
    return datetime.now(UTC) if run.running else run.ended


def age(told: Mapping[str, Any]) -> tuple[datetime, list[int]]:
    """Return by what rows are sorted: Slurm's times are whole seconds, its ids go on counting."""
    return told["submitted"] or datetime.max.replace(tzinfo=UTC), [int(n) for n in re.findall(r"\d+", told["id"])]


def written(starts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the devices that the processes of the last attempt saw, as ``node:index``."""
    last = {start["rank"]: start for start in starts}
    return [f"{start['node']}:{index}" for start in last.values() for index in start["devices"]]


def count(run: Run) -> int:
    """Return how often a job that the controller knows was started."""
    started = run.running or (run.ended is not None and run.started is not None)
    return run.restarts + int(started)


def counted(attempts: Sequence[Run]) -> int:
    """Return how often a job was started, by the books: they may miss when, of one that soon went back."""
    return sum(run.started is not None or run.word in {"REQUEUED", "PREEMPTED", "NODE_FAIL"} for run in attempts)
