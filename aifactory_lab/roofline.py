"""How fast this machine could go at best: its measured disk and memory bandwidth.

A rate means little alone; beside the floor (the seconds that moving the bytes must take) it says how much
room is left. Nothing here knows about stations: bytes in, seconds out. A measurement is kept per machine
and folder, because it takes about two seconds.

>>> machine = Roofline(disk_read=2e9, disk_write=1e9, memory=20e9)
>>> machine.floor_seconds(bytes_in=2_000_000_000, bytes_out=1_000_000_000)
2.0
"""

import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from aifactory_lab.errors import WorkspaceError

BLOCK = 64 << 20
REPEATS = 5


@dataclass(frozen=True)
class Roofline:
    """Measured bandwidths in bytes per second.

    Attributes
    ----------
    disk_read, disk_write
        Sequential, of the folder that was measured; read after the page cache was asked to drop the file
        (a file system may ignore that), write with `fsync`.
    memory
        Bytes read plus bytes written by one thread copying an array far larger than its cache (the "copy" of
        McCalpin's STREAM, counted the same way).
    """

    disk_read: float
    disk_write: float
    memory: float

    def floor_seconds(self, *, bytes_in: int = 0, bytes_out: int = 0, memory_bytes: int = 0) -> float:
        """Return the least seconds that moving these bytes takes: transfers add up, they do not overlap."""
        return bytes_in / self.disk_read + bytes_out / self.disk_write + memory_bytes / self.memory


def measured(folder: Path | str) -> Roofline:
    """Return the roofline of this machine and folder, measured now or remembered from an earlier run.

    Parameters
    ----------
    folder
        Where the run writes; 64 MiB are written there for a moment.

    Raises
    ------
    WorkspaceError
        If the folder cannot be written.
    """
    kept = Path(folder) / "roofline.json"
    here = platform.node()
    if kept.exists():
        remembered = _read(kept)
        if remembered.pop("machine", None) == here:
            return Roofline(**remembered)
    roofline = measure(folder)
    aside = kept.with_suffix(f".partial{os.getpid()}")
    aside.write_text(json.dumps({"machine": here, **asdict(roofline)}))
    aside.replace(kept)
    return roofline


def _read(kept: Path) -> dict[str, Any]:
    try:
        found = json.loads(kept.read_text())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def measure(folder: Path | str) -> Roofline:
    """Measure now: the median of five passes each."""
    path = Path(folder) / f".roofline-{os.getpid()}"
    block = np.random.default_rng(0).bytes(BLOCK)
    try:
        writes = [_write(path, block) for _ in range(REPEATS)]
        reads = [_read_back(path) for _ in range(REPEATS)]
    except OSError as error:
        msg = f"{folder} cannot be measured: {error}"
        raise WorkspaceError(msg, mend="choose another folder: aifactory run --workspace DIR") from error
    finally:
        path.unlink(missing_ok=True)
    return Roofline(BLOCK / median(reads), BLOCK / median(writes), 2 * BLOCK * 2 / median(_copies()))


def _write(path: Path, block: bytes) -> float:
    start = time.perf_counter()
    with path.open("wb") as stream:
        stream.write(block)
        os.fsync(stream.fileno())
    return time.perf_counter() - start


def _read_back(path: Path) -> float:
    with path.open("rb", buffering=0) as stream:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        start = time.perf_counter()
        while stream.read(1 << 20):
            pass
        return time.perf_counter() - start


def _copies() -> list[float]:
    source = np.ones(2 * BLOCK // 8)
    target = np.empty_like(source)
    seconds = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        np.copyto(target, source)
        seconds.append(time.perf_counter() - start)
    return seconds[1:]  # the first pass pays for the pages
