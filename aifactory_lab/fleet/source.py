"""The fleet as a source of readings: one thread asks the engine every two seconds, for everybody who looks.

Without a fleet it is the one of this user on this machine: it looks whether there is any, takes the engine that
`Fleet("auto")` would take, and looks again now and then, so a private Slurm that comes up appears by itself. It starts
no engine. What the answers mean is `account`'s business.

>>> from aifactory_lab.fleet import Fleet
>>> with FleetSource(Fleet("inline")) as source:
...     print(source.sample().reading(source.layout.entities[0].id, "jobs_waiting"), source.words()["engine"]["name"])
0 inline
"""

import time
from collections.abc import Mapping
from typing import Any

import polars as pl

from aifactory_lab.errors import FactoryError, FleetError, TelemetryError
from aifactory_lab.fleet import account, engines, folders
from aifactory_lab.fleet.engines import Engine
from aifactory_lab.fleet.idleness import PATIENCE, Idleness, measured
from aifactory_lab.fleet.timeline import Timeline
from aifactory_lab.telemetry.metrics import FLEET
from aifactory_lab.telemetry.readings import Entity, Facts, Layout, Snapshot, State
from aifactory_lab.telemetry.sources import Source, here

REST, MOST_REST = 20.0, 4.0  # times as long as the answers took, and seconds at most: a scheduler has other work
SLOW_SECONDS = 30.0  # between two questions for GPU-hours, and two looks for another engine
EXPLAIN_SECONDS = 10.0
AGAIN_SECONDS = 6.0  # between two looks for an engine where there is a fleet but none answers
PLACES = ("jobs/slurm", "jobs/workstation", "slurm", "workstation")


def exists(folder: Any = None) -> bool:
    """Tell whether this user has a fleet on this machine: jobs that were sent, an engine, or a private Slurm."""
    root = folders.root(folder)
    return any((root / place).is_dir() for place in PLACES)


class FleetSource(Source):
    """The readings of a fleet, and what a board says of it.

    Parameters
    ----------
    fleet
        A fleet or an engine; by default this user's own on this machine.
    folder
        Where the fleet keeps its things, if none is given; default ``$AIFACTORY_FLEET`` or ``~/.aifactory/fleet``.
    patience
        Seconds after which a GPU that is allocated and does nothing is pointed at.

    Attributes
    ----------
    engine, answers
        Who was asked, and what it answered last; None while there is no fleet.
    """

    period = 2.0

    def __init__(self, fleet: Any = None, *, folder: Any = None, patience: float = PATIENCE) -> None:
        self._given = None if fleet is None else account.engine_of(fleet)
        self._folder, self._patience = folder, patience
        given = self._given
        self.key = "fleet" if given is None and folder is None else f"fleet {_name(given, folder)}"
        self.engine: Engine | None = given
        self.answers: account.Answers | None = None
        self._watched: _Watched | None = None
        self._words: dict[str, Any] = {}
        self._last: Snapshot | None = None
        self._looked = self._due = self._again = 0.0

    def open(self) -> Layout:
        """Return what is known before the first look: asking takes time, and is the sampler's thread's business."""
        return _layout(self.engine, ())

    def sample(self) -> Snapshot:
        """Ask the engine, or rest if it has just answered slowly.

        Raises
        ------
        TelemetryError
            If it does not answer.
        """
        start = time.monotonic()
        if self._last is not None and start < self._due:
            return self._last
        self._look()
        if self._watched is None:
            self.layout = _layout(None, ()) if self.layout.entities else self.layout
            return Snapshot.blank(self.layout, time=time.time())
        self.answers = answers = self._ask(self._watched)
        self._words = self._watched.told(answers)
        self._last = self._snapshot(answers)
        self._due = time.monotonic() + min(MOST_REST, REST * (time.monotonic() - start)) - self.period
        return self._last

    def facts(self) -> Mapping[str, Facts]:
        """Return which engine it is, why, and what it cannot do."""
        if self.engine is None or not self.layout.entities:
            return {}
        told = {name: str(getattr(self.engine, name)) for name in ("name", "reason", "limits", "folder")}
        return {self.layout.entities[0].id: Facts(details=told)}

    def words(self) -> dict[str, Any]:
        """Return what a board shows: see `account.told`; nothing while there is no fleet."""
        return self._words

    def close(self) -> None:
        """Let go of the driver of the GPUs, if it was asked."""
        self._leave()

    def _look(self) -> None:
        """Find the engine, now and then anew unless it was given."""
        now = time.monotonic()
        if self._watched is not None and (self._given is not None or now - self._looked < SLOW_SECONDS):
            return
        self._looked = now
        engine = self._given or self._found()
        if self._watched is None or engine is None or _identity(engine) != _identity(self.engine):
            self._leave()
            self.engine = engine
            self._watched = None if engine is None else _Watched(engine, self._patience)

    def _found(self) -> Engine | None:
        if not exists(self._folder) or time.monotonic() < self._again:
            return None
        try:
            choice = engines.choose("auto", self._folder)
            if choice.name == "workstation" and not _awake(self._folder):
                msg = "the fleet of this machine sleeps: no Slurm answers, and the workstation's engine does not run"
                raise FleetError(msg, mend="fleet.Fleet()  # starts the engine; waiting jobs then go on")
            return engines.build(choice, self._folder)
        except (FactoryError, ImportError) as error:
            self._leave()
            self._words = {"absent": {"reason": getattr(error, "what", str(error)), "mend": getattr(error, "mend", "")}}
            self._again = time.monotonic() + AGAIN_SECONDS
            return None

    def _leave(self) -> None:
        if self._watched is not None:
            self._watched.close()
            self._watched, self._words, self._last, self.answers = None, {}, None, None

    def _ask(self, watched: "_Watched") -> account.Answers:
        try:
            return watched.ask()
        except FleetError as error:
            self._looked = -SLOW_SECONDS  # perhaps another engine answers
            raise TelemetryError(error.what, mend=error.mend) from error

    def _snapshot(self, answers: account.Answers) -> Snapshot:
        names = tuple(answers.projects["project"])
        layout = _layout(self.engine, names)
        if layout != self.layout:
            self.layout = layout
        snapshot = Snapshot.blank(self.layout, time=answers.time)
        sums, idle = account.totals(answers), self._watched.idle if self._watched is not None else {}
        rows = {row["project"]: row for row in answers.projects.iter_rows(named=True)}
        spare = sum(idle.values()) if idle else None
        told: list[int | None]
        for entity in self.layout.entities:
            if entity.kind == "fleet":
                told = [sums["used"], sums["asked"], sums["running"], sums["waiting"], spare]
            else:
                row = rows[entity.path[-1]]
                told = [row["used"], row["waiting"], row["running"], row["pending"], idle.get(row["project"])]
            snapshot.put(entity.id, **_readings(told))
        return snapshot


class _Watched:
    """An engine and what is known of it from earlier looks."""

    def __init__(self, engine: Engine, patience: float) -> None:
        self.engine = engine
        self._timeline = Timeline()
        self._busy = measured(engine.folder, pretend=engine.pretend)
        self._idleness = Idleness(self._busy, patience)
        self.idle: dict[str, int] = {}  # by project, of those whose jobs could be judged
        self._usage: pl.DataFrame | None = None
        self._reasons: dict[str, str] = {}
        self._asked = self._explained = -SLOW_SECONDS
        self._waiting: list[str] = []

    def ask(self) -> account.Answers:
        """Ask the engine; for GPU-hours only now and then."""
        now = time.monotonic()
        if now - self._asked >= SLOW_SECONDS:
            self._asked, self._usage = now, None
        answers = account.ask(self.engine, self._usage)
        self._usage = answers.usage
        return answers

    def told(self, answers: account.Answers) -> dict[str, Any]:
        """Return the answers as a board shows them."""
        self._timeline.observe(answers.jobs, answers.time)
        running = answers.jobs.filter(pl.col("state") == "RUNNING").to_dicts()
        idle = self._idleness.observe(running, answers.time)
        gpus = {row["id"]: (row["project"], row["gpus"] or 0) for row in running}
        self.idle = {gpus[job][0]: 0 for job in self._idleness.judged}
        for one in idle:
            project, count = gpus[one.job]
            self.idle[project] += count
        return account.told(self.engine, answers, self._timeline.spans(), self._why(answers.jobs), idle)

    def close(self) -> None:
        """Let go of the driver of the GPUs."""
        self._busy.close()

    def _why(self, jobs: pl.DataFrame) -> dict[str, str]:
        """Return why the first jobs wait, asked when others are first, and now and then."""
        wait = account.waiting(jobs).head(account.EXPLAINED)
        first, now = wait["id"].to_list(), time.monotonic()
        if first != self._waiting or now - self._explained >= EXPLAIN_SECONDS:
            self._waiting, self._explained = first, now
            self._reasons = account.explained(self.engine, wait)
        return self._reasons


def _readings(told: list[int | None]) -> dict[str, float | State]:
    """Return readings; what nobody could tell is unsupported, not zero."""
    values = zip(FLEET, told, strict=True)
    return {name: State.UNSUPPORTED if value is None else float(value) for name, value in values}


def _layout(engine: Engine | None, projects: tuple[str, ...]) -> Layout:
    if engine is None:
        return Layout((), FLEET, "measured", "a fleet")
    whole = Entity((*here(), "the fleet"), "fleet", engine.name, str(engine.folder))  # no project has a space
    parts = [Entity((*here(), name), "project", name) for name in projects]
    return Layout((whole, *parts), FLEET, "measured", "a fleet")


def _awake(folder: Any) -> bool:
    """Tell whether the workstation's engine runs: looking must not start it."""
    from aifactory_lab.fleet.workstation.connection import Connection

    home = folders.root(folder)
    return (home / "workstation").is_dir() and Connection(home).lives


def _identity(engine: Engine | None) -> tuple[Any, ...]:
    return (engine.name, engine.folder) if engine is not None else ()


def _name(engine: Engine | None, folder: Any) -> str:
    return f"{engine.name} {engine.folder}" if engine is not None else str(folders.root(folder))
