"""Who works on a GPU: the driver's list of processes, with names and users from the operating system.

In a container the driver's process numbers may be those of the machine outside; such a process has no name here. This
module does not know what a process computes.

>>> Processes().describe(os.getpid())[0] != ""
True
"""

import os
import time
from typing import Any

import psutil
import pynvml

from aifactory_lab.telemetry.nvml.calls import OK, ask, words
from aifactory_lab.telemetry.nvml.devices import Device
from aifactory_lab.telemetry.readings import Process

NOT_FOUND = 6  # NVML_ERROR_NOT_FOUND: nobody used the GPU since the last look
MOST_KNOWN = 4_096


class Processes:
    """The processes of devices; remembers names, and until when each device's use was told."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[psutil.Process, str, str]] = {}
        self._since: dict[int, int] = {}

    def of(self, device: Device) -> tuple[tuple[Process, ...], str]:
        """Return the processes on a device, those with most memory first; if it cannot be told, why."""
        listed, code = dict[int, Any](), OK
        for call in (pynvml.nvmlDeviceGetGraphicsRunningProcesses, pynvml.nvmlDeviceGetComputeRunningProcesses):
            found, code = ask(call, device.handle)
            listed |= {process.pid: process for process in found or ()}
        if code and not listed:  # of those that compute; drivers without a display know no graphics processes
            return (), words(code)
        busy = self._busy(device) if listed else {}
        told = (self._process(pid, listed[pid].usedGpuMemory, busy.get(pid)) for pid in listed)
        return tuple(sorted(told, key=lambda process: -(process.memory_bytes or 0))), ""

    def describe(self, pid: int) -> tuple[str, str]:
        """Return name and user of a process, empty if it cannot be seen from here."""
        known = self._known.get(pid)
        if known is None or not known[0].is_running():  # ended, or the number was given out again
            known = self._known[pid] = _look(pid)
            if len(self._known) > MOST_KNOWN:
                del self._known[next(iter(self._known))]
        return known[1:]

    def _process(self, pid: int, memory: int | None, busy: float | None) -> Process:
        try:
            name, user = self.describe(pid)
        except psutil.Error:
            name, user = "", ""
        return Process(pid, name, user, memory, busy)

    def _busy(self, device: Device) -> dict[int, float]:
        """Return percent of the multiprocessors' time per process, the newest since the last look."""
        if device.parent is not None:
            return {}
        since = self._since.get(device.row, int((time.time() - 10.0) * 1e6))  # the driver counts in microseconds
        samples, code = ask(pynvml.nvmlDeviceGetProcessUtilization, device.handle, since)
        if code != OK:
            return {}
        newest = sorted(samples, key=lambda sample: sample.timeStamp)
        self._since[device.row] = max([since, *(sample.timeStamp for sample in newest)])
        return {sample.pid: float(sample.smUtil) for sample in newest if sample.timeStamp > since}


def _look(pid: int) -> tuple[psutil.Process, str, str]:
    process = psutil.Process(pid)
    with process.oneshot():
        name = process.name() + (" (this process)" if pid == os.getpid() else "")
        try:
            return process, name, process.username()
        except (psutil.AccessDenied, KeyError):  # a user of whom this machine does not know
            return process, name, ""
