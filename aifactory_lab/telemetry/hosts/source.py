"""The machine that the kernel runs on, as a source: CPU, memory, load, disk, network, temperature, energy.

In a container with limits the readings are the container's: memory against its limit, CPU against its quota; the
facts say so. What this machine does not show, as most virtual machines do not show temperature and energy, is
unsupported, with the reason in the facts. It does not know about GPUs.

>>> with HostSource() as source:
...     reading = source.sample().reading(source.layout.entities[0].id, "memory_total")
>>> reading.value > 1e8
True
"""

import os
import platform
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil

from aifactory_lab.telemetry.hosts.cgroups import Limits
from aifactory_lab.telemetry.hosts.powercap import POWERCAP, Packages
from aifactory_lab.telemetry.hosts.processes import Scan
from aifactory_lab.telemetry.metrics import HOST, METRICS
from aifactory_lab.telemetry.readings import Entity, Facts, Layout, Process, Snapshot, State
from aifactory_lab.telemetry.sources import Source, here

HWMON = Path("/sys/class/hwmon")
SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")  # their temp1 is the package, or the control value
LEAST_SECONDS = 0.05  # a rate over less than five of the kernel's 10 ms ticks would be noise
Readings = dict[str, float | None]


class HostSource(Source):
    """The readings of this machine.

    Rates are differences of counters over the time that really went by; until there are two looks they are stale.

    Parameters
    ----------
    powercap, hwmon
        Where the kernel shows energy counters and temperatures.
    limits
        The limits of this container; by default as the kernel gives them.
    """

    key = "host"

    def __init__(self, powercap: Path = POWERCAP, *, hwmon: Path = HWMON, limits: Limits | None = None) -> None:
        self._powercap, self._hwmon, self._asked = powercap, hwmon, limits

    def open(self) -> Layout:
        """Find out what can be read here."""
        machine = psutil.cpu_count() or 1
        memory = psutil.virtual_memory().total
        self._limits = self._asked or Limits.read(memory_total=memory, cores=machine)
        self._cores = self._limits.cores or machine
        self._packages = Packages(self._powercap)
        self._sensors = _sensors(self._hwmon)
        self._scan = Scan(self._cores)
        self._processes: tuple[Process, ...] = ()
        self._rates: Readings = {}
        self._before: Readings = self._counters()
        self._since = time.monotonic()
        self._details = self._words(machine, memory)
        return Layout((Entity(here(), "host", _processor()),), HOST, "measured", here()[-1])

    def sample(self) -> Snapshot:
        """Read the machine once."""
        snapshot = Snapshot.blank(self.layout, time=time.time())
        now, counters = time.monotonic(), self._counters()
        if (elapsed := now - self._since) >= LEAST_SECONDS:
            self._rates = {name: _rate(self._before[name], value, elapsed) for name, value in counters.items()}
            self._before, self._since = counters, now
        readings = self._gauges() | {"energy": counters["power"]}
        for name, value in counters.items():
            readings[name] = self._rates.get(name)
            if value is not None and readings[name] is None:
                snapshot.put(self._id, **{name: State.STALE})
        if readings["busy"] is not None:
            readings["busy"] = min(100.0, 100 * readings["busy"] / self._cores)
        return snapshot.put(self._id, **{name: value for name, value in readings.items() if value is not None})

    def facts(self) -> dict[str, Facts]:
        """Tell the busiest processes of this user, and what the numbers are of."""
        if found := self._scan.look():
            self._processes = found
        return {self._id: Facts(self._processes, (), self._details)}

    @property
    def _id(self) -> str:
        return self.layout.entities[0].id

    def _counters(self) -> Readings:
        """Return what only grows: seconds, joules and bytes, by the metric that is its rate."""
        # The kernel's counters have 64 bits; psutil's own guard against wraps (nowrap) takes longer than the reading.
        disks = _read(lambda: psutil.disk_io_counters(perdisk=True, nowrap=False))
        nics = _read(lambda: psutil.net_io_counters(pernic=True, nowrap=False))
        limited = self._limits.cpu_seconds()
        return {
            "busy": _cpu_seconds() if limited is None else limited,
            "power": self._packages.joules(),
            "disk_read": _total(disks, "read_bytes", "/sys/block"),
            "disk_write": _total(disks, "write_bytes", "/sys/block"),
            "network_rx": _total(nics, "bytes_recv", "/sys/class/net"),
            "network_tx": _total(nics, "bytes_sent", "/sys/class/net"),
        }

    def _gauges(self) -> Readings:
        memory, used = psutil.virtual_memory(), self._limits.memory_used()
        return {
            "memory_total": self._limits.memory_bytes or memory.total,
            "memory_used": memory.total - memory.available if used is None else used,
            "temperature": max((c for c in map(_celsius, self._sensors) if c is not None), default=None),
            "load": _read(lambda: os.getloadavg()[0]),
        }

    def _words(self, machine: int, memory: float) -> dict[str, str]:
        bytes_of = METRICS["memory_total"].text
        words = {"cores": str(machine), "memory": bytes_of(memory)}
        if (limit := self._limits.memory_bytes) is not None:
            words["memory limit"] = f"{bytes_of(limit)} of the machine's {bytes_of(memory)} (this container's)"
        if (cores := self._limits.cores) is not None:
            words["CPU quota"] = f"{cores:g} of the machine's {machine} cores (this container's)"
        if self._packages.reason:
            words["energy"] = f"not shown here ({self._packages.reason})"
        if not self._sensors:
            words["temperature"] = f"not shown here ({self._hwmon} has no CPU sensor)"
        return words


def _rate(before: float | None, now: float | None, elapsed: float) -> float | None:
    return None if before is None or now is None else max(0.0, now - before) / elapsed


def _cpu_seconds() -> float:
    """Return the seconds that all processors worked; what a hypervisor took (steal) is not work of this machine."""
    times = psutil.cpu_times()
    return float(sum(getattr(times, part, 0.0) for part in ("user", "nice", "system", "irq", "softirq")))


def _total(counters: dict[str, Any] | None, field: str, devices: str) -> float | None:
    if not counters:
        return None
    return float(sum(getattr(counters[name], field) for name in _physical(tuple(counters), devices)))


@lru_cache(maxsize=16)
def _physical(names: tuple[str, ...], devices: str) -> tuple[str, ...]:
    """Return the devices behind which there is hardware: a volume, bridge or bond counts their bytes again.

    In a container nothing may be hardware; then everything counts but the loopback.
    """
    hardware = tuple(name for name in names if (Path(devices) / name / "device").exists())
    return hardware or tuple(name for name in names if name != "lo")


def _sensors(hwmon: Path) -> list[Path]:
    chips = [name.parent for name in sorted(hwmon.glob("*/name")) if name.read_text().strip() in SENSORS]
    return [chip / "temp1_input" for chip in chips if _celsius(chip / "temp1_input") is not None]


def _celsius(path: Path) -> float | None:
    try:  # one file; psutil reads every sensor of the machine, disks too, which takes milliseconds
        return int(path.read_text()) / 1e3
    except (OSError, ValueError):
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _read(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (OSError, RuntimeError, NotImplementedError, psutil.Error):  # a sandbox that hides /proc files
        return None
