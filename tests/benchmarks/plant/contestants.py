"""Who samples: each a function called in a process of its own, in the interpreter that has its package.

`LD_LIBRARY_PATH` leads every one of them to the same stand-in driver. What is imported, and whatever is made once
for all samples, is made before the clock starts. The peers' interpreter has no numpy: only the standard library
at the top of this file.
"""

import json
import time
from collections.abc import Callable
from statistics import mean, median
from types import SimpleNamespace
from typing import Any


def nvml_source(**how: Any) -> dict[str, Any]:
    """Our source alone: every metric of every GPU, as arrays."""
    from aifactory_lab.telemetry.nvml.source import NvmlSource

    clock = Clock()
    with NvmlSource(clock=clock) as source:
        found = measured(lambda: (clock.tick(), source.sample()), **how)
        snapshot = source.sample()
    return found | {"busy": float(snapshot.column("busy").sum()), "readings": int((snapshot.states[0] == 0).sum())}


def sampler_tick(**how: Any) -> dict[str, Any]:
    """A whole tick of the sampler's thread: source, slow facts, ring, and the message to one board packed."""
    from aifactory_lab.telemetry.nvml.source import NvmlSource
    from tests.benchmarks.plant.driven import Driven, Viewer

    clock = Clock()
    with Driven(NvmlSource(clock=clock)) as sampler:
        viewer = Viewer(sampler)
        found = measured(lambda: (clock.tick(), sampler.tick()), **how)
        snapshot = sampler.first()
    assert viewer.packed > 0, "nothing was packed"
    return found | {"busy": float(snapshot.column("busy").sum()), "readings": int((snapshot.states[0] == 0).sum())}


class Clock:
    """A second passes between two samples, so that what is read once a second is read every time."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def tick(self) -> None:
        """Let a second pass."""
        self.now += 1.0

    def __call__(self) -> float:
        return self.now


def nvitop(*, keep_devices: bool, **how: Any) -> dict[str, Any]:
    """nvitop's snapshots without processes; its Device objects made once, or at every call as it does by default."""
    from nvitop import Device, take_snapshots

    devices = Device.all() if keep_devices else None
    kept: list[Any] = []

    def sample() -> None:
        kept[:] = take_snapshots(devices, gpu_processes=False).devices

    found = measured(sample, **how)
    keys = {key for key in Device.SNAPSHOT_KEYS if not key.endswith("_human")}
    return found | {"busy": float(sum(one.gpu_utilization for one in kept)), "readings": len(keys)}


def gpustat(**how: Any) -> dict[str, Any]:
    """gpustat's query of all GPUs, their processes included (it has no switch for that)."""
    from gpustat import GPUStatCollection

    kept: list[Any] = []

    def sample() -> None:
        kept[:] = GPUStatCollection.new_query().gpus

    found = measured(sample, **how)
    return found | {"busy": float(sum(one.utilization for one in kept)), "readings": len(kept[0].entry)}


def nvdashboard(*, panels: list[str], **how: Any) -> dict[str, Any]:
    """What jupyterlab-nvdashboard's PeriodicCallbacks do per tick in the Jupyter server, for one tab's open panels.

    The sockets' own part of `write_message` (framing, sending) is left out, in the peer's favour.
    """
    from jupyterlab_nvdashboard.apps import gpu

    sent: list[dict[str, Any]] = []
    handlers = [getattr(gpu, f"{panel}WebSocketHandler") for panel in panels]
    open_panels = [(handler, SimpleNamespace(prev_throughput=None, write_message=sent.append)) for handler in handlers]

    def sample() -> None:
        sent.clear()
        for handler, panel in open_panels:
            handler.send_data(panel)

    found = measured(sample, **how)
    told = [json.loads(message) for message in sent]
    busy = next(one["gpu_utilization_individual"] for one in told if "gpu_utilization_individual" in one)
    return found | {"busy": float(sum(busy)), "readings": 5 if len(panels) == 1 else 7}


def measured(sample: Callable[[], Any], *, seconds: float, least: int, warm: bool = True) -> dict[str, Any]:
    """Sample for so long, at least so often, and return the medians (and the mean) of milliseconds a sample."""
    if warm:
        sample()
    cpu, wall, stop = [], [], time.perf_counter() + seconds
    while len(cpu) < least or time.perf_counter() < stop:
        before, start = time.process_time(), time.perf_counter()
        sample()
        wall.append((time.perf_counter() - start) * 1e3)
        cpu.append((time.process_time() - before) * 1e3)
    return {"cpu_ms": median(cpu), "mean_cpu_ms": mean(cpu), "wall_ms": median(wall), "samples": len(cpu)}
