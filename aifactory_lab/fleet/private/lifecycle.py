"""How a private Slurm's daemons begin and end: one after the other, and all or none; jobs hand over before the end.

What was started is stopped again if one of them does not answer, with the line of its log that explains. This module
knows no sizes and keeps nothing.

>>> import tempfile
>>> put_back(Places(tempfile.mkdtemp()), Path("/tmp"))
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet.private import configuration, processes, programs
from aifactory_lab.fleet.private.daemons import Daemon
from aifactory_lab.fleet.private.places import Places

ANSWER_SECONDS = 60.0  # that a daemon may take on a busy machine; about 1 s on an idle one
RUNNING = "R,S"  # running or suspended
HAND_OVER, HAND_OVER_SECONDS = "USR2", 15.0  # the signal that submitit knows for a preemption
REQUEUE_SECONDS = 30.0
TELLING = (re.compile("fatal", re.IGNORECASE), re.compile("error", re.IGNORECASE), re.compile(""))  # best first


def start(places: Places, every: list[list[Daemon]]) -> None:
    """Start what does not run, wave by wave; stop it again if one does not answer."""
    started: list[Daemon] = []
    try:
        for wave in every:
            missing = [daemon for daemon in wave if not processes.recorded(places.pid(daemon.name))]
            for daemon in missing:
                started.append(daemon)
                _spawn(places, daemon)
            for daemon in wave:
                _await(places, daemon)
    except BaseException:  # an interrupt, too, leaves nothing half started
        stop(places, started[::-1])
        raise


def _spawn(places: Places, daemon: Daemon) -> None:
    daemon.before()
    run = Path(places.load()["run"])
    told = programs.environment(places.conf, run / "mariadb.sock")
    log = places.log(daemon.name)
    if log.exists():
        log.replace(log.with_suffix(".log.old"))  # no log grows for ever, and what it says is of this start
    processes.spawn(daemon.command, folder=places.folder, pid_file=places.pid(daemon.name), log=log, environment=told)


def _await(places: Places, daemon: Daemon) -> None:
    gone: Callable[[], bool] = lambda: processes.recorded(places.pid(daemon.name)) is None  # noqa: E731
    if processes.until(daemon.answers, ANSWER_SECONDS, gone=gone):
        return
    log = places.log(daemon.name)
    if gone():
        msg = f"{daemon.name} ended at once: {_telling(log)}"
        raise FleetError(msg, mend=f"less {log}")
    msg = f"{daemon.name} runs and does not answer within {ANSWER_SECONDS:g} s: {_telling(log)}"
    raise FleetError(msg, mend="aifactory fleet down  # then up again")


def _telling(log: Path) -> str:
    """Return the line of a log that most likely says why."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    found = (line for telling in TELLING for line in reversed(lines) if telling.search(line))
    return next(found, "its log is empty")


def put_back(places: Places, run: Path) -> None:
    """Put what runs back into the queue; what cannot be put back is cancelled.

    The fleet's own jobs are asked first, as Slurm does when it preempts them: they write a checkpoint and go by
    themselves.
    """
    if not processes.recorded(places.pid("slurmctld")):
        return
    told = programs.environment(places.conf, run / "mariadb.sock")

    def busy(states: str) -> set[str]:
        well, said = programs.ask(["squeue", "-h", "-a", "-t", states, "-o", "%i"], told)
        return set(said.split()) if well else set()

    partition(told, "DOWN")  # else what is waiting, or has just gone back, starts meanwhile
    if ours := {job for job in busy(RUNNING) if (places.jobs / f"{job}_submitted.pkl").exists()}:
        programs.ask(["scancel", f"--signal={HAND_OVER}", *ours], told)
        processes.until(lambda: not ours & busy(RUNNING), HAND_OVER_SECONDS)
    for job in busy(RUNNING):  # not what is ending: a job that has just gone back would be cancelled
        if not programs.ask(["scontrol", "requeue", job], told)[0]:
            programs.ask(["scancel", job], told)
    processes.until(lambda: not busy(f"{RUNNING},CG"), REQUEUE_SECONDS)


def partition(told: Mapping[str, str], state: str) -> None:
    """Let Slurm start jobs, or no more; what runs goes on."""
    programs.ask(["scontrol", "update", f"PartitionName={configuration.PARTITION}", f"State={state}"], told)


def stop(places: Places, daemons: list[Daemon]) -> None:
    """Stop daemons in this order; what does not end in its time is killed."""
    for daemon in daemons:
        if record := processes.recorded(places.pid(daemon.name)):
            processes.stop([record], daemon.stop_seconds)
        places.pid(daemon.name).unlink(missing_ok=True)
