"""A source that a test writes: values by hand, faults on demand, no hardware."""

import threading
import time
from collections.abc import Callable

from aifactory_lab.telemetry.readings import Entity, Facts, Layout, Snapshot
from aifactory_lab.telemetry.sources import Source


class Scripted(Source):
    """One host that is busy as `value` says; `before` runs ahead of every sample and may raise or sleep."""

    def __init__(self, key: str = "scripted", *, entities: int = 1, value: float = 42.0) -> None:
        self.key = key
        self.value = value
        self.entities = entities
        self.before: Callable[[], None] = lambda: None
        self.threads: set[int] = set()
        self.opened = self.closed = self.sampled = 0

    def open(self) -> Layout:
        self.opened += 1
        entities = tuple(Entity(("site", "rack", "node", f"gpu {i}"), "gpu") for i in range(self.entities))
        return Layout(entities, ("busy", "power"), "simulated", "a script")

    def sample(self) -> Snapshot:
        self.threads.add(threading.get_ident())
        self.before()
        if self.entities != len(self.layout.entities):
            self.layout = self.open()
        self.sampled += 1
        snapshot = Snapshot.blank(self.layout, time=time.time())
        for entity in self.layout.entities:
            snapshot.put(entity.id, busy=self.value)
        return snapshot

    def facts(self) -> dict[str, Facts]:
        return {self.layout.entities[0].id: Facts(details={"sampled": str(self.sampled)})}

    def close(self) -> None:
        self.closed += 1


def wait_for(condition: Callable[[], object], *, seconds: float = 20.0) -> None:
    """Wait until something is so; a test that waits in vain fails with what it waited for."""
    stop = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < stop, f"waited {seconds:g} s in vain"
        time.sleep(0.005)
