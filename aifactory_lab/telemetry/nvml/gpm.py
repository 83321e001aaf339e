"""How busy the parts of a GPU are: NVML's GPM metrics (Hopper and newer), from two samples at least 100 ms apart.

"Busy" says that something ran; these say how many multiprocessors, and how much of the tensor cores and of the memory
bandwidth, it used. Reading them is opt-in, because two readers of these counters disturb each other. MIG instances
have them too, where nothing else measures their use. This module does not know what a board shows.

>>> METRICS["tensor_active"]
(5, 1.0)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pynvml

from aifactory_lab.telemetry.nvml.calls import IS_NEVER, OK, STATES, UNSUPPORTED, ask
from aifactory_lab.telemetry.nvml.devices import Device
from aifactory_lab.telemetry.readings import State

LEAST_SECONDS = 0.1  # nvml.h: "at least 100 ms" between two samples
MIB = float(2**20)
# metric: NVML_GPM_METRIC_{SM_UTIL, ANY_TENSOR_UTIL, DRAM_BW_UTIL, PCIE_RX_PER_SEC, PCIE_TX_PER_SEC}, and its unit
METRICS = {
    "sm_active": (2, 1.0),
    "tensor_active": (5, 1.0),
    "dram_active": (10, 1.0),
    "pcie_rx": (21, MIB),
    "pcie_tx": (20, MIB),
}


@dataclass
class _Pair:
    """The sample before, the one to come, and when the one before was taken."""

    device: Device
    gpu: Any
    before: Any
    after: Any
    time: float


class Gpm:
    """The GPM metrics of so many devices.

    Attributes
    ----------
    values, states
        Shape (devices, metrics of `METRICS`); stale until there are two samples.
    """

    def __init__(self, devices: int) -> None:
        self.values = np.full((devices, len(METRICS)), np.nan)
        self.states = np.full((devices, len(METRICS)), State.UNSUPPORTED, dtype=np.uint8)
        self._pairs: dict[int, _Pair] = {}
        self._ask: Any = pynvml.c_nvmlGpmMetricsGet_t(version=1, numMetrics=len(METRICS))
        for place, (number, _) in enumerate(METRICS.values()):
            self._ask.metrics[place].metricId = number

    def add(self, device: Device, gpu: Any) -> None:
        """Read a device from now on, if it can be; `gpu` is the handle of the GPU, for a MIG instance its parent's."""
        self.drop(device.row)
        support, code = ask(pynvml.nvmlGpmQueryDeviceSupport, gpu)
        if code or not support.isSupportedDevice:
            return
        before, after = (ask(pynvml.nvmlGpmSampleAlloc)[0] for _ in range(2))
        if before is None or after is None:
            return
        self._pairs[device.row] = _Pair(device, gpu, before, after, -np.inf)
        self.states[device.row] = State.STALE

    def read(self, clock: Any) -> None:
        """Read every device whose last sample is old enough."""
        for row, pair in list(self._pairs.items()):
            started = clock()
            if started - pair.time < LEAST_SECONDS:
                continue
            code = _sample(pair)
            if code and IS_NEVER[code]:
                self.drop(row)
            elif code:
                self.values[row], self.states[row], pair.time = np.nan, STATES[code], -np.inf
            else:
                self._take(row, pair, clock())

    def drop(self, row: int) -> None:
        """Read a device no more."""
        pair = self._pairs.pop(row, None)
        if pair is not None:
            _free(pair)
        self.values[row], self.states[row] = np.nan, State.UNSUPPORTED

    def close(self) -> None:
        """Let go of the driver's samples; may be called twice."""
        for row in list(self._pairs):
            self.drop(row)

    def _take(self, row: int, pair: _Pair, now: float) -> None:
        """Compare the new sample with the one before, which gives way."""
        if pair.time != -np.inf:
            self._compare(row, pair)
        pair.before, pair.after, pair.time = pair.after, pair.before, now

    def _compare(self, row: int, pair: _Pair) -> None:
        self._ask.sample1, self._ask.sample2 = pair.before, pair.after
        _, code = ask(pynvml.nvmlGpmMetricsGet, self._ask)
        for place, (_, unit) in enumerate(METRICS.values()):
            metric = self._ask.metrics[place]
            one = code or metric.nvmlReturn
            self.values[row, place] = metric.value * unit if one == OK else np.nan
            self.states[row, place] = STATES[one]


def _sample(pair: _Pair) -> int:
    if pair.device.parent is None:
        return ask(pynvml.nvmlGpmSampleGet, pair.gpu, pair.after)[1]
    if not hasattr(pynvml, "nvmlGpmMigSampleGet"):
        return UNSUPPORTED
    return ask(pynvml.nvmlGpmMigSampleGet, pair.gpu, pair.device.instance, pair.after)[1]


def _free(pair: _Pair) -> None:
    for sample in (pair.before, pair.after):
        ask(pynvml.nvmlGpmSampleFree, sample)
