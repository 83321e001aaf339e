"""What one sampler for many processes costs: the one that reads, those that follow, and a page that comes late.

The wrapped source is an array at hand, so that what is counted is the sharing alone. The processes' folder is in
memory where the machine has one (`/dev/shm`), as `$XDG_RUNTIME_DIR` is.
"""

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from aifactory_lab.telemetry.hooks import FunctionSource
from aifactory_lab.telemetry.metrics import GPU
from aifactory_lab.telemetry.readings import Entity, Layout
from aifactory_lab.telemetry.sharing.commons import Shared
from tests.benchmarks.harness import Table

SIZES = (8, 64, 1_024)


def main(*, quick: bool) -> list[Table]:
    """Measure small and large fleets."""
    rows = [_row(gpus, samples=40 if quick else 400) for gpus in SIZES]
    notes = ["Medians, µs of wall time a sample; the ring is full when the late page reads it."]
    return [Table(f"One sampler for many processes, {len(GPU)} metrics a GPU", rows, notes)]


def _row(gpus: int, samples: int) -> dict[str, Any]:
    entities = tuple(Entity(("site", "rack", f"node {place // 8}", f"gpu {place % 8}")) for place in range(gpus))
    values = np.random.default_rng(0).random((gpus, len(GPU)))
    inner = FunctionSource(Layout(entities, GPU), lambda _: values, key="benchmark")
    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder,
        Shared(inner, folder) as leader,
        Shared(inner, folder) as follower,
    ):
        times: dict[str, list[float]] = {"alone": [], "leader": [], "follower, new": [], "follower, no news": []}
        steps = (inner.sample, leader.sample, follower.sample, follower.sample)
        for _ in range(samples):
            for name, step in zip(times, steps, strict=True):
                times[name].append(_microseconds(step))
        for _ in range(700):
            leader.sample()
        late = _microseconds(follower.backlog) / 1e3
        found = {f"{name}, µs": round(median(of), 1) for name, of in times.items()}
        size = next(Path(folder).glob("*.ring")).stat().st_size
        return {
            "GPUs": gpus,
            **found,
            "backlog, ms": round(late, 1),
            "samples": len(follower.backlog()),
            "MB": size / 1e6,
        }


def _microseconds(step: Any) -> float:
    start = time.perf_counter()
    step()
    return (time.perf_counter() - start) * 1e6
