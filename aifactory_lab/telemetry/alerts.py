"""Alerts with hysteresis: hot, throttled, ECC, Xid, lost, memory full, silent, GPUs held idle, an SLO that burns.

An alert is raised after its rule held for some samples and cleared only when the reading is well on the good side
again, so that a value at the threshold does not ring twice a second. Who shows or forwards alerts is not known
here.

>>> from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot
>>> layout = Layout((Entity(("gpu 0",)),), ("temperature",), "simulated")
>>> alerts = Alerts()
>>> for second, celsius in enumerate([86, 91, 91, 91, 86]):
...     _ = alerts.observe("nvml", Snapshot.blank(layout, time=float(second)).put("gpu 0", temperature=celsius))
>>> [str(alert) for alert in alerts.active]
['warning: gpu 0 is hot: 91 °C']
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.telemetry.readings import Layout, Snapshot, State
from aifactory_lab.telemetry.rules import RULES, Mask, Rule, Severity

KEPT = 200
LOST = Rule("lost", "", "is lost", "critical")


@dataclass(frozen=True)
class Alert:
    """One alert: raised at `since`, standing while `cleared` is `None` (seconds since the epoch)."""

    id: str
    severity: Severity
    entity: str
    text: str
    since: float
    cleared: float | None = None

    def __str__(self) -> str:
        return f"{self.severity}: {self.text}"


class Alerts:
    """The alerts of everything that is observed; give it every snapshot of every source.

    Parameters
    ----------
    rules
        What is worth an alert.
    listeners
        Called with every alert that is raised or cleared, in the observing thread.
    """

    def __init__(self, rules: Sequence[Rule] = RULES, listeners: Sequence[Callable[[Alert], None]] = ()) -> None:
        self.rules = tuple(rules)
        self.listeners = list(listeners)
        self._standing: dict[str, Alert] = {}
        self._past: deque[Alert] = deque(maxlen=KEPT)
        self._layouts: dict[str, Layout] = {}
        self._streaks: dict[tuple[str, str], NDArray[np.int64]] = {}  # samples in a row: in trouble, well
        self._lock = threading.Lock()  # several samplers' threads observe

    @property
    def active(self) -> list[Alert]:
        """Alerts that stand, newest first."""
        return sorted(self._standing.copy().values(), key=lambda alert: -alert.since)

    def feed(self, most: int = 50) -> list[dict[str, Any]]:
        """Return standing alerts, then cleared ones, newest first, as plain values."""
        past = sorted(self._past.copy(), key=lambda alert: -(alert.cleared or 0.0))
        return [asdict(alert) for alert in [*self.active, *past][:most]]

    def observe(self, source: str, snapshot: Snapshot) -> list[Alert]:
        """Look at one snapshot of one source; return what was raised or cleared by it."""
        with self._lock:
            changed = self._silence(source, None, snapshot.time) + self._move(source, snapshot)
            lost = (snapshot.states == State.LOST).all(axis=1)
            changed += self._apply(source, LOST, snapshot, lost, ~lost, None)
            for rule in self.rules:
                column = rule.column(snapshot, rule.metric)
                if column is not None:
                    trouble, well = rule.raised(column), rule.cleared(column)
                    changed += self._apply(source, rule, snapshot, trouble, well, column)
        return self._told(changed)

    def silent(self, source: str, seconds: float, *, now: float) -> list[Alert]:
        """Say that a source has given nothing for so long; its next snapshot clears the alert."""
        with self._lock:
            changed = self._silence(source, seconds, now)
        return self._told(changed)

    def _silence(self, source: str, seconds: float | None, now: float) -> list[Alert]:
        name = f"silent {source}"
        if seconds is None:
            return [self._clear(name, now)] if name in self._standing else []
        if name in self._standing:
            return []
        self._standing[name] = Alert(name, "critical", source, f"{source} gives no data", now - seconds)
        return [self._standing[name]]

    def _move(self, source: str, snapshot: Snapshot) -> list[Alert]:
        """Follow a change of layout: alerts of what is no longer watched are cleared."""
        if self._layouts.get(source) is snapshot.layout:
            return []
        gone = (
            {e.id for e in self._layouts[source].entities} - set(snapshot.layout.rows)
            if source in self._layouts
            else ()
        )
        self._layouts[source] = snapshot.layout
        self._streaks = {key: streak for key, streak in self._streaks.items() if key[0] != source}
        return [self._clear(alert.id, snapshot.time) for alert in self.active if alert.entity in gone]

    def _apply(
        self, source: str, rule: Rule, snapshot: Snapshot, trouble: Mask, well: Mask, column: NDArray[np.float64] | None
    ) -> list[Alert]:
        streaks = self._streaks.setdefault((source, rule.code), np.zeros((2, len(trouble)), dtype=np.int64))
        unknown = np.zeros_like(trouble) if column is None else np.isnan(column)
        streaks[:] = np.where(np.stack([trouble, well]), streaks + 1, np.where(unknown, streaks, 0))
        streak, calm = streaks
        changed = []
        for row in np.flatnonzero(streak >= rule.hold):
            entity = snapshot.layout.entities[row].id
            name = f"{rule.code} {entity}"
            if name not in self._standing:
                words = rule.words if column is None else rule.text(float(column[row]))
                self._standing[name] = Alert(name, rule.severity, entity, f"{entity} {words}", snapshot.time)
                changed.append(self._standing[name])
        for name, alert in list(self._standing.items()):
            place = snapshot.layout.rows.get(alert.entity, -1) if name.startswith(f"{rule.code} ") else -1
            if place >= 0 and calm[place] >= rule.calm:
                changed.append(self._clear(name, snapshot.time))
        return changed

    def _clear(self, name: str, now: float) -> Alert:
        alert = replace(self._standing.pop(name), cleared=now)
        self._past.append(alert)
        return alert

    def _told(self, changed: list[Alert]) -> list[Alert]:
        for alert in changed:
            for listener in list(self.listeners):
                listener(alert)
        return changed
