"""What a piece of work cost: `Meter` watches it, `StationReport` says it.

Every station returns one StationReport: what it made, in how many seconds, CPU-seconds, joules and bytes of
memory, and how that compares with the machine's floor. This module does not know what the stations do.

>>> with Meter("sum", unit="numbers") as meter:
...     meter.count(1000, result=sum(range(1000)))
>>> meter.report.made, meter.report.details["result"]
(1000, 499500)
"""

import os
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from types import TracebackType
from typing import Any, Self

import psutil

from aifactory_lab import device
from aifactory_lab.errors import FactoryError
from aifactory_lab.roofline import Roofline
from aifactory_lab.telemetry.energy import Energy

PRICE_VARIABLE = "AIFACTORY_DOLLARS_PER_CORE_HOUR"
# An assumption to edit, not a measurement: AWS m7i.large, on demand, us-east-1, $0.1008/h for 2 vCPU.
DOLLARS_PER_CORE_HOUR = 0.0504
SAMPLE_SECONDS = 0.05
CHILDREN_EVERY = 10  # samples between two looks for new child processes (a look reads all of /proc)


@dataclass(frozen=True)
class StationReport:
    """What one station made and what it cost.

    Attributes
    ----------
    made, unit
        How many of what: rows, predictions, tokens, …
    seconds, cpu_seconds
        Wall time, and user + system time of the process and its finished children.
    peak_memory_bytes
        Highest resident memory of the process tree while the station ran (sampled every 50 ms).
    joules, energy_note
        Energy, or `None` and the reason.
    floor_seconds
        The least time that the machine's bandwidth allows for the bytes moved; `None` if not counted.
    reused
        True when the artefact of an earlier run was taken; the other figures are then that run's.
    """

    station: str
    unit: str
    made: int
    seconds: float
    cpu_seconds: float
    peak_memory_bytes: int
    device: str
    device_reason: str
    bytes_in: int = 0
    bytes_out: int = 0
    memory_bytes: int = 0
    joules: float | None = None
    energy_note: str = ""
    floor_seconds: float | None = None
    reused: bool = False
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Made per second of wall time."""
        return self.made / self.seconds if self.seconds > 0 else 0.0

    @property
    def share_of_floor(self) -> float | None:
        """Floor ÷ actual time: 1.0 is as fast as the bytes can move."""
        if self.floor_seconds is None or self.seconds <= 0:
            return None
        return self.floor_seconds / self.seconds

    @property
    def dollars(self) -> float:
        """CPU-seconds at `AIFACTORY_DOLLARS_PER_CORE_HOUR`: an assumption made visible, not a bill."""
        return self.cpu_seconds / 3600 * dollars_per_core_hour()

    def against(self, roofline: Roofline) -> Self:
        """Return the same report with its floor on this machine filled in, if it counted any bytes."""
        if not (self.bytes_in or self.bytes_out or self.memory_bytes):
            return self
        floor = roofline.floor_seconds(bytes_in=self.bytes_in, bytes_out=self.bytes_out, memory_bytes=self.memory_bytes)
        return replace(self, floor_seconds=floor)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the report that `to_dict` described."""
        return cls(**values)

    def __str__(self) -> str:
        floor = "" if self.share_of_floor is None else f", {self.share_of_floor:.1%} of the floor rate"
        again = " (reused)" if self.reused else ""
        rate = f"{self.rate:,.0f}" if self.rate >= 10 else f"{self.rate:.2g}"
        return (
            f"{self.station}: {self.made:,} {self.unit} in {self.seconds:.2f} s = {rate} {self.unit}/s"
            f"{floor}, {self.cpu_seconds:.1f} CPU-s, peak {self.peak_memory_bytes / 2**20:,.0f} MiB,"
            f" ${self.dollars:.6f} on {self.device}{again}"
        )


def dollars_per_core_hour() -> float:
    """Return the price of one core for one hour: the environment's word or the default assumption.

    Raises
    ------
    FactoryError
        If the environment holds something that is not a positive number.
    """
    word = os.environ.get(PRICE_VARIABLE, str(DOLLARS_PER_CORE_HOUR))
    try:
        price = float(word)
    except ValueError:
        price = -1.0
    if not price >= 0:
        msg = f"{PRICE_VARIABLE}={word!r} is not a price"
        raise FactoryError(msg, mend=f"export {PRICE_VARIABLE}={DOLLARS_PER_CORE_HOUR}")
    return price


class Meter:
    """Watch a block of work; afterwards `report` holds its StationReport.

    Parameters
    ----------
    station, unit
        Names for the report: ``Meter("etl", unit="rows")``.
    device_used
        The device that did the work; by default the chosen one.
    """

    def __init__(self, station: str, *, unit: str, device_used: device.Device | None = None) -> None:
        self.station = station
        self.unit = unit
        self.device = device_used or device.current()
        self._counts: dict[str, int] = {"made": 0, "bytes_in": 0, "bytes_out": 0, "memory_bytes": 0}
        self._details: dict[str, Any] = {}
        self._report: StationReport | None = None

    def count(
        self, made: int = 0, *, bytes_in: int = 0, bytes_out: int = 0, memory_bytes: int = 0, **details: Any
    ) -> None:
        """Add to what was made and moved; `details` are kept as they are (JSON values)."""
        for name, value in (("made", made), ("bytes_in", bytes_in), ("bytes_out", bytes_out)):
            self._counts[name] += int(value)
        self._counts["memory_bytes"] += int(memory_bytes)
        self._details.update(details)

    @property
    def report(self) -> StationReport:
        """The report of the finished block.

        Raises
        ------
        FactoryError
            While the block still runs, or after it failed.
        """
        if self._report is None:
            msg = f"the meter of station {self.station!r} has no report: its block has not finished"
            raise FactoryError(msg, mend="read meter.report after the with block")
        return self._report

    def __enter__(self) -> Self:
        self._energy = Energy()
        self._peak = _PeakMemory()
        self._peak.start()
        self._cpu = _cpu_seconds()
        self._start = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.perf_counter() - self._start
        cpu = _cpu_seconds() - self._cpu
        peak = self._peak.stop()
        if kind is not None:
            return
        joules, note = self._energy.joules()
        self._report = StationReport(
            station=self.station,
            unit=self.unit,
            seconds=seconds,
            cpu_seconds=cpu,
            peak_memory_bytes=peak,
            device=self.device.kind,
            device_reason=self.device.reason,
            joules=joules,
            energy_note=note,
            details=self._details,
            made=self._counts["made"],
            bytes_in=self._counts["bytes_in"],
            bytes_out=self._counts["bytes_out"],
            memory_bytes=self._counts["memory_bytes"],
        )


def _cpu_seconds() -> float:
    times = os.times()  # ticks of 10 ms: good enough for children, too coarse for ourselves
    return time.process_time() + times.children_user + times.children_system


class _PeakMemory(threading.Thread):
    """Sample the resident memory of this process and its children until stopped."""

    def __init__(self) -> None:
        super().__init__(name="aifactory-peak-memory", daemon=True)
        self._process = psutil.Process()
        self._children: list[psutil.Process] = []
        self._done = threading.Event()
        self._samples = 0
        self.peak = 0
        self._sample()

    def run(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            self._sample()

    def stop(self) -> int:
        self._done.set()
        self.join()
        self._sample()
        return self.peak

    def _sample(self) -> None:
        if self._samples % CHILDREN_EVERY == 0:
            self._children = self._process.children(recursive=True)
        self._samples += 1
        total = self._process.memory_info().rss
        for child in self._children:
            try:
                total += child.memory_info().rss
            except psutil.Error:  # it ended between the list and the look
                continue
        self.peak = max(self.peak, total)
