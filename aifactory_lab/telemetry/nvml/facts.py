"""What changes slowly on a GPU: its health, its processes, how it is built; a few devices a tick, round and round.

News goes first: a device that was lost, came back or had an Xid error is told of at the next tick. This module reads
the rare values too (ECC, row remapping), because they are most of what health is.

>>> queue = Round(3)
>>> queue.first(2)
>>> [queue.next() for _ in range(4)]
[2, 0, 1, 2]
"""

import time
from collections import deque
from collections.abc import Sequence

import pynvml

from aifactory_lab.telemetry.metrics import METRICS
from aifactory_lab.telemetry.nvml import throttle, xid
from aifactory_lab.telemetry.nvml.calls import OK, UNSUPPORTED, ask, words
from aifactory_lab.telemetry.nvml.devices import Device
from aifactory_lab.telemetry.nvml.links import Links
from aifactory_lab.telemetry.nvml.processes import Processes
from aifactory_lab.telemetry.nvml.sheet import Sheet
from aifactory_lab.telemetry.nvml.table import PLACE
from aifactory_lab.telemetry.readings import Facts, Finding, Process

SLICE_SECONDS = 0.0015  # a tick's facts may take 2 ms
MOST_A_TICK = 16
NO_PERMISSION = 4


class Round:
    """Whose turn it is, of so many rows."""

    def __init__(self, rows: int) -> None:
        self._turns = deque(range(rows))

    def first(self, row: int) -> None:
        """Let a row be next."""
        self._turns.remove(row)
        self._turns.appendleft(row)

    def next(self) -> int:
        """Return the row whose turn it is, and put it last."""
        row = self._turns.popleft()
        self._turns.append(row)
        return row


class Inspector:
    """Tells the facts of devices, a slice at a time."""

    def __init__(self, devices: Sequence[Device], sheet: Sheet, watch: xid.Watch, links: Links) -> None:
        self._round = Round(len(devices))
        self._devices, self._sheet, self._watch, self._links = devices, sheet, watch, links
        self._processes = Processes()

    def first(self, row: int) -> None:
        """Tell of a device at the next tick: there is news."""
        self._round.first(row)

    def look(self) -> tuple[dict[str, Facts], dict[int, int]]:
        """Return the facts of the next few devices by entity id, and those found gone meanwhile, with the code."""
        told, gone = dict[str, Facts](), dict[int, int]()
        end = time.perf_counter() + SLICE_SECONDS
        for _ in range(min(MOST_A_TICK, len(self._devices))):
            device = self._devices[self._round.next()]
            gone |= self._sheet.read("rare", [device.row])
            told[device.entity.id] = self._facts(device) if device.row not in gone else _lost(gone[device.row])
            if time.perf_counter() >= end:
                break
        return told, gone

    def _facts(self, device: Device) -> Facts:
        if not device.present:
            return _lost(device.code)
        processes, hidden = tuple[Process, ...](), ""
        if device.parent is not None or not device.instances:  # a process on an instance stands there
            processes, hidden = self._processes.of(device)
        details = self._details(device) | ({"processes": hidden} if hidden else {})
        return Facts(processes, tuple(self._findings(device)), details)

    def _details(self, device: Device) -> dict[str, str]:
        if "UUID" not in device.words:
            device.words |= _identity(device)
        details = device.words | self._links.words(device)
        if self._sheet.codes[device.row, PLACE["throttle"]] == OK:
            mask = int(self._sheet.records["throttle"][device.row])
            details["clocks"] = ", ".join(throttle.words(mask)) or "nothing holds them back"
        if self._sheet.without_memory[device.row]:
            details["memory"] = "shared with the host (unified memory): the readings are the host's"
        if self._sheet.codes[device.row, PLACE["memory"]] == OK:
            details["reserved"] = METRICS["memory_total"].text(
                float(self._sheet.records["memory"]["reserved"][device.row])
            )
        return details

    def _findings(self, device: Device) -> list[Finding]:
        found = []
        if number := int(self._watch.last[device.row]):
            severity, text = xid.meaning(number)
            found.append(Finding(severity, f"xid {number}", f"Xid {number}: {text}"))
        found += self._memory_findings(device.row)
        if self._sheet.codes[device.row, PLACE["throttle"]] == OK:
            for reason in throttle.reasons(int(self._sheet.records["throttle"][device.row])):
                if reason.severity in ("warning", "critical"):
                    found.append(Finding(reason.severity, "clocks", f"{reason.words}: {reason.meaning}"))
        return found

    def _memory_findings(self, row: int) -> list[Finding]:
        codes, records = self._sheet.codes[row], self._sheet.records[row]
        found = []
        if codes[PLACE["ecc_uncorrected"]] == OK and records["ecc_uncorrected"]:
            text = f"{records['ecc_uncorrected']} ECC errors that could not be corrected since the driver was loaded"
            found.append(Finding("critical", "ecc", text))
        if codes[PLACE["remapped"]] == OK:
            _, _, pending, failure = records["remapped"]
            if failure:
                found.append(
                    Finding("critical", "rows", "a bad memory row could not be replaced: the GPU is due for exchange")
                )
            elif pending:
                found.append(Finding("warning", "rows", "a bad memory row is replaced at the next reset of the GPU"))
        return found


def _lost(code: int) -> Facts:
    told = Finding("info" if code in (UNSUPPORTED, NO_PERMISSION) else "critical", "lost", words(code))
    return Facts((), (told,), {})


def _identity(device: Device) -> dict[str, str]:
    driver, _ = ask(pynvml.nvmlSystemGetDriverVersion)
    told = {"UUID": device.entity.uid, "driver": driver or ""}
    pci, code = ask(pynvml.nvmlDeviceGetPciInfo, device.handle)
    return told | ({"PCI": str(pci.busId)} if code == OK else {})
