"""The memory curve: what every process holds, sampled to Parquet, and the slope that is left after the warm-up.

The slope is Theil and Sen's (Sen 1968, JASA 63:1379), the median of the slopes between all pairs of points, with its
95 % interval: a burst bends it little. Points are medians of half a minute, so that neighbours depend less on each
other.

>>> hours = [second / 3600 for second in range(0, 3600, 5)]
>>> slope([3600 * hour for hour in hours], [50 + 12 * hour for hour in hours])
Slope(per_hour=12.0, low=12.0, high=12.0)
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import psutil
from scipy.stats import theilslopes

from aifactory_lab import aside

EVERY, POINT = 5.0, 30.0  # seconds between samples; of samples that make a point
WARM = 0.25  # the share of the time that is not fitted
MIB = 2**20


@dataclass(frozen=True)
class Slope:
    """MiB an hour, and the interval that holds the true one in 95 of 100 cases."""

    per_hour: float
    low: float
    high: float


@dataclass
class Curve:
    """Samples of some processes."""

    processes: Mapping[str, psutil.Process]
    started: float = field(default_factory=time.monotonic)
    samples: list[dict[str, object]] = field(default_factory=list)

    async def keep(self) -> None:
        """Sample until cancelled."""
        while True:
            self.sample()
            await asyncio.sleep(EVERY)

    def sample(self) -> None:
        """Look at every process once."""
        now = time.monotonic() - self.started
        self.samples += [{"seconds": now, "process": name, **held(one)} for name, one in self.processes.items()]

    def frame(self) -> pl.DataFrame:
        """Return the samples as a table."""
        return pl.DataFrame(self.samples)

    def write(self, path: Path) -> None:
        """Keep the samples as Parquet."""
        with aside.write_aside(path) as half:
            self.frame().write_parquet(half)


def held(process: psutil.Process) -> dict[str, float]:
    """Return what a process holds: MiB by three measures, descriptors, sockets, threads, CPU-seconds.

    The memory is what is resident (RSS), that with what others map shared out between them (PSS), and what no file
    stands behind (anonymous), which is where a leak shows.
    """
    folder = Path(f"/proc/{process.pid}/fd")
    links = [_link(one) for one in folder.iterdir()]
    with process.oneshot():
        memory, times = process.memory_full_info(), process.cpu_times()
        return {
            "rss": memory.rss / MIB,
            "pss": memory.pss / MIB,
            "anonymous": _anonymous(process.pid),
            "descriptors": len(links),
            "sockets": sum(link.startswith("socket:") for link in links),
            "threads": process.num_threads(),
            "cpu": times.user + times.system,
        }


def _anonymous(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1024


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:  # closed while we looked
        return ""


def slope(seconds: Sequence[float], mebibytes: Sequence[float]) -> Slope:
    """Fit MiB an hour over what follows the warm-up."""
    points = pl.DataFrame({"seconds": seconds, "value": mebibytes}).filter(
        pl.col("seconds") >= WARM * pl.col("seconds").max()
    )
    points = points.group_by(pl.col("seconds") // POINT, maintain_order=True).agg(
        at=pl.col("seconds").median(), value=pl.col("value").median()
    )
    if len(points) < 3:
        return Slope(np.nan, -np.inf, np.inf)
    found, _, low, high = theilslopes(points["value"], points["at"] / 3600)
    return Slope(round(float(found), 3), round(float(low), 3), round(float(high), 3))


def slopes(frame: pl.DataFrame, column: str) -> dict[str, Slope]:
    """Fit every process."""
    return {
        str(name): slope(part["seconds"].to_list(), part[column].to_list())
        for (name,), part in frame.group_by("process", maintain_order=True)
    }
