"""Processes that outlive their starter: spawned in sessions of their own, known again by pid and start time.

A pid file is on the disk before its daemon runs, and names the boot and the clock tick at which the process began, so
that nobody takes a stranger with the same number for it. This module does not know what the processes do.

>>> Record(1, 0, "another boot").alive
False
"""

import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from aifactory_lab.fleet.births import boot, tick

# The shell writes its own number down, then becomes the daemon: no daemon runs that nobody knows of.
LAUNCH = (
    'cd "$1" && echo $$ $(cut -d" " -f22 /proc/$$/stat) $(cat /proc/sys/kernel/random/boot_id || echo -) >"$2"'
    ' && shift 2 && exec "$@"'
)
LOOK_SECONDS = 0.02
ASKED_TIMES = 5


@dataclass(frozen=True)
class Record:
    """One process, in a way that is never another's: see `fleet.births`."""

    pid: int
    ticks: int
    boot: str

    @property
    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return self.boot == boot() and self.ticks == tick(self.pid)


def recorded(file: Path) -> Record | None:
    """Return the process that a pid file names, if it runs."""
    with suppress(OSError, ValueError):
        pid, ticks, since = file.read_text().split()
        record = Record(int(pid), int(ticks), since)
        return record if not _ended(record) else None
    return None


def spawn(command: Sequence[str], *, folder: Path, pid_file: Path, log: Path, environment: Mapping[str, str]) -> None:
    """Start a daemon in a session of its own, which writes to `log` and reads nothing.

    `os.posix_spawn` rather than `subprocess`: nobody keeps a handle on what shall outlive us.
    """
    arguments = ["sh", "-c", LAUNCH, "sh", str(folder), str(pid_file), *command]
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    pid_file.unlink(missing_ok=True)
    heard = [signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGHUP]  # Python, or a shell, may ignore these
    pid = os.posix_spawn(
        "/bin/sh", arguments, dict(environment), file_actions=files, setsid=True, setsigmask=[], setsigdef=heard
    )
    until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"), 10.0, gone=lambda: _reaped(pid))


def until(true: Callable[[], bool], seconds: float, *, gone: Callable[[], bool] = lambda: False) -> bool:
    """Wait until something holds; return False if it does not in time, or what it depends on is gone."""
    stop, pause = time.monotonic() + seconds, LOOK_SECONDS
    while not true():
        if time.monotonic() > stop or gone():
            return true()
        time.sleep(pause)
        pause = min(0.2, pause * 1.3)
    return True


def stop(records: Iterable[Record], seconds: float) -> None:
    """Ask processes to end, and kill those that have not after `seconds`.

    They are asked more than once: a daemon that is just starting may not hear the first word (MariaDB).
    """
    waiting = [record for record in records if record.alive]
    for word in [signal.SIGTERM] * ASKED_TIMES + [signal.SIGKILL]:
        for record in waiting:
            if record.alive:
                with suppress(ProcessLookupError):
                    os.kill(record.pid, word)
        if until(lambda: all(_ended(record) for record in waiting), seconds / ASKED_TIMES):
            return


def jobs_left(conf: Path) -> list[Record]:
    """Return the processes of jobs that a Slurm of this configuration started, and of those who watch over them."""
    found: dict[int, Record] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            told = process.environ()
            if told.get("SLURM_CONF") == str(conf) and "SLURM_JOB_ID" in told and process.pid != os.getpid():
                family = [process, *(above for above in process.parents() if above.name() == "slurmstepd")]
                found |= {one.pid: known for one in family if (known := _record(one.pid))}
    return list(found.values())


def _record(pid: int) -> Record | None:
    began = tick(pid)
    return None if began is None else Record(pid, began, boot())


def _ended(record: Record) -> bool:
    _reaped(record.pid)
    return not record.alive


def _reaped(pid: int) -> bool:
    """Take leave of a child that has ended; what is no child of ours is its parent's to bury."""
    with suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return False
