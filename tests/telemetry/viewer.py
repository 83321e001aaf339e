"""A process that watches a shared source, as one of several kernels does; it writes what it sees into files."""

import os
import time
from pathlib import Path
from typing import ClassVar

from aifactory_lab.telemetry.readings import Entity, Facts, Layout, Snapshot
from aifactory_lab.telemetry.sampler import Sampler
from aifactory_lab.telemetry.sharing.commons import Shared
from aifactory_lab.telemetry.sources import Source

PERIOD = 0.05


class Scripted(Source):
    """Notes in a file who opened it and who read it; its value is the number of readings so far, by all."""

    key = "scripted / test"
    period: ClassVar[float] = PERIOD

    def __init__(self, folder: Path, entities: int = 2) -> None:
        self.folder, self.entities = folder, entities

    def open(self) -> Layout:
        note(self.folder / "opened", str(os.getpid()))
        return self._layout()

    def sample(self) -> Snapshot:
        note(self.folder / "read", str(os.getpid()))
        number = len(lines(self.folder / "read"))
        snapshot = Snapshot.blank(self._layout(), time=time.time())
        for entity in snapshot.layout.entities:
            snapshot.put(entity.id, busy=float(number))
        return snapshot

    def facts(self) -> dict[str, Facts]:
        return {"here/0": Facts(details={"read by": str(os.getpid())})}

    def _layout(self) -> Layout:
        found = vars(self).get("_made")
        if found is None or len(found.entities) != self.entities:
            entities = tuple(Entity(("here", str(place))) for place in range(self.entities))
            self._made = found = Layout(entities, ("busy", "power"), "simulated", "scripted")
        return found


def note(path: Path, text: str) -> None:
    with path.open("a") as stream:
        stream.write(f"{text}\n")


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def watch(folder: Path, name: str, *, fork: bool = False) -> None:
    """Watch until a file says stop; write a line per sample, and the facts."""
    source = Shared(Scripted(folder), folder / "run")
    with Sampler(source, period=PERIOD) as sampler:
        note(folder / f"backlog-{name}", str(len(sampler.ring)))
        sampler.subscribe(lambda _, seen: note(folder / f"seen-{name}", f"{seen.time!r} {float(seen.values[0, 0])!r}"))
        if fork and os.fork() == 0:
            wait(folder, for_parent=False)
            os._exit(0)
        wait(folder, for_parent=True)


def wait(folder: Path, *, for_parent: bool) -> None:
    """Wait for the word to stop, for a minute at most; the test's own end ends it too if asked."""
    parent, deadline = os.getppid(), time.monotonic() + 60
    while not (folder / "stop").exists() and time.monotonic() < deadline:
        if for_parent and os.getppid() != parent:
            return
        time.sleep(0.02)
