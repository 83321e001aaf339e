"""The links of this machine as we measure them, beside dd, fio, sysbench and STREAM in numba, in turn in one run.

Agreement is the point, not speed: a link has one rate, and whoever measures it well finds it. The same folder, the same
bytes, A B C A B C; medians with the slowest and fastest turn, and how far each lies from ours.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from aifactory_lab.links import disk, memory
from tests.benchmarks import links_peers as peers
from tests.benchmarks.harness import Table

SIZE = 64 << 20
Measure = Callable[[], float]


def main(*, quick: bool) -> list[Table]:
    """Measure the disk, then the memory."""
    turns = 2 if quick else 7
    absent = [name for name in ("dd", "fio", "sysbench") if name not in peers.installed()]
    notes = [f"Not installed here: {', '.join(absent)} (apt-get install {' '.join(absent)})."] if absent else []
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, tempfile.TemporaryDirectory(dir="/dev/shm") as fast:
        source, target = Path(fast) / "source", Path(folder) / "target"
        source.write_bytes(np.random.default_rng(1).bytes(SIZE))
        target.write_bytes(source.read_bytes())
        rows = _rows(_disk(source, target), turns)
    cores = memory.cores()
    counted = [f"All cores: {cores}. sysbench writes and reads nothing."]
    return [
        Table("Disk, 64 MiB, GB/s", rows, notes),
        Table("Memory, GB/s", _rows(_memory(cores), turns), counted),
    ]


def _disk(source: Path, target: Path) -> dict[str, dict[str, Measure]]:
    folder, there = target.parent, peers.installed()
    ours = {"through": disk.through, "around": disk.around}
    found: dict[str, dict[str, Measure]] = {}
    for way, place in (("through", ""), ("around", "_direct")):
        for kind in ("write", "read"):
            name = f"disk_{kind}{place}"
            found[name] = {"ours": lambda way=way, name=name: _rate(ours[way](folder, size=SIZE, passes=1), name)}
            if "dd" in there and kind == "write":
                found[name]["dd"] = lambda way=way: peers.dd_write(source, target, way)
            elif "dd" in there:
                found[name]["dd"] = lambda way=way: peers.dd_read(target, way)
            if "fio" in there and way == "around":
                found[name]["fio"] = lambda kind=kind: peers.fio(target, kind, SIZE)
    return found


def _memory(cores: int) -> dict[str, dict[str, Measure]]:
    size = memory.array_bytes()
    found: dict[str, dict[str, Measure]] = {
        "memory_copy": {"ours": lambda: memory.copy(passes=1).bytes_s},
        "memory_triad": {"ours": lambda: memory.stream(passes=1)[0].bytes_s},
    }
    found["memory_copy"]["numba"] = lambda: peers.numba_stream("copy", 1, size)
    found["memory_triad"]["numba"] = lambda: peers.numba_stream("triad", 1, size)
    if cores > 1:
        for kernel in ("copy", "triad"):
            name = f"memory_{kernel}_all"
            found[name] = {"ours": lambda name=name: _rate(memory.stream(passes=1), name)}
            found[name]["numba"] = lambda kernel=kernel: peers.numba_stream(kernel, cores, size)
    if "sysbench" in peers.installed():
        found["memory_copy"]["sysbench (writes alone)"] = lambda: peers.sysbench(1, size)
    return found


def _rate(links: list[Any], name: str) -> float:
    return next(link.bytes_s for link in links if link.name == name) or float("nan")


def _rows(contestants: Mapping[str, Mapping[str, Measure]], turns: int) -> list[dict[str, Any]]:
    """Let all measure a link in turn; the first is ours."""
    rows = []
    for link, each in contestants.items():
        rates: dict[str, list[float]] = {name: [] for name in each}
        for _ in range(turns):
            for name, measure in each.items():
                rates[name].append(measure() / 1e9)
        ours = median(rates["ours"])
        for name, values in rates.items():
            spread = f"{min(values):.3g} to {max(values):.3g}"
            share = round(median(values) / ours, 2)
            rows.append({"link": link, "by": name, "GB/s": round(median(values), 3), "turns": spread, "÷ ours": share})
    return rows
