"""Joules since a moment: the CPU package (RAPL) and the GPUs (NVML), where they can be read.

A machine without an energy counter, which is most virtual machines, gives `None` and the reason, never a
guess. This module does not know what the energy was spent on.

>>> joules, note = Energy().joules()
>>> (joules is None) == (note != "")
True
"""

from pathlib import Path
from typing import Any

from aifactory_lab import device

POWERCAP = Path("/sys/class/powercap")


class Energy:
    """A stopwatch for joules: counts from its construction.

    Sources: Linux powercap ``intel-rapl:N/energy_uj`` (micro-joules, wraps at ``max_energy_range_uj``) and
    ``nvmlDeviceGetTotalEnergyConsumption`` (milli-joules since the driver was loaded, Volta and newer).
    """

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self._packages = [zone for zone in sorted(powercap.glob("intel-rapl:?")) if _microjoules(zone) is not None]
        self._gpus = _gpu_handles()
        self._start = self._read()

    def joules(self) -> tuple[float | None, str]:
        """Return joules since the start, or `None` and why it cannot be known."""
        if not self._packages and not self._gpus:
            return None, "no energy counter can be read here (no powercap, no NVML)"
        now = self._read()
        return sum(_difference(a, b, wrap) for (a, wrap), (b, _) in zip(self._start, now, strict=True)), ""

    def _read(self) -> list[tuple[float, float]]:
        cpu = [((_microjoules(zone) or 0) / 1e6, _wrap(zone)) for zone in self._packages]
        return cpu + [(_gpu_joules(handle), 0.0) for handle in self._gpus]


def _difference(before: float, after: float, wrap: float) -> float:
    return after - before if after >= before else after - before + wrap


def _microjoules(zone: Path) -> int | None:
    try:
        return int((zone / "energy_uj").read_text())
    except (OSError, ValueError):  # root-only since CVE-2020-8694, absent in most virtual machines
        return None


def _wrap(zone: Path) -> float:
    try:
        return int((zone / "max_energy_range_uj").read_text()) / 1e6
    except (OSError, ValueError):
        return 0.0


def _gpu_handles() -> list[Any]:
    if device.kind() == "cpu":
        return []
    import pynvml

    pynvml.nvmlInit()
    return [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]


def _gpu_joules(handle: Any) -> float:
    import pynvml

    return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
