"""On a Dask worker: the GPUs of its node, read in a thread of its own and handed to every heartbeat.

Tasks that fill all threads of a worker do not hold it up, and it opens the driver outside the event loop. Of the
workers of one cluster on one machine one speaks (a file lock says which); where no lock can be had all do, and the
reader counts a UUID once. It does not know Dask: a heartbeat calls `report`.

>>> reports = GpuReports("tcp://doctest:8786")
>>> sorted(reports.report())[:2]
['node', 'words']
>>> reports.close()
"""

import hashlib
import socket
import threading
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from aifactory_lab.errors import FactoryError, TelemetryError
from aifactory_lab.telemetry.readings import Layout
from aifactory_lab.telemetry.sampler import Sampler
from aifactory_lab.telemetry.sharing.commons import Shared
from aifactory_lab.telemetry.sharing.documents import write_facts, write_layout
from aifactory_lab.telemetry.sharing.election import Lock, runtime_folder
from aifactory_lab.telemetry.sources import Source, here

TRY_SECONDS = 0.5  # how soon another worker speaks when the one that did is dead
AGAIN_SECONDS = 60.0  # how soon to look again for a driver where there was none


def _nvml() -> Source:
    from aifactory_lab.telemetry.nvml.source import NvmlSource

    return NvmlSource()


class GpuReports:
    """The newest reading of a node's GPUs, or the words why there is none.

    Parameters
    ----------
    cluster
        What the workers of one cluster have in common: the scheduler's address.
    make
        Makes the source; by default NVIDIA's management library.
    """

    def __init__(self, cluster: str, make: Callable[[], Source] = _nvml) -> None:
        self._cluster, self._make = cluster, make
        self._words = ""
        self._sampler: Sampler | None = None
        self._written: tuple[Layout | None, str] = (None, "")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="aifactory-gpu-reports", daemon=True)
        self._thread.start()

    def report(self, worker: object = None) -> dict[str, Any]:  # noqa: ARG002 - Dask passes the worker
        """Return the node, and what was read or words why nothing is; neither while the driver is being opened.

        It is of plain types and text only: a scheduler also tells it as JSON.
        """
        told: dict[str, Any] = {"node": here()[-1], "words": self._words}
        sampler = self._sampler
        latest = sampler.latest if sampler else None
        if sampler is None or latest is None:
            return told
        if self._written[0] is not latest.layout:
            self._written = (latest.layout, write_layout(latest.layout).decode())
        return told | {
            "layout": self._written[1],
            "values": b64encode(latest.values.astype("<f8").tobytes()).decode(),
            "states": b64encode(latest.states.tobytes()).decode(),
            "notes": list(latest.notes),
            "facts": write_facts(dict(sampler.facts)).decode(),
        }

    def close(self) -> None:
        """End the thread; it lets go of the driver and the lock."""
        self._done.set()

    def _run(self) -> None:
        lock, wait = self._lock(), 0.0
        try:
            while not self._done.wait(wait):
                wait = TRY_SECONDS
                if self._sampler is not None:
                    continue
                if lock is None or lock.take():
                    wait = self._begin(lock)
                else:
                    self._words = "told by another worker of this node"
        finally:
            if self._sampler is not None:
                self._sampler.close()
            if lock is not None:
                lock.release()

    def _begin(self, lock: Lock | None) -> float:
        """Open the driver; return the seconds until the next look."""
        try:
            source = self._make()
            self._sampler = Sampler(source if lock is None else Shared(source))
        except Exception as error:  # noqa: BLE001 - no driver, or none that we can read: words for the reader
            self._words = error.what if isinstance(error, FactoryError) else f"{type(error).__name__}: {error}"
            if lock is not None:
                lock.release()
            return AGAIN_SECONDS
        self._words = ""
        return TRY_SECONDS

    def _lock(self) -> Lock | None:
        """Return the lock that the workers of this cluster on this machine share, if they can."""
        name = hashlib.sha256(f"{self._cluster}\n{socket.gethostname()}".encode()).hexdigest()[:16]
        try:
            return Lock(runtime_folder() / f"dask-{name}.lock")
        except TelemetryError as error:
            self._words = error.what
            return None
