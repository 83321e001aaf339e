"""Xid errors: what the driver reports of a GPU's faults, as events, and what the numbers mean.

Meanings after NVIDIA's "XID Errors" (docs.nvidia.com/deploy/xid-errors). Only what happens from the first look on is
seen: the driver keeps no list. This module does not know what anyone does about a fault.

>>> MEANINGS[79]
('critical', 'the GPU has fallen off the bus')
>>> meaning(3)
('warning', "see NVIDIA's list of Xid errors")
"""

import ctypes
from typing import Any, Literal

import numpy as np
import pynvml

from aifactory_lab.telemetry.nvml.calls import OK, UNSUPPORTED, address, ask, function

Severity = Literal["info", "warning", "critical"]
MOST_EVENTS = 64  # a tick; a storm of errors must not stop the readings

MEANINGS: dict[int, tuple[Severity, str]] = {
    13: ("warning", "a program ran into an exception of the graphics engine"),
    31: ("warning", "a program touched memory that is not its own (MMU fault)"),
    32: ("warning", "commands arrived damaged: the PCIe link, or the driver"),
    43: ("warning", "a program of this GPU was stopped after a fault of its own"),
    45: ("info", "a program was ended, its work was cleared away"),
    48: ("critical", "an ECC error of two bits: memory was wrong"),
    61: ("critical", "the GPU's controller stopped with an internal breakpoint"),
    62: ("critical", "the GPU's controller halted"),
    63: ("warning", "a memory row or page is to be replaced at the next reset"),
    64: ("critical", "a bad memory row or page could not be replaced"),
    68: ("warning", "the video processor met an exception"),
    69: ("warning", "a program ran into an exception of the graphics engine class"),
    74: ("critical", "an NVLink error"),
    79: ("critical", "the GPU has fallen off the bus"),
    92: ("warning", "many ECC errors of one bit"),
    94: ("warning", "an uncorrectable memory error, contained to one program"),
    95: ("critical", "an uncorrectable memory error that was not contained: reset the GPU"),
    109: ("warning", "switching between programs took too long"),
    110: ("critical", "a security fault: power the machine off and on"),
    119: ("critical", "the GPU's system processor did not answer in time"),
    120: ("critical", "the GPU's system processor met an error"),
    140: ("critical", "an ECC error that was not recovered"),
    149: ("critical", "an NVLink error"),
    154: ("warning", "the GPU asks for a recovery action: nvidia-smi -q"),
}


def meaning(number: int) -> tuple[Severity, str]:
    """Return how bad an Xid is, and what it means."""
    return MEANINGS.get(number, ("warning", "see NVIDIA's list of Xid errors"))


class Watch:
    """The Xid events of so many devices.

    Attributes
    ----------
    last
        Shape (devices,): the newest Xid of each, 0 if there was none.
    codes
        Shape (devices,): 0 where the driver tells of them.
    """

    def __init__(self, devices: int) -> None:
        self.last = np.zeros(devices)
        self.codes = np.full(devices, UNSUPPORTED, dtype=np.int32)
        self._rows: dict[int, int] = {}
        self._set, self._code = ask(pynvml.nvmlEventSetCreate)
        self._wait = function("nvmlEventSetWait_v2")
        self._event: Any = pynvml.c_nvmlEventData_t()

    def add(self, row: int, handle: Any) -> None:
        """Watch a device from now on."""
        if self._code == OK:
            kind = pynvml.nvmlEventTypeXidCriticalError
            self.codes[row] = ask(pynvml.nvmlDeviceRegisterEvents, handle, kind, self._set)[1]
            self._rows[address(handle)] = row

    def poll(self) -> list[int]:
        """Take what has happened, without waiting; return the rows with a new Xid."""
        rows: list[int] = []
        if not self._rows or self._wait is None:
            return rows
        # Anything but success ends it: a timeout is "no more", and a lost GPU shows itself in its own readings.
        while len(rows) < MOST_EVENTS and self._wait(self._set, ctypes.byref(self._event), 0) == OK:
            row = self._rows.get(address(self._event.device))
            if row is not None:
                self.last[row] = self._event.eventData
                rows.append(row)
        return rows

    def close(self) -> None:
        """Let go of the driver's event set; may be called twice."""
        if self._code == OK:
            ask(pynvml.nvmlEventSetFree, self._set)
        self._code, self._rows = UNSUPPORTED, {}
