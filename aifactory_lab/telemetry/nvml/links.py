"""What goes over a GPU's links: rates of the driver's byte counters, and what stands in where those cannot be used.

In this order: the counters of PCIe and NVLink; where the PCIe counters are missing, or have 32 bits and may wrap
unseen, GPM's average; and last the slow call in its thread, if either is wanted. This module reads no counter itself.

>>> LINKS
('pcie_rx', 'pcie_tx', 'nvlink_rx', 'nvlink_tx')
"""

from collections.abc import Sequence

import numpy as np

from aifactory_lab.telemetry.nvml.calls import OK, STATES, UNSUPPORTED
from aifactory_lab.telemetry.nvml.counters import Rates
from aifactory_lab.telemetry.nvml.devices import Device
from aifactory_lab.telemetry.nvml.gpm import METRICS, Gpm
from aifactory_lab.telemetry.nvml.sheet import Sheet
from aifactory_lab.telemetry.nvml.slow_pcie import SlowPcie
from aifactory_lab.telemetry.readings import Snapshot, State

LINKS = ("pcie_rx", "pcie_tx", "nvlink_rx", "nvlink_tx")
UNITS = np.array([1.0, 1.0, 1024.0, 1024.0])  # NVLink counts KiB
PCIE = slice(0, 2)
NARROW = "the driver's byte counters have 32 bits and may wrap unseen at this interval"
MISSING = "the driver has no byte counters for this GPU"
MEND = "NvmlSource(slow_pcie=True) measures 20 ms of every second"


class Links:
    """The link rates of devices.

    Parameters
    ----------
    sheet
        Where the counters were read.
    gpm, slow
        What may stand in for PCIe counters.
    """

    def __init__(self, devices: Sequence[Device], sheet: Sheet, gpm: Gpm | None, slow: SlowPcie | None) -> None:
        self._devices, self._sheet, self._gpm, self._slow = devices, sheet, gpm, slow
        tops = np.zeros((len(devices), len(LINKS)))
        tops[:, PCIE] = np.array([device.top for device in devices])[:, None]
        self._rates = Rates(len(devices), len(LINKS), tops)
        self._codes = np.full((len(devices), len(LINKS)), UNSUPPORTED, dtype=np.int32)
        self._speeds = np.full(self._codes.shape, np.nan)

    def count(self) -> None:
        """Take in what the sheet read last."""
        counts, bits, self._codes = self._sheet.counters()
        self._speeds = self._rates.update(counts, bits, self._codes == OK, self._sheet.times) * UNITS

    def write(self, snapshot: Snapshot) -> None:
        """Write the rates into a snapshot."""
        columns = [snapshot.layout.columns[name] for name in LINKS]
        waiting = (self._codes == OK) & np.isnan(self._speeds)
        states = np.where(waiting, np.uint8(State.STALE), STATES[self._codes])
        states[self._rates.doubtful] = State.UNSUPPORTED
        snapshot.values[:, columns], snapshot.states[:, columns] = self._speeds, states
        if self._gpm is not None:
            self._write_gpm(snapshot, self._gpm)
        if self._slow is not None:
            self._write_slow(snapshot, self._slow)

    def words(self, device: Device) -> dict[str, str]:
        """Return why a GPU shows no PCIe rates, and what would."""
        if device.parent is not None or self._slow is not None:
            return {}
        if self._rates.doubtful[device.row, PCIE].any():
            return {"PCIe rates": f"{NARROW}; {MEND}"}
        if (self._codes[device.row, PCIE] == UNSUPPORTED).any():
            return {"PCIe rates": f"{MISSING}; {MEND}"}
        return {}

    def _write_gpm(self, snapshot: Snapshot, gpm: Gpm) -> None:
        for place, metric in enumerate(METRICS):
            column = snapshot.layout.columns[metric]
            empty = snapshot.states[:, column] == State.UNSUPPORTED  # a counter misses nothing, so it goes first
            snapshot.values[empty, column] = gpm.values[empty, place]
            snapshot.states[empty, column] = gpm.states[empty, place]

    def _write_slow(self, snapshot: Snapshot, slow: SlowPcie) -> None:
        columns = [snapshot.layout.columns[name] for name in LINKS[PCIE]]
        empty = (snapshot.states[:, columns] == State.UNSUPPORTED).any(axis=1)
        gpus = [gpu for gpu in self._devices if gpu.present and gpu.parent is None and empty[gpu.row]]
        slow.want({gpu.row: gpu.handle for gpu in gpus})
        for gpu in gpus:
            snapshot.values[gpu.row, columns], snapshot.states[gpu.row, columns] = (
                slow.rates[gpu.row],
                slow.states[gpu.row],
            )
