"""What recordings are tested with: plants, their snapshots, and recordings of them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from aifactory_lab.telemetry.metrics import GPU
from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot, State
from aifactory_lab.telemetry.recordings.bands import Band
from aifactory_lab.telemetry.recordings.gathering import Gathering

T0 = 1_795_528_930.0  # 24 Nov 2026 14:02:10 UTC


def plant(gpus: int = 2, metrics: tuple[str, ...] = GPU, origin="measured", label: str = "node-3") -> Layout:
    """Return a node of H100s."""
    entities = (Entity(("lab", "rack 1", "node-3", f"gpu {i}"), "gpu", "NVIDIA H100", f"GPU-{i}") for i in range(gpus))
    return Layout(tuple(entities), metrics, origin, label)


def snapshots(layout: Layout, count: int, start: float = T0, step: float = 1.0, seed: int = 0) -> list[Snapshot]:
    """Return samples with values, and with cells that are unsupported, lost and stale."""
    random = np.random.default_rng(seed)
    found = []
    for place in range(count):
        values = np.round(100 * random.random(layout.shape))
        states = random.choice(4, size=layout.shape, p=(0.85, 0.05, 0.05, 0.05)).astype(np.uint8)
        values[states != State.VALUE] = np.nan
        found.append(Snapshot(start + place * step, layout, values, states))
    return found


def working(layout: Layout, count: int, watts: float, start: float = T0) -> list[Snapshot]:
    """Return samples, a second apart, of GPUs that draw so many watts and count their joules."""
    found = []
    for second in range(count):
        snapshot = Snapshot.blank(layout, time=start + second)
        for entity in layout.entities:
            snapshot.put(entity.id, busy=90.0, power=watts, energy=1e6 + watts * second)
        found.append(snapshot)
    return found


def recorded(path: Path, samples: Iterable[Snapshot], bands: Iterable[Band] = (), lot: int = 5, finish: bool = True):
    """Record samples without waiting, `lot` at a time; return the file, or the folder as a killed kernel leaves it."""
    gathering, samples = Gathering(path), list(samples)
    for place in range(0, len(samples), lot):
        gathering.add(samples[place : place + lot], list(bands))
    return gathering.finish() if finish else gathering.folder


def assert_same(history, samples, rtol: float = 1e-6) -> None:
    """Compare what was read back with what was recorded."""
    assert len(history) == len(samples)
    np.testing.assert_allclose(history.times, [snapshot.time for snapshot in samples], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(history.states, [snapshot.states for snapshot in samples])
    np.testing.assert_allclose(history.values, [snapshot.values for snapshot in samples], rtol=rtol)
