"""What a block of work uses while it runs: peak memory of its processes, and how busy the GPUs are.

One thread looks every 50 ms at memory and every 200 ms at the GPUs (the driver itself averages over longer). The
GPUs are those of the machine: a neighbour's work on them counts too, as on any meter on the wall. It does not know
what the block does.

>>> watch = UsageWatch()
>>> watch.start()
>>> watch.stop().peak_memory_bytes > 0
True
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.readings import Snapshot

SAMPLE_SECONDS = 0.05
GPUS_EVERY = 4  # samples between two looks at the GPUs
CHILDREN_EVERY = 10  # samples between two looks for new child processes (a look reads all of /proc)
MINUTE = 1_200  # samples


@dataclass(frozen=True)
class Usage:
    """What was used.

    Attributes
    ----------
    peak_memory_bytes
        Highest resident memory of the process and its children.
    gpu_busy_mean, gpu_busy_peak
        Percent, mean over GPUs and time, and the busiest GPU at its busiest; `None` and `gpu_note` where no GPU
        can be read.
    gpu_memory_peak_bytes
        Highest sum of memory in use on all GPUs.
    """

    peak_memory_bytes: int
    gpu_busy_mean: float | None = None
    gpu_busy_peak: float | None = None
    gpu_memory_peak_bytes: int | None = None
    gpu_note: str = ""


class UsageWatch(threading.Thread):
    """Watches from `start` to `stop`; used once.

    Parameters
    ----------
    minutely
        Called once a minute from the thread: a package's energy counter wraps after a quarter of an hour at 300 W,
        and must be read before.
    """

    def __init__(self, minutely: Callable[[], object] = lambda: None) -> None:
        super().__init__(name="aifactory-usage", daemon=True)
        self._minutely = minutely
        self._process = psutil.Process()
        self._children: list[psutil.Process] = []
        self._done = threading.Event()
        self._samples, self._peak = 0, 0
        self._gpus = _Gpus()
        self._sample()

    def run(self) -> None:
        """Sample until stopped."""
        while not self._done.wait(SAMPLE_SECONDS):
            self._sample()

    def stop(self) -> Usage:
        """End the thread and return what was used."""
        self._done.set()
        self.join()
        self._sample(last=True)
        self._gpus.close()
        return self._gpus.usage(self._peak)

    def _sample(self, *, last: bool = False) -> None:
        if self._samples % CHILDREN_EVERY == 0:
            self._children = self._process.children(recursive=True)
        if self._samples % GPUS_EVERY == 0 or last:
            self._gpus.sample()
        self._samples += 1
        if self._samples % MINUTE == 0:
            self._minutely()
        total = self._process.memory_info().rss
        for child in self._children:
            try:
                total += child.memory_info().rss
            except psutil.Error:  # it ended between the list and the look
                continue
        self._peak = max(self._peak, total)


class _Gpus:
    """The GPUs of this machine while the block runs; without any, the reason."""

    def __init__(self) -> None:
        self._source: Any = None
        self.note = ""
        self._busy: list[tuple[float, float]] = []
        self._memory: list[float] = []
        try:
            from aifactory_lab.telemetry.nvml.source import NvmlSource

            self._source = NvmlSource()
            _ = self._source.layout
        except TelemetryError as error:
            self._source, self.note = None, error.what

    def sample(self) -> None:
        if self._source is None:
            return
        try:
            snapshot: Snapshot = self._source.sample()
        except TelemetryError as error:  # the driver went away; what was seen before counts
            self._source, self.note = None, error.what
            return
        busy, memory = snapshot.column("busy"), snapshot.column("memory_used")
        if not np.isnan(busy).all():
            self._busy.append((float(np.nanmean(busy)), float(np.nanmax(busy))))
        if not np.isnan(memory).all():
            self._memory.append(float(np.nansum(memory)))

    def usage(self, peak: int) -> Usage:
        busy = self._busy
        return Usage(
            peak_memory_bytes=peak,
            gpu_busy_mean=float(np.mean([mean for mean, _ in busy])) if busy else None,
            gpu_busy_peak=max(most for _, most in busy) if busy else None,
            gpu_memory_peak_bytes=int(max(self._memory)) if self._memory else None,
            gpu_note=self.note or ("" if busy else "no GPU told how busy it is"),
        )

    def close(self) -> None:
        if self._source is not None:
            self._source.close()
