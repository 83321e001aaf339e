"""GPUs that are allocated and do nothing: who holds them, and since when.

A real GPU of this machine is idle while its driver says so. A pretend one has nothing to measure, so its job counts as
idle while its processes here use no CPU. What runs on other machines is not judged. This module frees nothing:
`job.cancel()` does, if its owner wants.

>>> watch = Idleness(lambda jobs, now: {"7": Reading(0.0, "GPU")}, patience=60.0)
>>> watch.observe([], now=0.0), [one.since for one in watch.observe([], now=61.0)]
([], [0.0])
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from aifactory_lab.errors import TelemetryError
from aifactory_lab.fleet.calls import attempts
from aifactory_lab.telemetry.nvml.source import NvmlSource

PATIENCE = 120.0  # seconds without work before anybody is pointed at
BUSY_PERCENT = 1.0  # below, a GPU or a core does nothing
Rows = Sequence[Mapping[str, Any]]  # of `frames.JOBS`


@dataclass(frozen=True)
class Reading:
    """How busy a job's GPUs are, in percent, and by what that is known."""

    percent: float
    by: str


@dataclass(frozen=True)
class Idle:
    """A job whose GPUs do nothing, since when (seconds since the epoch), and by what that is known."""

    job: str
    devices: tuple[str, ...]
    since: float
    by: str


Busy = Callable[[Rows, float], Mapping[str, Reading]]


class Idleness:
    """Who has held GPUs without using them for some time.

    Parameters
    ----------
    busy
        Returns by job's id how busy its GPUs are; what it does not name is not judged.
    patience
        Seconds.

    Attributes
    ----------
    judged
        The jobs of the last look that could be judged.
    """

    def __init__(self, busy: Busy, patience: float = PATIENCE) -> None:
        self._busy, self._patience = busy, patience
        self._since: dict[str, float] = {}
        self.judged: frozenset[str] = frozenset()

    def observe(self, jobs: Rows, now: float) -> list[Idle]:
        """Look at the running jobs at a moment (seconds since the epoch); return those that were idle for long."""
        readings = self._busy(jobs, now)
        self.judged = frozenset(readings)
        quiet = [job for job, reading in readings.items() if reading.percent < BUSY_PERCENT]
        self._since = {job: self._since.get(job, now) for job in quiet}
        devices = {job["id"]: tuple(job["devices"] or ()) for job in jobs}
        long = {job: since for job, since in self._since.items() if now - since >= self._patience}
        return [Idle(job, devices.get(job, ()), since, readings[job].by) for job, since in long.items()]


class Processes:
    """How busy the processes of jobs with GPUs are: the CPU time of each with its children, on this machine.

    Parameters
    ----------
    folder
        Where the engine keeps its jobs' files.
    """

    by = "CPU time"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before: dict[str, tuple[float, float]] = {}

    def __call__(self, jobs: Rows, now: float) -> dict[str, Reading]:
        """Return a reading for each job whose processes are all here and were seen before."""
        spent: dict[str, tuple[float, float]] = {}
        for job in jobs:
            if job["gpus"] and (found := here(self._folder, job["id"])):
                spent[job["id"]] = (now, sum(_family_seconds(process) for process, _ in found))
        known = {job: (self._before[job], after) for job, after in spent.items() if job in self._before}
        self._before = spent
        return {job: Reading(_percent(*both), self.by) for job, both in known.items() if both[1][0] > both[0][0]}

    def close(self) -> None:
        """Hold nothing."""


class Gpus:
    """How busy the GPUs of jobs are, as the driver of this machine says.

    Raises
    ------
    TelemetryError
        If there is no GPU here.
    """

    by = "GPU"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._driver = NvmlSource()
        _ = self._driver.layout

    def __call__(self, jobs: Rows, now: float) -> dict[str, Reading]:
        """Return a reading for each job whose processes are all here."""
        del now
        snapshot = self._driver.sample()
        paths = [entity.path[-1] for entity in snapshot.layout.entities]
        busy = dict(zip(paths, snapshot.column("busy").tolist(), strict=True))
        found = {}
        for job in jobs:
            starts = here(self._folder, job["id"]) if job["gpus"] else None
            shares = [busy.get(f"gpu {index}") for _, start in starts or () for index in start["devices"]]
            known = [share for share in shares if share is not None and not math.isnan(share)]
            if shares and len(known) == len(shares):
                found[job["id"]] = Reading(max(known), self.by)
        return found

    def close(self) -> None:
        """Let go of the driver."""
        self._driver.close()


def measured(folder: Path, *, pretend: bool) -> Gpus | Processes:
    """Return what tells how busy an engine's jobs are: its GPUs if they are real and here, else their processes."""
    if not pretend:
        try:
            return Gpus(folder)
        except TelemetryError:  # no GPU on this machine: a cluster's jobs run elsewhere
            pass
    return Processes(folder)


def here(folder: Path, job_id: str) -> list[tuple[psutil.Process, dict[str, Any]]]:
    """Return the processes of a job's last start with what they wrote down; nothing if one is not on this machine."""
    latest = {one["rank"]: one for one in attempts(folder, job_id)}
    found = [(process, one) for one in latest.values() if (process := _process(one, folder)) is not None]
    return found if len(found) == len(latest) else []


def _process(start: Mapping[str, Any], folder: Path) -> psutil.Process | None:
    """Return the process that wrote down a start; the same number may be another process, here or later."""
    try:
        process = psutil.Process(start["pid"])
        ours = process.create_time() <= start["time"] + 1 and any(str(folder) in word for word in process.cmdline())
    except psutil.Error:
        return None
    return process if ours else None


def _family_seconds(process: psutil.Process) -> float:
    """Return the CPU seconds of a process and of all that it started."""
    total = 0.0
    try:
        for one in (process, *process.children(recursive=True)):
            told = one.cpu_times()
            total += told.user + told.system + getattr(told, "children_user", 0) + getattr(told, "children_system", 0)
    except psutil.Error:  # one ended while it was asked: it was at work
        pass
    return total


def _percent(before: tuple[float, float], after: tuple[float, float]) -> float:
    return 100.0 * max(0.0, after[1] - before[1]) / (after[0] - before[0])
