"""Joules of the GPUs since a moment, from the driver's counters; a GPU without one is named, never guessed.

The driver is opened once per process and stays open, because opening it can take a tenth of a second and a meter
may run around every cell. What the joules were spent on is not known here.

>>> from aifactory_lab.telemetry import gpu_energy
>>> joules, fault = gpu_energy.GpuCounters().joules()
>>> joules >= 0.0
True
"""

from typing import Any

import pynvml

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.nvml import calls as nvml_calls


class GpuCounters:
    """A stopwatch for the joules of all GPUs of the machine, from its construction.

    Source: ``nvmlDeviceGetTotalEnergyConsumption``, milli-joules since the driver was loaded (Volta and newer).
    """

    def __init__(self) -> None:
        self._gpus = _handles()
        self._start = [_read(gpu) for gpu in self._gpus]

    def __len__(self) -> int:
        return len(self._gpus)

    def joules(self) -> tuple[float, str]:
        """Return the joules since the start, 0 without GPUs, and a note that names the GPUs that cannot tell."""
        now = [_read(gpu) for gpu in self._gpus]
        spent = [
            None if before is None or after is None or after < before else after - before
            for before, after in zip(self._start, now, strict=True)
        ]
        silent = [str(index) for index, joules in enumerate(spent) if joules is None]
        fault = f"no energy can be read from GPU {', '.join(silent[:8])}" if silent else ""
        return sum(joules for joules in spent if joules is not None), fault


_OPENED: list[int] = []  # how many GPUs the driver counted when this process opened it


def _handles() -> list[Any]:
    """Return a handle per GPU, fresh ones, for a reset makes the old ones invalid.

    Where there is no driver the list is empty, and the driver is asked again the next time.
    """
    count, code = nvml_calls.ask(pynvml.nvmlDeviceGetCount)
    if not _OPENED or code != nvml_calls.OK:
        _OPENED.clear()
        try:
            count = nvml_calls.start()
        except TelemetryError:
            return []
        _OPENED.append(count)
    return [nvml_calls.ask(pynvml.nvmlDeviceGetHandleByIndex, index)[0] for index in range(count)]


def _read(gpu: Any) -> float | None:
    """Return a counter in joules, `None` if the GPU has none or is lost."""
    if gpu is None:
        return None
    millijoules, code = nvml_calls.ask(pynvml.nvmlDeviceGetTotalEnergyConsumption, gpu)
    return millijoules / 1e3 if code == nvml_calls.OK else None
