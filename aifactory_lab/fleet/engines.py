"""Which scheduler runs the jobs, and why; what every scheduler must answer.

| engine | what it is |
|---|---|
| `slurm` | any Slurm that answers, the private one of `aifactory fleet up` included: quota, fair share, preemption |
| `workstation` | Dask's scheduler on this machine with counted GPUs: a queue with priorities |
| `inline` | the job runs at once in this process: for debugging |

`auto` takes Slurm where one answers, else the workstation. This module sends no jobs itself.

>>> choose("inline").reason
'inline was asked for'
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet.frames import State
from aifactory_lab.fleet.orders import Order

NAMES = ("slurm", "workstation", "inline")


class Engine(Protocol):
    """A scheduler. Frames are those of `fleet.frames`; ids are the engine's own, as strings.

    Attributes
    ----------
    name
        One of `NAMES`.
    reason
        Why it was chosen, and what it is, in words.
    limits
        What it cannot do, in words; empty if nothing is missing.
    folder
        Where submitit's files, orders and attempts of its jobs are.
    pretend
        Whether its GPUs are counted only, with nothing behind them.
    """

    name: str
    reason: str
    limits: str
    folder: Path
    pretend: bool

    def check(self, order: Order) -> None:
        """Raise `FleetError` if the order can never start: more GPUs than exist, an unknown project or job."""

    def send(self, calls: Sequence[Any], order: Order, *, at_most: int | None = None) -> list[Any]:
        """Send calls (submitit's `DelayedSubmission`) with one order; return submitit's jobs, in order.

        `at_most` bounds how many of them run at the same time. When it returns, the scheduler knows the jobs.
        """

    def attach(self, job_id: str) -> Any:
        """Return submitit's job of an id."""

    def state(self, job_id: str) -> State:
        """Return how a job stands, asked anew."""

    def cancel(self, job_id: str) -> None:
        """End a job, running or not; no error if it has ended."""

    def explain(self, job_id: str) -> str:
        """Say in one sentence why a job waits, who is in the way, and what would help; or how it runs or ended."""

    def jobs(self, since: datetime | None = None) -> pl.DataFrame:
        """Return what waits and runs, and what ended after `since`, newest first."""

    def nodes(self) -> pl.DataFrame:
        """Return the nodes."""

    def projects(self) -> pl.DataFrame:
        """Return the projects with quota and use."""

    def usage(self, since: datetime) -> pl.DataFrame:
        """Return GPU-hours by project and user, running jobs included."""


@dataclass(frozen=True)
class Choice:
    """An engine's name, and why it was chosen."""

    name: str
    reason: str


def choose(engine: str, folder: Path | str | None = None) -> Choice:
    """Resolve an engine's name, and say why.

    Raises
    ------
    FleetError
        If there is no such engine, or Slurm was asked for and none answers.
    """
    if engine not in ("auto", *NAMES):
        msg = f"unknown engine {engine!r}; it must be one of auto, {', '.join(NAMES)}"
        raise FleetError(msg, mend='Fleet("auto")')
    if engine in ("workstation", "inline"):
        return Choice(engine, f"{engine} was asked for")
    found = import_module("aifactory_lab.fleet.slurm.reach").reach(folder)
    if found.answers:
        return Choice("slurm", f"slurm was asked for: {found.reason}" if engine == "slurm" else f"auto: {found.reason}")
    if engine == "slurm":
        msg = f"no Slurm answers: {found.reason}"
        raise FleetError(msg, mend="aifactory fleet up")
    return Choice("workstation", f"auto: no Slurm answers ({found.reason})")


def build(choice: Choice, folder: Path | str | None = None, *, gpus: int | None = None) -> Engine:
    """Build the engine that was chosen; `gpus` is the number that a workstation counts, default what is there."""
    made: Engine
    if choice.name == "inline":
        made = import_module("aifactory_lab.fleet.inline").Inline(choice.reason, folder)
    elif choice.name == "workstation":
        made = import_module("aifactory_lab.fleet.workstation.engine").Workstation(choice.reason, folder, gpus=gpus)
    else:
        made = import_module("aifactory_lab.fleet.slurm.engine").Slurm(choice.reason, folder)
    return made
