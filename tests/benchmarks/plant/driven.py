"""Samplers whose ticks come when they are asked for, and sources that cost next to nothing.

A `Driven` is the real sampler, its thread at rest: `tick()` does what the thread does once a period. A `Script` is
a source whose readings were computed beforehand, so that what is measured is what happens to them afterwards.
"""

import time
from collections.abc import Callable

import numpy as np

from aifactory_lab.telemetry.metrics import GPU, METRICS
from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot, State
from aifactory_lab.telemetry.sampler import Sampler
from aifactory_lab.telemetry.sources import Source

NEVER = 1e6  # seconds between ticks of a thread that is not to run
SCRIPT_BYTES = 32 << 20
LEVEL = {"%": 100.0, "B": 80e9, "B/s": 60e9, "W": 700.0, "°C": 90.0, "MHz": 1980.0, "J": 1e7}


class Driven(Sampler):
    """A sampler that ticks when told to."""

    def tick(self) -> Snapshot:
        """Do once what the thread does once a period."""
        self._tick()
        return self._latest

    def _run(self) -> None:
        self._done.wait()


class Viewer:
    """One open board, up to the wire: packs every sample as a board's feed does and counts the bytes."""

    def __init__(self, sampler: Sampler) -> None:
        from aifactory_lab.widgets.feeds import Feed

        self.feed, self.packed = Feed(0, "gpu", sampler), 0
        self.feed.opening()
        sampler.subscribe(self.see)

    def see(self, _: Sampler, snapshot: Snapshot) -> None:
        """Pack one sample."""
        self.packed += sum(len(buffer) for _, buffers in self.feed.tick(snapshot, {}) for buffer in buffers)


class Script(Source):
    """So many GPUs, with all metrics, in eights and racks; readings from a list that was made beforehand."""

    def __init__(self, gpus: int, *, hz: float = 1.0, clock: Callable[[], float] = time.time) -> None:
        self.key, self.period, self._clock, self._count = "script", 1 / hz, clock, 0
        self._entities = tuple(_entity(index) for index in range(gpus))
        self._values = script(gpus)
        self._states = np.full(self._values.shape[1:], State.VALUE, dtype=np.uint8)

    def open(self) -> Layout:
        """Say what is read."""
        return Layout(self._entities, GPU, "simulated", "a script")

    def sample(self) -> Snapshot:
        """Return the next reading of the list, with the time of now."""
        self._count += 1
        return Snapshot(self._clock(), self.layout, self._values[self._count % len(self._values)], self._states)


def script(gpus: int) -> np.ndarray:
    """Return readings of shape (moments, GPUs, metrics): waves of each metric's size, different for every GPU."""
    moments = int(np.clip(SCRIPT_BYTES // (8 * gpus * len(GPU)), 8, 64))
    at, rows = np.arange(moments)[:, None, None], np.arange(gpus)[None, :, None]
    columns = np.arange(len(GPU))[None, None, :]
    waves = 0.5 + 0.5 * np.sin(2 * np.pi * at / moments + rows * 0.37 + columns)
    return waves * np.array([LEVEL.get(METRICS[name].unit, 1.0) for name in GPU])


def _entity(index: int) -> Entity:
    path = (f"hall {index // 5120 + 1}", f"rack {index // 64 + 1}", f"node {index // 8 + 1}", f"gpu {index % 8}")
    return Entity(path, "gpu", "NVIDIA H100 80GB HBM3", f"GPU-{index:08x}")
