"""A job's process: started in a session of its own with its GPUs and nothing else's, waited for, ended.

It outlives the engine; an engine that comes back finds it by pid and time of birth and waits for it as if it were its
own. This module knows neither the queue nor who is next.

>>> outcome(Path("no such result")) is None
True
"""

import os
import pickle
import pickletools
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from submitit.core.utils import JobPaths

from aifactory_lab.fleet.workstation.records import Ledger, Record

LOOK_SECONDS = 0.05
GONE_SECONDS = 10.0  # that the system may take to let go of a killed process
BORN_WITHIN = 0.05  # seconds: the system counts a process's birth in hundredths


def start(ledger: Ledger, record: Record) -> psutil.Process:
    """Start an attempt of a job; what an earlier one left half-written is taken away."""
    paths = JobPaths(ledger.folder, job_id=record.id)
    for left in (paths.result_pickle, *ledger.folder.glob(f"{record.id}_*.save_tmp")):
        left.unlink(missing_ok=True)
    own = {
        "SUBMITIT_EXECUTOR": "workstation",
        "SUBMITIT_WORKSTATION_JOB_ID": record.id,
        "CUDA_VISIBLE_DEVICES": ",".join(record.devices),
    }
    command = [record.python, "-u", "-m", "submitit.core._submit", str(ledger.folder)]
    with paths.stdout.open("ab") as out, paths.stderr.open("ab") as err:
        return psutil.Popen(
            command,
            cwd=record.folder if Path(record.folder).is_dir() else ledger.folder,
            env={**ledger.environment(record.id), **own},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )


def find(record: Record) -> psutil.Process | None:
    """Return the process of a record if it still lives."""
    try:
        process = psutil.Process(record.pid)
        same = abs(process.create_time() - record.born) <= BORN_WITHIN
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.NoSuchProcess, ValueError):
        return None


def wait(process: psutil.Process, until: float, stop: Callable[[], bool]) -> int | None:
    """Wait for a process to end; end it when its time is up or `stop` says so.

    Returns
    -------
    int or None
        Its return code, negative for the signal that killed it; None for a process that is not our child.
    """
    while True:
        try:
            code: int | None = process.wait(LOOK_SECONDS)
        except psutil.TimeoutExpired:
            if time.time() < until and not stop():
                continue
            end(process)
            return -signal.SIGKILL
        else:
            return code


def end(process: psutil.Process) -> None:
    """Kill a job's whole process group at once: submitit's own pass over a SIGTERM."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(psutil.Error):
        process.wait(GONE_SECONDS)


def outcome(path: Path) -> str | None:
    """Return ``"success"`` or ``"error"`` of a result's file, None if there is none, without running its pickle."""
    try:
        with path.open("rb") as file:
            words = (word for _, word, _ in _operations(file) if isinstance(word, str))
            return next(words, None)
    except FileNotFoundError:
        return None


def _operations(file: Any) -> Any:
    try:
        yield from pickletools.genops(file)
    except (ValueError, pickle.UnpicklingError):  # a torn file has no words
        return
