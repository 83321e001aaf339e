"""Looking at what was read of the GPUs, by the end of an entity's path and the name of a metric."""

import threading
from dataclasses import dataclass

import pytest

from aifactory_lab.telemetry.nvml.source import NvmlSource
from aifactory_lab.telemetry.readings import Facts, Snapshot, State

KIB, GIB = 2**10, 2**30


@dataclass
class Clock:
    """A steady clock that the test moves."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float = 1.0) -> None:
        self.now += seconds


def entity(snapshot: Snapshot, name: str) -> str:
    return next(one.id for one in snapshot.layout.entities if one.id.endswith(f"/{name}"))


def value(snapshot: Snapshot, metric: str, name: str = "gpu 3") -> float:
    reading = snapshot.reading(entity(snapshot, name), metric)
    assert reading.state == State.VALUE, f"{metric} of {name} is {reading}"
    return reading.value


def state(snapshot: Snapshot, metric: str, name: str = "gpu 3") -> State:
    return snapshot.reading(entity(snapshot, name), metric).state


def states(snapshot: Snapshot, name: str) -> set[int]:
    return set(snapshot.states[snapshot.layout.row(entity(snapshot, name))].tolist())


def all_facts(source: NvmlSource, ticks: int = 40) -> dict[str, Facts]:
    """Facts by the end of the entity's path, after as many slices as it takes at most."""
    told: dict[str, Facts] = {}
    for _ in range(ticks):
        told |= source.facts()
    return {name.rpartition("/")[2]: facts for name, facts in told.items()}


def sampled(source: NvmlSource, clock: Clock, seconds: float = 1.0) -> Snapshot:
    clock.tick(seconds)
    return source.sample()


def wait_until(met, seconds: float = 20.0) -> None:
    """Give another thread its time; an endless wait fails."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if met():
            return
        pause.wait(0.02)
    pytest.fail(f"not within {seconds:g} s")
