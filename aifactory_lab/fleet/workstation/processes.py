"""A job's process: started in a session of its own with its GPUs and nothing else's, waited for, ended.

It outlives the engine; an engine that comes back finds it by pid and time of birth and waits for it as if it were its
own. This module knows neither the queue nor who is next.

>>> outcome(Path("no such result")) is None
True
"""

import os
import pickle
import pickletools
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from submitit.core.utils import JobPaths

from aifactory_lab.fleet.births import birth
from aifactory_lab.fleet.workstation.records import Ledger, Record

LOOK_SECONDS = 0.5  # between two looks for a wish to end; the end itself is told by the system
GONE_SECONDS = 10.0  # that the system may take to let go of a killed process
JOB_ID = "SUBMITIT_WORKSTATION_JOB_ID"


def start(ledger: Ledger, record: Record) -> psutil.Process:
    """Start an attempt of a job; what an earlier one left half-written is taken away."""
    paths = JobPaths(ledger.folder, job_id=record.id)
    _tidy(paths, ledger.folder.glob(f"{record.id}_*.save_tmp"))
    own = {
        "SUBMITIT_EXECUTOR": "workstation",
        JOB_ID: record.id,
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


def find(ledger: Ledger, record: Record) -> psutil.Process | None:
    """Return the process of a record's last attempt if it still lives."""
    if not record.interrupted:
        return None
    if not record.pid:  # the engine died between starting it and writing its number down
        return next((one for one in psutil.process_iter() if _belongs(one, ledger.folder, record.id)), None)
    try:
        process = psutil.Process(record.pid)
    except psutil.NoSuchProcess:
        return None
    return process if birth(record.pid) == record.born != "" else None


def wait(process: psutil.Process, until: float, stop: Callable[[], bool]) -> int | None:
    """Wait for a process to end; end it when its time is up or `stop` says so.

    Returns
    -------
    int or None
        Its return code, negative for the signal that killed it; None for a process that is not our child.
    """
    with _watch(process.pid) as gone:
        while not gone(LOOK_SECONDS):
            if time.time() >= until or stop():
                end(process.pid)
                gone(GONE_SECONDS)
                _code(process)
                return -signal.SIGKILL
    code = _code(process)
    bury(process.pid)
    return code


def end(pid: int) -> None:
    """Kill a job's whole process group at once: submitit's own pass over a SIGTERM."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def bury(pid: int) -> None:
    """Kill what a job that has ended left behind: its children may hold its GPUs.

    While a group has members its number is given to nobody else: if nobody living has it, they are the job's.
    """
    if not birth(pid):
        end(pid)


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


@contextmanager
def _watch(pid: int) -> Iterator[Callable[[float], bool]]:
    """Yield a function that waits so many seconds for a process, our child or not, and tells whether it has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        yield lambda _: True
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    try:
        yield lambda seconds: bool(poll.poll(1000 * seconds))
    finally:
        os.close(descriptor)


def _code(process: psutil.Process) -> int | None:
    """Return how our child ended, None of another's: who that was left to may never ask."""
    return process.wait(GONE_SECONDS) if isinstance(process, psutil.Popen) else None


def _belongs(process: psutil.Process, folder: Path, job_id: str) -> bool:
    with suppress(psutil.Error, OSError):
        leads = os.getsid(process.pid) == process.pid and process.status() != psutil.STATUS_ZOMBIE
        return bool(leads and process.environ().get(JOB_ID) == job_id and process.cmdline()[-1:] == [str(folder)])
    return False


def _tidy(paths: JobPaths, half: Iterable[Path]) -> None:
    """Take away what a killed attempt left; a checkpoint that it had written whole but not yet named is named."""
    paths.result_pickle.unlink(missing_ok=True)
    for left in half:
        if not paths.submitted_pickle.exists() and left.name.startswith(paths.submitted_pickle.name):
            left.replace(paths.submitted_pickle)
        left.unlink(missing_ok=True)
