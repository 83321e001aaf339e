"""What one sample of all GPUs costs: ours beside nvitop, jupyterlab-nvdashboard and gpustat, on one stand-in driver.

CPU time is counted while the driver answers at once: Python's cost alone. Wall time is counted once more while every
`nvmlDeviceGetPcieThroughput` takes the 20 ms that nvml.h says it takes; whoever calls it waits.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from tests.benchmarks.harness import Case, Table, run
from tests.benchmarks.plant import environment
from tests.telemetry.driver import FakeDriver

SIZES = (8, 64, 1_024)
AIM = 5.0  # times cheaper than nvitop's snapshots
PCIE_US = 20_000
FEW = 64  # GPUs up to which it is worth to wait, for PCIe in a --quick run and for gpustat's sleeps
ALL_PANELS = ["GPUUtilization", "GPUUsage", "GPUResource", "NVLinkThroughput", "PCIStats"]
OURS, NVITOP = "NvmlSource.sample", "nvitop"
HOW = (
    "Stand-in driver: Python's cost alone; the driver's own time is not in it. CPU and wall: medians of all samples,"
    " each contestant in fresh processes, in turn. Readings: different numbers told per GPU. The last column: wall time"
    " of one sample while every nvmlDeviceGetPcieThroughput takes 20 ms, as nvml.h says (ours reads byte counters"
    " instead). Ours reads at every sample what it would once a second; processes, health, ECC and remapped rows come"
    " with the slow facts of the whole tick, of a few GPUs at a time."
    f" gpustat sleeps 100 ms per GPU, so it is left out beyond {FEW}."
)


def table(*, quick: bool) -> Table:
    """Sample with every contestant at every size, in turn."""
    rows = [row for gpus in SIZES for row in rows_of(gpus, quick=quick)]
    return Table("One sample of all GPUs (stand-in driver)", rows, [HOW, *said(rows)])


def rows_of(gpus: int, *, quick: bool) -> list[dict[str, Any]]:
    """Return one row per contestant, first ours."""
    found = {case.name: [] for case in cases()}
    with tempfile.TemporaryDirectory() as folder, stand_in(Path(folder), gpus) as driver:
        driver.slow("pcie_throughput", 0)
        for _ in range(1 if quick else 3):
            for case in contestants(gpus, seconds=0.3 if quick else 2.0, least=1):
                found[case.name].append(run(case)["result"])
        driver.slow("pcie_throughput", PCIE_US)
        waits = [] if quick and gpus > FEW else contestants(gpus, seconds=0, least=1, warm=gpus <= FEW)
        slow = {case.name: run(case)["result"]["wall_ms"] for case in waits}
    _agree(found)
    first = median(one["cpu_ms"] for one in found[OURS])
    rows = [_row(gpus, name, runs, slow.get(name), first) for name, runs in found.items() if runs]
    if not environment.versions():
        rows += [{"GPUs": gpus, "contestant": f"{name}: not installed"} for name, runs in found.items() if not runs]
    return rows


def cases(**how: Any) -> list[Case]:
    """Return every contestant, ours first."""
    target, there = "tests.benchmarks.plant.contestants:", environment.versions()
    nvitop, panels = f"{NVITOP} {there.get('nvitop', '')}", f"nvdashboard {there.get('jupyterlab-nvdashboard', '')}"
    peer = str(environment.PYTHON)
    return [
        Case(OURS, f"{target}nvml_source", how),
        Case("whole tick: sample, ring, packet", f"{target}sampler_tick", how),
        Case(f"{nvitop}, devices kept", f"{target}nvitop", {**how, "keep_devices": True}, peer),
        Case(f"{nvitop}, as it comes", f"{target}nvitop", {**how, "keep_devices": False}, peer),
        Case(f"{panels}, one panel", f"{target}nvdashboard", {**how, "panels": ["GPUResource"]}, peer),
        Case(f"{panels}, all five panels", f"{target}nvdashboard", {**how, "panels": ALL_PANELS}, peer),
        Case(f"gpustat {there.get('gpustat', '')}", f"{target}gpustat", how, peer),
    ]


def contestants(gpus: int, **how: Any) -> list[Case]:
    """Return those that are installed and can be waited for."""
    print(f"  sampling {gpus:,} GPUs …", file=sys.stderr, flush=True)
    there = [case for case in cases(**how) if case.python == sys.executable or environment.versions()]
    return [case for case in there if gpus <= FEW or not case.name.startswith("gpustat")]


@contextmanager
def stand_in(folder: Path, gpus: int) -> Iterator[FakeDriver]:
    """Start a driver that every process started meanwhile finds, with GPUs that are all busy differently."""
    driver = FakeDriver(folder, gpus)
    index = np.arange(gpus)
    driver.all.update(busy=index % 101, memory_busy=index % 50, memory_used=float(20 << 30), power_mw=350_000)
    before = {name: os.environ.get(name) for name in driver.environment()}
    os.environ.update(driver.environment())
    try:
        yield driver
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _agree(found: dict[str, list[dict[str, Any]]]) -> None:
    """Compare what was read: a comparison of different results is worth nothing."""
    busy = {name: runs[0]["busy"] for name, runs in found.items() if runs}
    assert len(set(busy.values())) == 1, f"the contestants read different GPUs: {busy}"


def _row(gpus: int, name: str, runs: list[dict[str, Any]], waited: float | None, first: float) -> dict[str, Any]:
    cpu = median(one["cpu_ms"] for one in runs)
    return {
        "GPUs": gpus,
        "contestant": name,
        "readings": runs[0]["readings"],
        "samples": sum(one["samples"] for one in runs),
        "CPU ms": round(cpu, 3),
        "mean CPU ms": round(median(one["mean_cpu_ms"] for one in runs), 3),
        "wall ms": round(median(one["wall_ms"] for one in runs), 3),
        "CPU ÷ ours": round(cpu / first, 2),
        "CPU µs a reading": round(cpu * 1e3 / gpus / runs[0]["readings"], 2),
        "wall ms, PCIe 20 ms": None if waited is None else round(waited, 1),
    }


def said(rows: list[dict[str, Any]]) -> list[str]:
    """Say whether the aim holds, against the cheaper way to use nvitop."""
    ratios = {row["GPUs"]: row["CPU ÷ ours"] for row in rows if row["contestant"].endswith("devices kept")}
    if not ratios:
        return ["The peers are not installed: make bench-peers."]
    held = "holds" if min(ratios.values()) >= AIM else "MISSED"
    words = ", ".join(f"{ratio:.1f} at {gpus:,}" for gpus, ratio in ratios.items())
    return [f"nvitop's snapshots (devices kept) ÷ NvmlSource.sample, CPU: {words} (aim: at least {AIM:g}: {held})."]
