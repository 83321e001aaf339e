"""A private Slurm as one thing: brought up, repaired, looked at, taken down.

`up` does what is missing and nothing else, so that it may be called again at any time: after a reboot, or when a
daemon was killed. What it started is stopped again if one of them does not answer. Jobs that wait are still there
after `down` and `up`; jobs that run go back into the queue. (Slurm writes its memory down every few seconds: what was
sent in the last of them before `slurmctld` itself is killed is lost, as on any Slurm; its id is not given out again to
a job of ours.) This module does not know what the jobs are.

>>> import tempfile
>>> status(tempfile.mkdtemp()).words
'no private Slurm is here'
"""

import fcntl
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet.private import configuration, lifecycle, processes, programs
from aifactory_lab.fleet.private.daemons import waves
from aifactory_lab.fleet.private.layout import PRETEND, Layout, chosen
from aifactory_lab.fleet.private.places import Places, free_ports

State = Literal["up", "broken", "down"]


@dataclass(frozen=True)
class Plant:
    """A private Slurm.

    Attributes
    ----------
    folder
        The fleet's folder, as `Fleet("slurm", folder=…)` takes it.
    conf
        Its configuration: ``SLURM_CONF``.
    layout
        How large it is; None if there is none here.
    ports
        Where its daemons answer, on 127.0.0.1.
    processes
        Process ids by daemon; None for one that does not run.
    state
        ``"up"`` if every daemon runs and answers, ``"down"`` if none runs, else ``"broken"``.
    """

    folder: Path
    conf: Path
    layout: Layout | None = None
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, int | None] = field(default_factory=dict)
    state: State = "down"

    @property
    def pretend(self) -> bool:
        """Whether its GPUs are counted only."""
        return self.layout is not None and self.layout.pretend

    @property
    def note(self) -> str:
        """What must be said beside everything that it tells; empty for real GPUs."""
        return PRETEND if self.pretend else ""

    @property
    def words(self) -> str:
        """Its state as one would say it."""
        if self.layout is None:
            return "no private Slurm is here"
        silent = [name for name, pid in self.processes.items() if pid is None]
        broken = f", without {', '.join(silent)}" if silent else ", but does not answer"
        return f"{self.state}{broken if self.state == 'broken' else ''}: {self.layout.words}"


def up(
    folder: Path | str | None = None,
    *,
    nodes: int | None = None,
    gpus_per_node: int | None = None,
    cpus_per_node: int | None = None,
    projects: Mapping[str, int] | None = None,
    pretend: bool | None = None,
) -> Plant:
    """Start a private Slurm, or what is missing of it; about 10 s the first time.

    Parameters
    ----------
    folder
        The fleet's folder; default ``$AIFACTORY_FLEET`` or ``~/.aifactory/fleet``.
    nodes, gpus_per_node, cpus_per_node
        Its size. By default that of last time; the first time all GPUs of this machine on one node, or 4 nodes of 2
        pretend GPUs and 8 CPUs where there is none.
    projects
        How many GPUs each project may claim, for example ``{"vision": 4, "nlp": 4}``, which is also the default.
    pretend
        Whether GPUs are only counted; by default if there are not enough real ones.

    Raises
    ------
    FleetError
        If packages are missing, the size makes no sense or differs from what runs, or a daemon does not answer; then
        what was started is stopped again, and the message holds the line of its log that explains.
    """
    places = Places(folder)
    kept = places.load()
    wishes = {"nodes": nodes, "gpus_per_node": gpus_per_node, "cpus_per_node": cpus_per_node}
    layout = chosen(kept.get("layout"), **wishes, projects=projects, pretend=pretend)
    programs.needed()
    places.make()
    with _alone(places):
        return _up(places, layout)


def status(folder: Path | str | None = None) -> Plant:
    """Return the private Slurm of a folder as it is; changes nothing."""
    places = Places(folder)
    kept = places.load()
    if not kept:
        return Plant(places.root, places.conf)
    names = ["munged", "mariadbd", "slurmdbd", "slurmctld", *kept["layout"].names]
    found = {name: processes.recorded(places.pid(name)) for name in names}
    running = {name: record.pid if record else None for name, record in found.items()}
    state: State = "down" if not any(running.values()) else "broken"
    if all(running.values()) and not programs.missing():
        every = [daemon for wave in waves(places, kept["layout"], Path(kept["run"])) for daemon in wave]
        state = "up" if all(daemon.answers() for daemon in every) else "broken"
    return Plant(places.root, places.conf, kept["layout"], kept["ports"], running, state)


def down(folder: Path | str | None = None) -> Plant:
    """Stop every process of a private Slurm and return it; what waits or runs goes on at the next `up`.

    Raises
    ------
    FleetError
        If what was kept of it cannot be read.
    """
    places = Places(folder)
    if not places.load():
        return Plant(places.root, places.conf)
    with _alone(places):
        kept = places.load()
        every = waves(places, kept["layout"], Path(kept["run"]))
        lifecycle.put_back(places, Path(kept["run"]))
        lifecycle.stop(places, [daemon for wave in reversed(every) for daemon in wave])
        processes.stop(processes.jobs_left(places.conf), 5.0)
        if not Path(kept["run"]).is_relative_to(places.folder):
            shutil.rmtree(kept["run"], ignore_errors=True)
    return status(folder)


def _up(places: Places, layout: Layout) -> Plant:
    kept = places.load()
    running = [path.name for path in places.pids.iterdir() if processes.recorded(path)]
    if running and kept and kept["layout"].size != layout.size:
        msg = f"a plant of {kept['layout'].words} runs in {places.folder}, not {layout.words}"
        raise FleetError(msg, mend="aifactory fleet down  # then up again, with the size that you want")
    run = places.run(kept.get("run", ""))
    ports = free_ports(["slurmctld", "slurmdbd", *layout.names], kept.get("ports", {}), running)
    made = kept.get("made", {}) if places.database.exists() else {}
    places.save(layout, ports, run, made)
    configuration.write(places, layout, ports, run)
    lifecycle.start(places, waves(places, layout, run))
    lifecycle.partition(
        programs.environment(places.conf, run / "mariadb.sock"), "UP"
    )  # a `down` may have been interrupted
    if made != layout.projects:
        _make_projects(places, layout)
        places.save(layout, ports, run, layout.projects)
    return status(places.root)


def _make_projects(places: Places, layout: Layout) -> None:
    from aifactory_lab.fleet.slurm import projects  # brings Polars

    for name, quota in layout.projects.items():
        projects.make(name, quota=quota, users=[programs.user()], conf=places.conf)


@contextmanager
def _alone(places: Places) -> Iterator[None]:
    """Let nobody else start or stop this plant meanwhile; the lock goes with the process that holds it."""
    places.make()
    with places.lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
