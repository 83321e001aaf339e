"""All GPUs of a machine and their MIG instances, between one opening of the driver and the next.

It reads the sheet, takes in counters and events, lets go of a device that is gone and looks for it again, and notices
when MIG instances come or go. This module does not know samplers, locks, or how the driver was opened.

>>> Fleet([], "nothing here", clock=lambda: 0.0).layout.shape
(0, 24)
"""

from collections.abc import Callable, Mapping

import numpy as np
import psutil

from aifactory_lab.telemetry.metrics import GPU
from aifactory_lab.telemetry.nvml.calls import STATES, words
from aifactory_lab.telemetry.nvml.devices import Device, find_again, resplit
from aifactory_lab.telemetry.nvml.facts import Inspector
from aifactory_lab.telemetry.nvml.gpm import Gpm
from aifactory_lab.telemetry.nvml.links import Links
from aifactory_lab.telemetry.nvml.sheet import Sheet
from aifactory_lab.telemetry.nvml.slow_pcie import SlowPcie
from aifactory_lab.telemetry.nvml.xid import Watch
from aifactory_lab.telemetry.readings import Facts, Layout, Snapshot, State

RETRY_SECONDS = 5.0
SECOND = 0.9  # what is due once a second is taken a little early, or every other tick of a second would miss it
MOST_NOTES = 8


class Fleet:
    """The devices and everything that is kept about them.

    Parameters
    ----------
    devices
        As `nvml_devices.find` found them.
    label
        What the layout says about where the readings come from.
    clock
        A steady clock in seconds.
    gpm, slow
        The reader of GPM metrics and that of slow PCIe rates, if they are wanted.

    Attributes
    ----------
    changed
        Whether GPUs or MIG instances are others than the layout says: open anew.
    """

    def __init__(
        self,
        devices: list[Device],
        label: str,
        clock: Callable[[], float],
        *,
        gpm: Gpm | None = None,
        slow: SlowPcie | None = None,
    ) -> None:
        self.layout = Layout(tuple(device.entity for device in devices), GPU, "measured", label)
        self.changed = False
        self._devices, self._clock, self._gpm, self._slow = devices, clock, gpm, slow
        self._sheet, self._watch = Sheet(len(devices), clock), Watch(len(devices))
        self._links = Links(devices, self._sheet, gpm, slow)
        self._inspector = Inspector(devices, self._sheet, self._watch, self._links)
        self._lost: dict[int, Device] = {}
        self._second = clock()
        for device in devices:
            self._greet(device)
        for tier in ("fast", "second", "rare"):
            self._part(self._sheet.read(tier))
        self._links.count()

    def read(self) -> None:
        """Read all that is due, after a look for what was lost."""
        self._search()
        gone = self._sheet.read("fast")
        if (now := self._clock()) - self._second >= SECOND:
            self._second = now
            gone |= self._sheet.read("second")
        self._part(gone)
        self._links.count()
        if self._gpm is not None:
            self._gpm.read(self._clock)
        for row in self._watch.poll():
            self._inspector.first(row)

    def write(self, snapshot: Snapshot) -> None:
        """Write what was read last into a snapshot of the layout."""
        values, states, columns = snapshot.values, snapshot.states, snapshot.layout.columns
        self._sheet.write(snapshot)
        self._links.write(snapshot)
        values[:, columns["xid"]], states[:, columns["xid"]] = self._watch.last, STATES[self._watch.codes]
        if (unified := self._sheet.without_memory).any():
            memory = psutil.virtual_memory()
            for metric, size in (("memory_total", memory.total), ("memory_used", memory.total - memory.available)):
                values[unified, columns[metric]], states[unified, columns[metric]] = size, State.VALUE
        for row, device in self._lost.items():
            states[row] = STATES[device.code]
        values[states != State.VALUE] = np.nan

    def notes(self) -> tuple[str, ...]:
        """Return what is wrong now, in words."""
        wrong = {row: device.code for row, device in self._lost.items()} | self._sheet.faults()
        told = [f"{self._name(row)}: {words(code)}" for row, code in list(wrong.items())[:MOST_NOTES]]
        return (*told, f"and {len(wrong) - MOST_NOTES} more") if len(wrong) > MOST_NOTES else tuple(told)

    def facts(self) -> Mapping[str, Facts]:
        """Return the facts of the next few devices; notice, too, whether MIG instances came or went."""
        told, gone = self._inspector.look()
        self._part(gone)
        seen = (self._devices[self.layout.rows[entity]] for entity in told)
        self.changed |= any(device.present and resplit(device) for device in seen)
        return told

    def close(self) -> None:
        """Let go of what the driver keeps for us; may be called twice."""
        if self._slow is not None:
            self._slow.close()
        if self._gpm is not None:
            self._gpm.close()
        self._watch.close()

    def _name(self, row: int) -> str:
        path = self._devices[row].entity.path
        return " ".join(path[-2:] if self._devices[row].parent is not None else path[-1:])

    def _parent(self, device: Device) -> Device:
        return device if device.parent is None else self._devices[device.parent]

    def _greet(self, device: Device) -> None:
        """Begin to read a device, or put it with the lost."""
        if not device.present:
            self._part({device.row: device.code})
            return
        self._sheet.ask(device.row, device.pointer, ("memory",) if device.parent is not None else None)
        if device.parent is None:
            self._watch.add(device.row, device.handle)
        if self._gpm is not None:
            self._gpm.add(device, self._parent(device).handle)

    def _part(self, gone: Mapping[int, int]) -> None:
        """Let go of devices that are gone; an instance may be gone because its GPU was split anew."""
        for row in sorted(gone):  # a GPU before its instances
            device = self._devices[row]
            device.handle, device.code, device.retry = None, gone[row], self._clock() + RETRY_SECONDS
            self._lost[row] = device
            self._sheet.leave(row, device.code)
            self._inspector.first(row)
            if self._gpm is not None:
                self._gpm.drop(row)
            parent = self._parent(device)
            self.changed |= parent.present and resplit(parent)

    def _search(self) -> None:
        """Look for lost devices whose time has come, up to the first that is still lost: a look may take long."""
        now = self._clock()
        for device in sorted(self._lost.values(), key=lambda device: device.retry):
            parent = self._parent(device)
            if device.retry > now or (parent is not device and not parent.present):
                continue
            if find_again(device):
                device.retry = now + RETRY_SECONDS
                return
            self._welcome(device)

    def _welcome(self, device: Device) -> None:
        """Take a device back."""
        del self._lost[device.row]
        self._greet(device)
        self._inspector.first(device.row)
        self._part(self._sheet.read("second", [device.row]) | self._sheet.read("rare", [device.row]))
        # One that was lost when the driver was opened has no name in the layout yet.
        self.changed |= not device.entity.uid or (device.present and resplit(device))
