"""One daemon thread per source, shared by everybody in the process who looks.

A thread, because an asyncio task starves while a cell computes. It keeps a drift-free schedule and skips what it
missed rather than catch up; it never prints; an error becomes readings that are *lost*, with the reason, and the
next tick tries again. What it costs is measured like everything else. It does not know what the readings mean.

>>> from aifactory_lab.telemetry.sources import Entity, Layout, Snapshot, Source
>>> class Constant(Source):
...     key = "doctest"
...
...     def open(self):
...         return Layout((Entity(("here",), "host"),), ("busy",), "simulated")
...
...     def sample(self):
...         return Snapshot.blank(self.layout, time=0.0).put("here", busy=42.0)
>>> with watch(Constant(), period=0.01) as sampler:
...     print(sampler.first().reading("here", "busy"))
42 %
"""

import atexit
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from types import TracebackType
from typing import Any, Self

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.history import Ring
from aifactory_lab.telemetry.readings import Facts, Layout, Snapshot, lost
from aifactory_lab.telemetry.sources import Source

STALE_AFTER = 3.0  # periods without a sample after which values are called stale
JOIN_SECONDS = 5.0
Listener = Callable[["Sampler", Snapshot], None]


@dataclass(frozen=True)
class Cost:
    """What watching costs: microseconds per sample (median and worst of the last 120), samples, and ticks dropped."""

    microseconds: float
    worst_microseconds: float
    samples: int
    dropped: int


class Sampler:
    """A source, its thread and its history; made by `watch`.

    Parameters
    ----------
    period
        Seconds between samples; by default the source's own.

    Raises
    ------
    TelemetryError
        If the source has nothing to read.
    """

    def __init__(self, source: Source, *, period: float | None = None) -> None:
        self.source = source
        self.period = _period(source.period if period is None else period)
        self.ring = _ring(source)
        self.facts: dict[str, Facts] = {}
        self.error = ""
        self._latest: Snapshot | None = None
        self._listeners: list[Callable[[], Listener | None]] = []
        self._costs: deque[float] = deque(maxlen=120)
        self._samples = self._dropped = 0
        self._done, self._sampled = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"aifactory-sampler-{source.key}", daemon=True)
        self._thread.start()

    @property
    def key(self) -> str:
        """The key of the source."""
        return self.source.key

    @property
    def layout(self) -> Layout:
        """What is read now."""
        return self.ring.layout

    @property
    def running(self) -> bool:
        """Whether the thread lives."""
        return self._thread.is_alive() and not self._done.is_set()

    @property
    def latest(self) -> Snapshot | None:
        """The newest snapshot; its values are stale if the source has stopped answering. `None` before the first."""
        latest = self._latest
        return latest and latest.aged(time.time(), max(STALE_AFTER * self.period, 2.0))

    @property
    def cost(self) -> Cost:
        """What watching costs."""
        costs = list(self._costs) or [0.0]
        return Cost(median(costs), max(costs), self._samples, self._dropped)

    def first(self, timeout: float = 10.0) -> Snapshot:
        """Wait for the first snapshot and return the latest.

        Raises
        ------
        TelemetryError
            If the source gives none within `timeout` seconds.
        """
        if not self._sampled.wait(timeout) or self._latest is None:
            msg = f"{self.key} gave no sample within {timeout:g} s"
            raise TelemetryError(msg)
        return self._latest

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(sampler, snapshot)` from the thread after every sample; return what ends that.

        Methods are held weakly: a viewer that is forgotten is no longer called.
        """
        held: Any = weakref.WeakMethod(listener) if hasattr(listener, "__self__") else (lambda: listener)
        self._listeners.append(held)
        return lambda: self._listeners.remove(held) if held in self._listeners else None

    def close(self) -> None:
        """End the thread and close the source; may be called twice."""
        self._done.set()
        if self._thread is not threading.current_thread():
            self._thread.join(JOIN_SECONDS)
        self.source.close()
        if _SAMPLERS.get(self.key) is self:
            del _SAMPLERS[self.key]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        entities, metrics = self.layout.shape
        state = "running" if self.running else "closed"
        return f"Sampler({self.key!r}, {entities} × {metrics} every {self.period:g} s, {state})"

    def _run(self) -> None:
        due = time.monotonic()
        while not self._done.wait(max(0.0, due - time.monotonic())):
            self._tick()
            due += self.period
            if (late := time.monotonic() - due) > 0:
                skipped = int(late / self.period) + 1
                self._dropped += skipped
                due += skipped * self.period

    def _tick(self) -> None:
        start = time.perf_counter()
        snapshot = self._sample()
        if news := snapshot is not self._latest:
            self._keep(snapshot)
        self._samples += 1
        self._costs.append((time.perf_counter() - start) * 1e6)
        self._sampled.set()
        if news:
            self._tell(snapshot)

    def _keep(self, snapshot: Snapshot) -> None:
        if snapshot.layout is not self.ring.layout:
            self.ring = self.ring.moved_to(snapshot.layout)
        self.ring.append(snapshot)
        self._latest = snapshot

    def _sample(self) -> Snapshot:
        self.error = ""
        try:
            snapshot = self.source.sample()
        except Exception as error:  # noqa: BLE001 - a traceback of a thread would land in somebody's cell
            self.error = f"{type(error).__name__}: {error}"
            return lost(self.layout, time=time.time(), notes=[str(error)])
        try:
            self.facts.update(self.source.facts())
        except Exception as error:  # noqa: BLE001 - the readings are good without their facts
            self.error = f"facts: {type(error).__name__}: {error}"
        return snapshot

    def _tell(self, snapshot: Snapshot) -> None:
        for held in list(self._listeners):
            listener = held()
            if listener is None:
                self._listeners.remove(held)
                continue
            try:
                listener(self, snapshot)
            except Exception as error:  # noqa: BLE001 - one viewer's fault is not the others'
                self.error = f"a viewer failed: {type(error).__name__}: {error}"

    def _adopt(self, other: "Sampler") -> None:
        """Take over the viewers of a sampler that this one replaces; the list itself, so that they can still leave."""
        other._listeners.extend(self._listeners)  # noqa: SLF001 - the same class
        self._listeners = other._listeners  # noqa: SLF001


_SAMPLERS: dict[str, Sampler] = {}
_LOCK = threading.RLock()


def watch(source: Source, *, period: float | None = None) -> Sampler:
    """Start sampling a source; a sampler of the same key that runs already is replaced, and its viewers move over.

    So a cell that is run again leaves one thread, not two.

    Raises
    ------
    TelemetryError
        If the source has nothing to read; the one that ran before then runs on.
    """
    with _LOCK:
        before = _SAMPLERS.get(source.key)
        sampler = Sampler(source, period=period)
        if before is not None:
            sampler._adopt(before)  # noqa: SLF001
            before.close()
        _SAMPLERS[source.key] = sampler
        return sampler


def shared(key: str, make: Callable[[], Source], *, period: float | None = None) -> Sampler:
    """Return the running sampler of a key, or start one on the source that `make` returns."""
    with _LOCK:
        running = _SAMPLERS.get(key)
        return running if running is not None and running.running else watch(make(), period=period)


def samplers() -> list[Sampler]:
    """Return every sampler that runs in this process."""
    return [sampler for sampler in list(_SAMPLERS.values()) if sampler.running]


@atexit.register
def close_all() -> None:
    """Close every sampler of this process."""
    for sampler in list(_SAMPLERS.values()):
        sampler.close()


def _ring(source: Source) -> Ring:
    """Return a ring of a source, filled with what the source kept."""
    layout, backlog = source.layout, source.backlog()
    if backlog is None:
        return Ring(layout)
    ring = Ring(backlog.layout)
    for index in range(len(backlog)):
        ring.append(backlog.snapshot(index))
    return ring


def _period(seconds: float) -> float:
    if not 0.001 <= seconds < float("inf"):
        msg = f"period={seconds!r} must be between 0.001 and infinity (seconds)"
        raise TelemetryError(msg, mend="telemetry.watch(source, period=1.0)")
    return seconds
