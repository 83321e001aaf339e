"""The daemons of a private Slurm: one description each, in the order in which they need one another.

| daemon | needs | answers when |
|---|---|---|
| `munged` | its key | its socket takes a connection |
| `mariadbd` | its tables | its socket greets |
| `slurmdbd` | both | `sacctmgr` gets an answer |
| `slurmctld` | `slurmdbd`, and its cluster known there | `scontrol ping` says UP |
| a `slurmd` for each node | `slurmctld` | `sinfo` says that the node answers |

This module describes; `plant` starts and stops.

>>> Daemon("echo", ("echo", "hello"), lambda: True).before() is None
True
"""

import re
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aifactory_lab.aside import folder_aside, write_text
from aifactory_lab.errors import FleetError
from aifactory_lab.fleet.private import configuration, programs
from aifactory_lab.fleet.private.layout import Layout
from aifactory_lab.fleet.private.places import Places

NOT_ANSWERING = ("*", "unknown", "down")


@dataclass(frozen=True)
class Daemon:
    """One process of a plant.

    Attributes
    ----------
    name
        What its log and its pid file are called.
    command
        How it is started; it stays in the foreground.
    answers
        Whether it does its work.
    before
        What must have been done before it starts.
    stop_seconds
        How long it may take to end by itself.
    """

    name: str
    command: tuple[str, ...]
    answers: Callable[[], bool]
    before: Callable[[], None] = lambda: None
    stop_seconds: float = 15.0


def waves(places: Places, layout: Layout, run: Path) -> list[list[Daemon]]:
    """Return the daemons of a plant; those of one wave need only those of the waves before."""
    told = programs.environment(places.conf, run / "mariadb.sock")
    munge = _munged(places, run / "munge.sock")
    database = _mariadbd(places, run / "mariadb.sock")
    accounts = Daemon(
        "slurmdbd", (programs.program("slurmdbd"), "-D"), lambda: _answers(["sacctmgr", "-n", "list", "cluster"], told)
    )
    control = Daemon(
        "slurmctld",
        (programs.program("slurmctld"), "-D", "-f", str(places.conf)),
        lambda: _answers(["scontrol", "ping"], told),
        lambda: _before_slurmctld(places, told),
    )
    return [[munge, database], [accounts], [control], [_slurmd(name, places.conf, told) for name in layout.names]]


def _munged(places: Places, at: Path) -> Daemon:
    run = at.parent
    command = (
        programs.program("munged"),
        "--foreground",
        "--force",  # the folder is closed to others, on purpose: this munge is nobody else's
        f"--socket={at}",
        f"--key-file={places.key}",
        f"--pid-file={run / 'munged.pid'}",
        f"--seed-file={places.folder / 'munge.seed'}",
        f"--log-file={places.log('munged')}",
        "--origin=127.0.0.1",
    )
    return Daemon("munged", command, lambda: _connects(at), lambda: configuration.make_key(places.key))


def _mariadbd(places: Places, at: Path) -> Daemon:
    command = (programs.program("mariadbd"), f"--defaults-file={places.cnf}")
    return Daemon("mariadbd", command, lambda: _greets(at), lambda: _tables(places), stop_seconds=60.0)


def _slurmd(name: str, conf: Path, told: Mapping[str, str]) -> Daemon:
    command = (programs.program("slurmd"), "-D", "-N", name, "-f", str(conf))
    return Daemon(name, command, lambda: _node_answers(name, told))


def _connects(at: Path) -> bool:
    with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(at))
        return True
    return False


def _greets(at: Path) -> bool:
    with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5.0)
        client.connect(str(at))
        return bool(client.recv(16))
    return False


def _answers(command: list[str], told: Mapping[str, str]) -> bool:
    well, said = programs.ask(command, told)
    return well and "DOWN" not in said


def _node_answers(name: str, told: Mapping[str, str]) -> bool:
    well, said = programs.ask(["sinfo", "-h", "-N", "-n", name, "-o", "%T"], told)
    return well and bool(said) and not any(word in said for word in NOT_ANSWERING)


def _tables(places: Places) -> None:
    """Make MariaDB's own tables, once, for the user who is at its socket and for nobody else."""
    if places.database.exists():
        return
    user = programs.user()
    with folder_aside(places.database) as aside:
        aside.chmod(0o700)
        wishes = [f"--datadir={aside}", f"--user={user}", f"--auth-root-socket-user={user}"]
        command = ["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=socket", "--skip-test-db"]
        well, said = programs.ask([*command, *wishes], programs.environment(places.conf, aside))
        if not well:
            msg = f"MariaDB cannot make its tables: {said.splitlines()[-1] if said else 'no word why'}"
            raise FleetError(msg, mend=f"df -h {places.folder}  # is there space?")


def _before_slurmctld(places: Places, told: Mapping[str, str]) -> None:
    well, said = programs.ask(["sacctmgr", "-i", "add", "cluster", configuration.CLUSTER], told)
    if not well and "already exists" not in said:
        msg = f"slurmdbd does not take the cluster: {said}"
        raise FleetError(msg, mend="aifactory fleet down; aifactory fleet up")
    write_text(places.first_job, f"FirstJobId={1 + max(last_with_files(places), last_accounted(places, told))}\n")


def last_with_files(places: Places) -> int:
    """Return the highest id that a job's files are named after."""
    names = (re.match(r"\d+(?=_)", path.name) for path in places.jobs.glob("*_*"))
    return max((int(name[0]) for name in names if name), default=0)


def last_accounted(places: Places, told: Mapping[str, str]) -> int:
    """Return the highest id in the books, which only counts if slurmctld has lost its own memory."""
    if (places.state / "job_state").exists():
        return 0
    well, said = programs.ask(["sacct", "-a", "-n", "-X", "-P", "-o", "JobIDRaw", "-S", "1970-01-02"], told)
    return max((int(word) for word in said.split() if well and word.isdigit()), default=0)
