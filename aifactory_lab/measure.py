"""What a piece of work cost: `Meter` watches it, `StationReport` says it.

Every station returns one StationReport: what it made, in how many seconds, CPU-seconds, joules and bytes of
memory, and how that compares with the machine's floor. This module does not know what the stations do.

>>> with Meter("sum", unit="numbers") as meter:
...     meter.count(1000, result=sum(range(1000)))
>>> meter.report.made, meter.report.details["result"]
(1000, 499500)
"""

import os
import time
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, replace
from types import TracebackType
from typing import Any, Self

from aifactory_lab import decoding, device
from aifactory_lab.errors import FactoryError
from aifactory_lab.roofline import Roofline
from aifactory_lab.telemetry import journal
from aifactory_lab.telemetry.energy import Energy
from aifactory_lab.telemetry.usage import Usage, UsageWatch

PRICE_VARIABLE = "AIFACTORY_DOLLARS_PER_CORE_HOUR"
# An assumption to edit, not a measurement: AWS m7i.large, on demand, us-east-1, $0.1008/h for 2 vCPU.
DOLLARS_PER_CORE_HOUR = 0.0504
PROGRESS_SECONDS = 0.5  # between two events of progress
CROSSED = ("host_to_device_bytes", "device_to_host_bytes", "device_to_device_bytes")
MOVED = ("bytes_in", "bytes_out", "memory_bytes", *CROSSED)  # what a floor is made of


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
    gpu_busy_mean, gpu_busy_peak, gpu_memory_peak_bytes, gpu_note
        Percent busy and bytes of the machine's GPUs, or `None` and the reason.
    host_to_device_bytes, device_to_host_bytes, device_to_device_bytes
        What crossed to a GPU, from it, and between two; 0 where nothing did, or nobody counted.
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
    host_to_device_bytes: int = 0
    device_to_host_bytes: int = 0
    device_to_device_bytes: int = 0
    joules: float | None = None
    energy_note: str = ""
    gpu_busy_mean: float | None = None
    gpu_busy_peak: float | None = None
    gpu_memory_peak_bytes: int | None = None
    gpu_note: str = ""
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
    def joules_per_thousand(self) -> float | None:
        """Joules per 1,000 made, `None` where energy is unknown or nothing was made."""
        return None if self.joules is None or not self.made else 1e3 * self.joules / self.made

    @property
    def dollars(self) -> float:
        """CPU-seconds at `AIFACTORY_DOLLARS_PER_CORE_HOUR`: an assumption made visible, not a bill."""
        return self.cpu_seconds / 3600 * dollars_per_core_hour()

    def against(self, roofline: Roofline) -> Self:
        """Return the same report with its floor on this machine filled in, if it counted any bytes."""
        moved = {name: getattr(self, name) for name in MOVED}
        return replace(self, floor_seconds=roofline.floor_seconds(**moved)) if any(moved.values()) else self

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the report that `to_dict` described; `ValueError` if it cannot be one."""
        return decoding.fit(cls, values)

    @property
    def cost(self) -> str:
        """What the block cost, in words, whatever it made; what cannot be known says why."""
        energy = f"{self.joules:,.4g} J" if self.joules is not None else f"energy unknown ({self.energy_note})"
        gpus = f"GPUs unknown ({self.gpu_note})"
        if self.gpu_busy_mean is not None:
            gpus = f"GPUs {self.gpu_busy_mean:.0f}% busy (peak {self.gpu_busy_peak:.0f}%)"
        memory = f"peak {self.peak_memory_bytes / 2**20:,.0f} MiB"
        if self.gpu_memory_peak_bytes is not None:
            memory += f", {self.gpu_memory_peak_bytes / 2**20:,.0f} MiB on GPUs"
        return f"{self.station}: {self.seconds:.2f} s, {self.cpu_seconds:.2f} CPU-s, {energy}, {gpus}, {memory}"

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

    While it runs, the journal says that the station is at work, so that boards can show it.

    Parameters
    ----------
    station, unit
        Names for the report: ``Meter("etl", unit="rows")``; a bare ``Meter()`` only says what the block cost.
    device_used
        The device that did the work; by default the chosen one.
    """

    def __init__(self, station: str = "block", *, unit: str = "runs", device_used: device.Device | None = None) -> None:
        self.station = station
        self.unit = unit
        self.device = device_used or device.current()
        self._counts: dict[str, Any] = dict.fromkeys(("made", *MOVED), 0)
        self._details: dict[str, Any] = {}
        self._report: StationReport | None = None
        self._run, self._told, self._done = journal.new_run(), 0.0, 0

    def progress(self, made: int) -> None:
        """Say that so many more were made, for those who watch; the report counts what `count` is told."""
        self._done += int(made)
        now = time.perf_counter()
        if now - self._told >= PROGRESS_SECONDS:
            self._told = now
            self._publish("progress", made=self._done)

    def count(self, made: int = 0, **counted: Any) -> None:
        """Add to what was made and moved.

        Parameters
        ----------
        made
            So many more.
        **counted
            Bytes by the names of `MOVED`; the bytes of `CROSSED` count where the work is done on a GPU, for elsewhere
            nothing crosses. All else are details, kept as they are (JSON values).
        """
        self._counts["made"] += int(made)
        for name in set(MOVED) & set(counted):
            value = int(counted.pop(name))
            self._counts[name] += value if name not in CROSSED or self.device.kind == "gpu" else 0
        self._details.update(counted)

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
        self._usage = UsageWatch(minutely=self._energy.joules)
        self._usage.start()
        self._token = _INNERMOST.set(self)
        self._publish("begin")
        self._cpu = _cpu_seconds()
        self._start = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.perf_counter() - self._start
        cpu = _cpu_seconds() - self._cpu
        _INNERMOST.reset(self._token)
        usage = self._usage.stop()
        joules, note = self._energy.joules()
        if kind is not None:
            self._publish("failed", made=self._done, seconds=seconds, joules=joules)
            return
        self._report = self._sum_up(seconds, cpu, joules, note, usage)
        self._publish("end", made=self._report.made, seconds=seconds, joules=joules)

    def _sum_up(self, seconds: float, cpu: float, joules: float | None, note: str, usage: Usage) -> StationReport:
        return StationReport(
            station=self.station,
            unit=self.unit,
            seconds=seconds,
            cpu_seconds=cpu,
            device=self.device.kind,
            device_reason=self.device.reason,
            joules=joules,
            energy_note=note,
            details=self._details,
            **self._counts,
            **asdict(usage),
        )

    def _publish(self, kind: journal.Kind, **values: Any) -> None:
        journal.publish(journal.Event(kind, self.station, self._run, self.unit, **values))


_INNERMOST: ContextVar[Meter | None] = ContextVar("innermost meter", default=None)


def progress(made: int) -> None:
    """Tell the meter that runs around this call that so many more were made; nothing happens where none runs."""
    meter = _INNERMOST.get()
    if meter is not None:
        meter.progress(made)


def _cpu_seconds() -> float:
    times = os.times()  # ticks of 10 ms: good enough for children, too coarse for ourselves
    return time.process_time() + times.children_user + times.children_system
