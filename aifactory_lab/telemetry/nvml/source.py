"""The NVIDIA GPUs of this machine, as a source: what their driver tells through its management library.

The fast readings block nowhere; rates are differences of counters over the time that really went by; what a GPU does
not have is unsupported, and one that fell off the bus is lost, alone, until it is found again. MIG instances stand
below their GPU. It does not know what runs on the GPUs, or who looks.

>>> source = NvmlSource()
>>> source.key, source.period
('nvml', 1.0)
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import pynvml

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.nvml import calls as nvml_calls
from aifactory_lab.telemetry.nvml import devices as nvml_devices
from aifactory_lab.telemetry.nvml.fleet import Fleet
from aifactory_lab.telemetry.nvml.gpm import Gpm
from aifactory_lab.telemetry.nvml.slow_pcie import SlowPcie
from aifactory_lab.telemetry.readings import Facts, Layout, Snapshot
from aifactory_lab.telemetry.sources import Source, here

CLOSE_SECONDS = 1.0  # a driver that hangs must not hold up who closes


class NvmlSource(Source):
    """The readings of all GPUs that the driver shows to this process.

    Parameters
    ----------
    gpm
        Read how many multiprocessors, and how much of the tensor cores and the memory bandwidth, are used (Hopper
        and newer). Another reader of these counters, such as DCGM, is disturbed by it.
    slow_pcie
        Where the PCIe byte counters cannot be used, measure 20 ms of every second in a thread of its own.
    clock
        A steady clock in seconds.

    Raises
    ------
    TelemetryError
        From `open`: there is no driver, it is not loaded, this user may not use it, or it sees no GPU.

    Notes
    -----
    Energy, power limit and memory temperature take the driver milliseconds, so they are read at most once a second;
    between, their last values stand. ECC and remapped rows come with the facts, a few GPUs a tick. Memory counts what
    programs use, without what the driver reserves. The energy counter begins when the driver is loaded, the ECC
    counters too; Xid errors are seen from the first look on, 0 is none.
    """

    key = "nvml"

    def __init__(
        self, *, gpm: bool = False, slow_pcie: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._with_gpm, self._with_slow, self._clock = gpm, slow_pcie, clock
        self._fleet: Fleet | None = None
        self._lock = threading.Lock()
        self._closed = False

    def open(self) -> Layout:
        """Open the driver and find its GPUs."""
        with self._lock:
            self._closed = False
            return self._open().layout

    def sample(self) -> Snapshot:
        """Read all GPUs once."""
        layout = self.layout  # opened on first use
        with self._lock:
            fleet = self._fleet
            if self._closed:
                msg = "the GPUs are no longer watched: the source was closed"
                raise TelemetryError(msg, mend="telemetry.watch(NvmlSource())")
            if fleet is None or fleet.changed:
                fleet = self._open()
            if fleet.layout is not layout:
                vars(self)["layout"] = fleet.layout
            fleet.read()
            snapshot = Snapshot.blank(fleet.layout, time=time.time())
            fleet.write(snapshot)
            notes = fleet.notes()
            return replace(snapshot, notes=notes) if notes else snapshot

    def facts(self) -> Mapping[str, Facts]:
        """Tell processes, health and details of the next few GPUs."""
        with self._lock:
            return self._fleet.facts() if self._fleet is not None else {}

    def close(self) -> None:
        """Let go of the driver; may be called twice."""
        self._closed = True
        # If a call of the driver hangs, what it may still write to is left as it is.
        if self._lock.acquire(timeout=CLOSE_SECONDS):
            try:
                self._release()
            finally:
                self._lock.release()

    def _open(self) -> Fleet:
        # The new before the old is let go: a driver that nobody holds may fall asleep, and takes seconds to wake.
        count = nvml_calls.start()
        self._release()
        version, _ = nvml_calls.ask(pynvml.nvmlSystemGetDriverVersion)
        devices = nvml_devices.find(count, here())
        slow = SlowPcie(len(devices)) if self._with_slow else None
        gpm = Gpm(len(devices)) if self._with_gpm else None
        self._fleet = Fleet(devices, f"NVIDIA driver {version}", self._clock, gpm=gpm, slow=slow)
        return self._fleet

    def _release(self) -> None:
        if self._fleet is not None:
            self._fleet.close()
            self._fleet = None
            nvml_calls.stop()
