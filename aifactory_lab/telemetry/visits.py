"""One visit to a station, put together from its events, and sums over visits.

>>> from aifactory_lab.telemetry.journal import Event
>>> visit = Visit("etl", start=0.0)
>>> visit.note(Event("end", "etl", "1.1", unit="rows", made=100, seconds=2.0, time=2.0))
>>> print(visit)
100 rows in 2.0 s, 50 /s
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from aifactory_lab.telemetry.journal import Event
from aifactory_lab.telemetry.metrics import METRICS
from aifactory_lab.telemetry.readings import State

WINDOW_SECONDS = 5.0


@dataclass
class Visit:
    """One visit to a station, as its events tell it."""

    station: str
    start: float
    unit: str = ""
    made: int = 0
    stop: float | None = None
    seconds: float = 0.0
    joules: float | None = None
    floor_share: float | None = None
    failed: bool = False
    reused: bool = False
    counts: list[tuple[float, int]] = field(default_factory=list)

    def note(self, event: Event) -> None:
        """Take in one event of this visit."""
        self.unit, self.made = event.unit or self.unit, max(self.made, event.made)
        self.counts = [*(c for c in self.counts if event.time - c[0] <= WINDOW_SECONDS), (event.time, self.made)]
        if event.kind in ("end", "failed", "reused"):
            self.stop, self.seconds = event.time, event.seconds or event.time - self.start
            self.joules, self.floor_share = event.joules, event.floor_share
            self.failed, self.reused = event.kind == "failed", event.kind == "reused"

    def rate(self, now: float) -> float | None:
        """Return what is made per second now; `None` while nothing has been counted."""
        if not self.made or not self.counts:
            return None
        then, before = next(((t, m) for t, m in self.counts if now - t <= WINDOW_SECONDS), (self.start, 0))
        if then == self.counts[-1][0]:
            then, before = self.start, 0
        return (self.made - before) / max(now - then, 1e-9)

    def __str__(self) -> str:
        if self.stop is None:
            return f"at work: {self.made:,} {self.unit}" if self.made else "at work"
        if self.failed:
            return f"failed after {self.seconds:.1f} s"
        rate = METRICS["rate"].text(self.made / self.seconds) if self.seconds > 0 else "–"
        again = " (reused)" if self.reused else ""
        return f"{self.made:,} {self.unit} in {self.seconds:.1f} s, {rate}{again}"


def sums(visits: Sequence[Visit], now: float) -> dict[str, float | State]:
    """Return a station's counters over its visits; joules only if every visit knows its own."""
    joules = [v.joules for v in visits if v.stop is not None]
    known = [joule for joule in joules if joule is not None]
    share = next((v.floor_share for v in reversed(visits) if v.floor_share is not None), None)
    made = sum(v.made for v in visits)
    return {
        "made": made if made or all(v.stop for v in visits) else State.UNSUPPORTED,  # nothing counted yet is not 0
        "seconds": sum(v.seconds if v.stop else now - v.start for v in visits),
        "joules": sum(known) if known and len(known) == len(joules) else State.UNSUPPORTED,
        "floor_share": State.UNSUPPORTED if share is None else 100 * share,
    }
