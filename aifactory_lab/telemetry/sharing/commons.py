"""Many processes, one sampler: the processes of a machine and user that watch the same key read it once.

They elect a leader by a file lock. It alone reads the source, and writes every sample into a ring file that the
others map: ten dashboards cost the driver as much as one, and a page that is opened later has the minutes before at
once. When the leader dies, another takes over at its next tick; while it hangs, time stands still for all, and
values turn stale as they would for the leader. What is read is the wrapped source's business.

>>> import tempfile
>>> from aifactory_lab.telemetry.hooks import Entity, FunctionSource, Layout
>>> layout = Layout((Entity(("here",), "host"),), ("busy",))
>>> source = FunctionSource(layout, lambda now: {"here": {"busy": 42.0}}, key="doctest")
>>> with Shared(source, tempfile.mkdtemp()) as first, Shared(source, first.folder) as second:
...     print(first.sample().reading("here", "busy"), second.sample().reading("here", "busy"), second.leads)
42 % 42 % False
"""

import hashlib
import math
import re
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.history import History, Ring, default_capacity
from aifactory_lab.telemetry.readings import Facts, Layout, Snapshot, lost
from aifactory_lab.telemetry.sharing.election import Lock, runtime_folder
from aifactory_lab.telemetry.sharing.factsfile import FactsFile
from aifactory_lab.telemetry.sharing.ringfile import RingFile
from aifactory_lab.telemetry.sources import Source

HISTORY_SECONDS = 600.0
OPEN_SECONDS = 10.0  # a driver that was asleep takes seconds to open
FIRST_SECONDS = 2.0  # for the leader's first sample, when both begin at once
POLL_SECONDS = 0.02


class Shared(Source):
    """A source that one process reads for all.

    Parameters
    ----------
    source
        What to read; opened only by the process that leads.
    folder
        Where the processes meet: a folder of this user alone, by default below ``$XDG_RUNTIME_DIR``.

    Raises
    ------
    TelemetryError
        From `open`: if the folder is not private, or there is nothing to read.

    Notes
    -----
    The ring keeps ten minutes at the source's own period, at most 64 MiB. Everybody should watch at one period: the
    leader's is everyone's.
    """

    def __init__(self, source: Source, folder: Path | str | None = None) -> None:
        self.source = source
        self.key = source.key
        vars(self)["period"] = source.period  # the class says what suits most sources, the wrapped one what suits it
        self._wanted_folder = folder
        self._settle()
        self._ring: RingFile | None = None
        self._inner: Layout | None = None  # the wrapped source's own object of the ring's layout; set while leading
        self._closed = False

    @property
    def leads(self) -> bool:
        """Whether this process reads the source."""
        return self._inner is not None and self._lock.held

    @property
    def leader(self) -> int:
        """The process that reads the source; 0 if that is not known."""
        return self._lock.holder

    def open(self) -> Layout:
        """Lead, or wait until the leader has opened the source."""
        self._closed = False
        deadline = time.monotonic() + OPEN_SECONDS
        while not self._take():
            with suppress(TelemetryError):
                return self._follow().layout
            if time.monotonic() > deadline:
                msg = f"process {self.leader} reads {self.key!r} for all, and has not opened it in {OPEN_SECONDS:g} s"
                raise TelemetryError(msg, mend=f"kill {self.leader}")
            time.sleep(POLL_SECONDS)
        assert self._ring is not None
        return self._ring.layout

    def sample(self) -> Snapshot:
        """Read the source if this process leads, else the newest sample from the ring.

        Nothing new is the very same snapshot again.
        """
        if self._closed:
            msg = f"{self.key!r} is closed"
            raise TelemetryError(msg)
        if self._take():
            return self._read()
        deadline = time.monotonic() + FIRST_SECONDS
        while (snapshot := self._follow().newest()) is None:
            if time.monotonic() > deadline or self._closed:
                msg = f"process {self.leader} reads {self.key!r} for all, and has written nothing yet"
                raise TelemetryError(msg)
            time.sleep(POLL_SECONDS)
        return snapshot

    def facts(self) -> Mapping[str, Facts]:
        """Return the source's next facts, or all that the leader wrote since the last call."""
        if not self.leads:
            return self._facts.news()
        facts = self.source.facts()
        self._facts.add(facts, entities=self._ring.layout.rows if self._ring else {})
        return facts

    def backlog(self) -> History:
        """Return the last ten minutes; without the newest sample if another process leads: `sample` returns that."""
        layout = self.layout
        history = self._ring.history(skip=0 if self.leads else 1) if self._ring else History.empty(layout)
        start = time.time() - HISTORY_SECONDS
        return history.between(start) if (history.times < start).any() else history

    def close(self) -> None:
        """Let go of the source if this process leads, then of the lock; another process takes over."""
        self._closed = True
        self._step_down()
        self._lock.release()
        self._ring = None

    def _settle(self) -> None:
        self.folder = runtime_folder(self._wanted_folder)
        # by host as well: nodes of a cluster often share a temporary folder, but not their devices
        name = hashlib.sha256(f"{self.key}\n{socket.gethostname()}".encode()).hexdigest()[:16]
        self._path = self.folder / f"{re.sub(r'[^a-z0-9]+', '-', self.key.lower())[:32]}-{name}"
        self._lock = Lock(self._path.with_suffix(".lock"))
        self._facts = FactsFile(self._path.with_suffix(".json"))

    def _take(self) -> bool:
        """Return whether this process leads, and make it so if nobody else does."""
        if self.leads:
            return True
        self._step_down()  # the lock may have been lost with its file
        if not self.folder.is_dir():  # systemd removes $XDG_RUNTIME_DIR when its user logs out
            self._settle()
        if not self._lock.take():
            return False
        try:
            layout = self.source.open() if "layout" in vars(self.source) else self.source.layout
            self._facts.clear()
            self._write_into(layout)
        except BaseException:
            self.source.close()
            self._lock.release()
            raise
        return True

    def _step_down(self) -> None:
        if self._inner is not None:
            self._inner = None
            self.source.close()

    def _read(self) -> Snapshot:
        try:
            snapshot = self.source.sample()
        except Exception as error:
            if self._ring and self._lock.held:
                self._ring.append(lost(self._ring.layout, time=time.time(), notes=[str(error)]))
            raise
        try:
            return self._written(snapshot) if self._lock.held else snapshot
        except (OSError, TelemetryError) as error:
            return replace(snapshot, notes=(*snapshot.notes, f"not shared with other processes: {error}"))

    def _written(self, snapshot: Snapshot) -> Snapshot:
        """Write a sample into the ring; return it with the layout object that the ring has."""
        if snapshot.layout is not self._inner or self._ring is None or not self._ring.in_place:
            self._write_into(snapshot.layout)
        assert self._ring is not None
        snapshot = replace(snapshot, layout=self._ring.layout)
        self._ring.append(snapshot)
        return snapshot

    def _write_into(self, layout: Layout) -> None:
        """Go on with the ring that is there if it fits, else replace it by one with the history of what stays."""
        capacity = min(default_capacity(layout), math.ceil(HISTORY_SECONDS / self.period))
        ring = self._found(write=True)
        if ring is None or ring.layout != layout or ring.capacity != capacity:
            before = ring or self._ring
            ring = RingFile.create(
                self._path.with_suffix(".ring"),
                layout,
                key=self.key,
                capacity=capacity,
                period=self.period,
                history=None if before is None else _moved(before.history(), layout),
            )
            self._keep_layout(ring)
        self._ring, self._inner = ring, layout

    def _follow(self) -> RingFile:
        """Return the ring that the leader writes now."""
        if self._ring is None or not self._ring.in_place:
            ring = self._found()
            if ring is None:
                msg = f"process {self.leader} reads {self.key!r} for all, but its file cannot be read"
                raise TelemetryError(msg)
            self._ring = ring
        return self._ring

    def _found(self, *, write: bool = False) -> RingFile | None:
        """Return the ring that is there, or `None` if there is none to be believed."""
        with suppress(TelemetryError):
            ring = RingFile(self._path.with_suffix(".ring"), key=self.key, write=write)
            self._keep_layout(ring)
            ring.newest()
            return ring
        return None

    def _keep_layout(self, ring: RingFile) -> None:
        """Give a ring the layout object of the one before if they are equal, so that a sampler sees no change."""
        if self._ring is not None and self._ring.layout == ring.layout:
            ring.layout = self._ring.layout


def _moved(history: History, layout: Layout) -> History:
    """Return a history in another layout: what both have."""
    if history.layout == layout:
        return history
    if not len(history):
        return History.empty(layout)
    ring = Ring(history.layout, capacity=len(history))
    for index in range(len(history)):
        ring.append(history.snapshot(index))
    return ring.moved_to(layout).history()
