"""PCIe rates for GPUs whose byte counters cannot be used, in a thread of their own.

``nvmlDeviceGetPcieThroughput`` watches the link for 20 ms and blocks meanwhile (nvml.h), twice per GPU: 8 GPUs take a
third of a second. So it is asked here, never among the fast readings, and only when somebody wants it. This module
does not know why a GPU's counters cannot be used.

>>> reader = SlowPcie(devices=1)
>>> reader.close()
>>> reader.rates.tolist()
[[nan, nan]]
"""

import threading
from typing import Any

import numpy as np
import pynvml

from aifactory_lab.telemetry.nvml.calls import STATES, ask
from aifactory_lab.telemetry.readings import State

PERIOD = 1.0  # seconds between two rounds over all GPUs
KIB = 1024.0
JOIN_SECONDS = 1.0


class SlowPcie:
    """The thread, and what it read last.

    Attributes
    ----------
    rates, states
        Shape (devices, 2): PCIe in and out, bytes/s; stale before the first round.
    """

    def __init__(self, devices: int, period: float = PERIOD) -> None:
        self.rates = np.full((devices, 2), np.nan)
        self.states = np.full((devices, 2), State.STALE, dtype=np.uint8)
        self._period, self._wanted = period, dict[int, Any]()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aifactory-slow-pcie", daemon=True)
        self._thread.start()

    def want(self, handles: dict[int, Any]) -> None:
        """Read these rows from now on, and no others."""
        for row in self._wanted.keys() - handles.keys():
            self.rates[row], self.states[row] = np.nan, State.STALE
        self._wanted = handles

    def close(self) -> None:
        """End the thread, after the call that it is in; may be called twice."""
        self._done.set()
        self._thread.join(JOIN_SECONDS)

    def _run(self) -> None:
        while not self._done.is_set():
            for row, handle in self._wanted.items():
                if self._done.is_set():
                    return
                self._read(row, handle)
            self._done.wait(self._period)

    def _read(self, row: int, handle: Any) -> None:
        for place, direction in enumerate((pynvml.NVML_PCIE_UTIL_RX_BYTES, pynvml.NVML_PCIE_UTIL_TX_BYTES)):
            speed, code = ask(pynvml.nvmlDeviceGetPcieThroughput, handle, direction)
            self.rates[row, place] = np.nan if code else speed * KIB
            self.states[row, place] = STATES[code]
