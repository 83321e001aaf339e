"""The stations of the factory as a source: who is at work, how fast, how much so far, and where the bottleneck is.

It listens to the journal of this process and follows the journal files of workspaces, so a board sees a run that
another process makes. A visit whose process died without a word is not shown as working. It knows stations by
name only.

>>> production = Production(files=())
>>> [entity.name for entity in production.layout.entities][:3]
['raw material', 'ETL', 'train']
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.telemetry import journal
from aifactory_lab.telemetry.flow import FLOW, SERVES, placed
from aifactory_lab.telemetry.journal import Event
from aifactory_lab.telemetry.metrics import STATION
from aifactory_lab.telemetry.readings import Entity, Facts, Layout, Snapshot, State
from aifactory_lab.telemetry.sampler import Sampler
from aifactory_lab.telemetry.sharing.election import lives
from aifactory_lab.telemetry.sources import Source
from aifactory_lab.telemetry.visits import Visit, sums

KEPT_VISITS = 400


class Production(Source):
    """The stations' readings.

    Parameters
    ----------
    files
        Journal files of workspaces to follow, beside the events of this process.
    services
        Samplers of endpoints: their predictions are the serve station's of the decision line, their tokens that of the
        token line, and so are their queues.
    """

    key = "production"
    period = 1.0

    def __init__(self, files: Sequence[Path] = (), services: Sequence[Sampler] = ()) -> None:
        self.files = {Path(path): 0 for path in files}
        self.services = list(services)
        self.visits: dict[str, Visit] = {}
        self._end: Callable[[], None] | None = None

    def open(self) -> Layout:
        """Start to listen; events that this process published before count too."""
        if self._end is None:
            for event in journal.recent():
                self._note(event)
            self._end = journal.listen(self._note)
        self._follow()
        return _layout(self._stations())

    def sample(self) -> Snapshot:
        """Return every station's readings now."""
        self._follow()
        self._bury()
        stations = self._stations()
        if len(stations) != len(self.layout.entities):
            self.layout = _layout(stations)
        now = time.time()
        snapshot = Snapshot.blank(self.layout, time=now)
        for station, entity in zip(stations, self.layout.entities, strict=True):
            snapshot.put(entity.id, **self._readings(station, now))
        return snapshot

    def facts(self) -> dict[str, Facts]:
        """Tell each station's last visit in words."""
        lasts = {station: self.last(station) for station in self._stations()}
        pairs = zip(lasts.values(), self.layout.entities, strict=False)
        return {entity.id: Facts(details={"last visit": str(last)}) for last, entity in pairs if last}

    def close(self) -> None:
        """Stop listening."""
        if self._end is not None:
            self._end()
            self._end = None

    def last(self, station: str) -> Visit | None:
        """Return the newest visit to a station."""
        return next((v for v in reversed(list(self.visits.values())) if v.station == station), None)

    def bands(self, since: float = 0.0) -> list[dict[str, Any]]:
        """Return when which station worked, oldest first; `stop` is `None` for one that still does."""
        return [
            {"station": v.station, "start": v.start, "stop": v.stop, "made": v.made, "unit": v.unit, "joules": v.joules}
            for v in list(self.visits.values())
            if not v.reused and (v.stop is None or v.stop >= since)
        ]

    def flow(self) -> dict[str, Any]:
        """Return the floor: every station in order with its line and its last visit in words, and the bottleneck."""
        stations = [
            {
                "station": station,
                "line": line,
                "label": FLOW.get(station, station),
                "unit": last.unit if last else "",
                "last": str(last or ""),
            }
            for station, line in self._placed().items()
            for last in [self.last(station)]
        ]
        return {"flow": stations, "bottleneck": self.bottleneck()}

    def bottleneck(self) -> dict[str, str] | None:
        """Return the station that holds a line up, and why: work waits there, or the last lot took longest there.

        The line is the one that worked last.
        """
        for line, station in SERVES.items():
            waiting = sum(_served(sampler, "waiting", line) or 0.0 for sampler in self.services)
            if waiting:
                return {"station": station, "reason": f"{waiting:,.0f} wait for an answer"}
        lines = self._placed()
        lasts = [v for station in lines if (v := self.last(station)) and not v.failed]
        newest = lines[max(lasts, key=lambda v: v.start).station] if lasts else ""
        spent = {v.station: v.seconds if v.stop else time.time() - v.start for v in lasts if lines[v.station] == newest}
        total = sum(spent.values())
        if len(spent) < 2 or total <= 0:
            return None
        slowest = max(spent, key=lambda station: spent[station])
        share = f"{spent[slowest]:.1f} of the line's {total:.1f} s ({spent[slowest] / total:.0%})"
        return {"station": slowest, "reason": share}

    def _placed(self) -> dict[str, str]:
        """Return every station in order, with its line."""
        began: dict[str, float] = {}
        for visit in list(self.visits.values()):
            began.setdefault(visit.station, visit.start)
        return placed(began)

    def _stations(self) -> list[str]:
        return list(self._placed())

    def _note(self, event: Event) -> None:
        visit = self.visits.get(event.run)
        if visit is None:
            visit = self.visits[event.run] = Visit(event.station, event.time - event.seconds)
            while len(self.visits) > KEPT_VISITS:
                del self.visits[next(iter(self.visits))]
        visit.note(event)

    def _follow(self) -> None:
        for path, position in self.files.items():
            events, self.files[path] = journal.read(path, position)
            for event in events:
                self._note(event)

    def _bury(self) -> None:
        """End the visits whose process is gone."""
        for run, visit in list(self.visits.items()):
            pid = run.partition(".")[0]
            known = pid.isdecimal() and len(pid) < 20
            if visit.stop is None and not (known and lives(int(pid), visit.start)):
                visit.stop, visit.failed = visit.counts[-1][0] if visit.counts else visit.start, True

    def _readings(self, station: str, now: float) -> dict[str, float | State]:
        visits = [v for v in list(self.visits.values()) if v.station == station and not v.reused]
        active = [v for v in visits if v.stop is None]
        values: dict[str, float | State] = dict.fromkeys(STATION, State.UNSUPPORTED)
        line = next((line for line, serves in SERVES.items() if serves == station), "")
        if line and (served := self._answers(line)):
            return values | served
        if visits:
            values |= sums(visits, now)
            values["active"] = len(active)
            rates = [v.rate(now) for v in active]
            known = [rate for rate in rates if rate is not None]
            values["rate"] = sum(known) if known or not active else State.UNSUPPORTED
        return values

    def _answers(self, line: str) -> dict[str, float | State]:
        """Return a serve station's readings from the endpoints of its line that answer."""
        live = [s for s in self.services if _served(s, "requests_rate", line) is not None]
        if not live:
            return {}
        made = "tokens_rate" if line == "tokens" else "predictions_rate"
        return {
            "rate": sum(_served(s, made, line) or 0.0 for s in live),
            "active": float(sum(bool(_served(s, "requests_rate", line)) for s in live)),
            "waiting": sum(_served(s, "waiting", line) or 0.0 for s in live),
        }


def _layout(stations: Sequence[str]) -> Layout:
    entities = tuple(Entity(("factory", station), "station", FLOW.get(station, station)) for station in stations)
    return Layout(entities, STATION, "measured", "the stations' own counts")


def _served(sampler: Sampler, metric: str, line: str) -> float | None:
    """Return a metric summed over a sampler's endpoints of one line, `None` if none of them has it."""
    latest = sampler.latest
    if latest is None or metric not in latest.layout.columns:
        return None
    known = _known(latest, metric)
    known &= _known(latest, "tokens_rate") if line == "tokens" else ~_known(latest, "tokens_rate")
    values = latest.column(metric)[known]
    return float(values.sum()) if values.size else None


def _known(latest: Snapshot, metric: str) -> NDArray[np.bool_]:
    """Tell which entities have a value of a metric."""
    if metric not in latest.layout.columns:
        return np.zeros(latest.layout.shape[0], dtype=np.bool_)
    known: NDArray[np.bool_] = latest.states[:, latest.layout.column(metric)] == State.VALUE
    return known
