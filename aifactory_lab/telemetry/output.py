"""What a plant draws and what it makes of it: watts now, joules since a beginning, joules per 1,000 outputs.

It adds up the GPUs and CPU packages of every snapshot that it is shown: by their energy counters where there are any,
else by their power over time. What has neither is not guessed. Who shows it is not known here.

>>> from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot
>>> gpus = Layout((Entity(("gpu 0",)), Entity(("gpu 1",))), ("power",), "simulated")
>>> output = Output()
>>> for second in range(3):
...     output.look("nvml", Snapshot.blank(gpus, time=float(second)).put("gpu 0", power=300.0))
>>> words = output.words()
>>> words["watts"], words["joules"], words["of"]
(300.0, 600.0, '1 of 2 GPUs')
"""

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.telemetry.energy import KINDS
from aifactory_lab.telemetry.readings import Layout, Snapshot
from aifactory_lab.telemetry.sources import here

NOUNS = {"gpu": ("GPU", "GPUs"), "host": ("host", "hosts")}
OUTPUTS = {"tokens_rate": "tokens", "predictions_rate": "predictions", "rows_rate": "rows", "requests_rate": "answers"}
LONGEST = 10.0  # seconds between two samples over which power is taken as steady
UNKNOWN = "unknown: no energy counter"


class Output:
    """The account of a plant, from the first snapshot on."""

    def __init__(self) -> None:
        self._before: dict[str, Snapshot] = {}
        self._joules: dict[str, float] = {}
        self._services: dict[str, Snapshot] = {}
        self._times: list[float] = []
        self._lock = threading.Lock()

    def look(self, key: str, snapshot: Snapshot) -> None:
        """Take one snapshot of one source into account (from its sampler's thread)."""
        with self._lock:
            self._times = [min([*self._times, snapshot.time]), snapshot.time]
            if any(entity.kind == "service" for entity in snapshot.layout.entities):
                self._services[key] = snapshot
            if not _rows(snapshot.layout).size:
                return
            before = self._before.get(key)
            if before is not None and before.layout is snapshot.layout:
                steps = _spent(before, snapshot)
                if np.isfinite(steps).any():
                    self._joules[key] = self._joules.get(key, 0.0) + float(np.nansum(steps))
            self._before[key] = snapshot

    def words(self) -> dict[str, Any]:
        """Return the account as plain values.

        Returns
        -------
        dict
            ``watts`` and ``joules`` (`None` if nothing can be read), ``seconds`` since the first snapshot, ``of``
            (whose watts these are), ``why`` (what is missing), and ``services``: by entity, ``unit``,
            ``joules_per_1000`` (`None` if unknown) and ``why``. All watts are charged to every endpoint here.
        """
        with self._lock:
            watts = [_column(snapshot, "power")[_rows(snapshot.layout)] for snapshot in self._before.values()]
            known = np.concatenate(watts) if watts else np.empty(0)
            total = float(np.nansum(known)) if np.isfinite(known).any() else None
            joules = sum(self._joules.values()) if self._joules else None
            return {
                "watts": total,
                "joules": joules,
                "seconds": round(self._times[-1] - self._times[0], 1) if self._times else 0.0,
                "of": " and ".join(filter(None, (_counted(snapshot) for snapshot in self._before.values()))),
                "why": UNKNOWN if total is None else "",
                "services": self._charged(total),
            }

    def _charged(self, watts: float | None) -> dict[str, Any]:
        return {
            entity.id: _charge(snapshot, row, watts)
            for snapshot in self._services.values()
            for row, entity in enumerate(snapshot.layout.entities)
            if entity.kind == "service"
        }


def _charge(snapshot: Snapshot, row: int, watts: float | None) -> dict[str, Any]:
    """Return what 1,000 outputs of a service cost if all watts were spent on them."""
    entity = snapshot.layout.entities[row]
    rates = {unit: _column(snapshot, name)[row] for name, unit in OUTPUTS.items()}
    unit = next((unit for unit, rate in rates.items() if np.isfinite(rate)), "outputs")
    rate = float(rates.get(unit, np.nan))
    far = len(entity.path) > 1 and here()[-1] not in entity.path
    why = UNKNOWN if watts is None else "runs elsewhere: its watts are not read here" if far else ""
    why = why or ("" if rate > 0 else f"no {unit} now")
    joules = None if why or watts is None else watts * 1000.0 / rate
    return {"unit": unit, "joules_per_1000": joules, "why": why}


def _spent(before: Snapshot, after: Snapshot) -> NDArray[np.float64]:
    """Return each entity's joules between two snapshots: its counter where it grows, else power over time."""
    rows, seconds = _rows(after.layout), after.time - before.time
    counted = (_column(after, "energy") - _column(before, "energy"))[rows]
    steady = (_column(after, "power") + _column(before, "power"))[rows] / 2 * min(seconds, LONGEST)
    return np.where(counted >= 0, counted, steady)


def _rows(layout: Layout) -> NDArray[np.intp]:
    return np.array([row for row, entity in enumerate(layout.entities) if entity.kind in KINDS], dtype=np.intp)


def _column(snapshot: Snapshot, name: str) -> NDArray[np.float64]:
    layout = snapshot.layout
    return snapshot.column(name) if name in layout.columns else np.full(layout.shape[0], np.nan)


def _counted(snapshot: Snapshot) -> str:
    """Return whose watts are read: "7 of 8 GPUs"; empty if nobody's."""
    rows = _rows(snapshot.layout)
    known = int(np.isfinite(_column(snapshot, "power")[rows]).sum())
    if not known:
        return ""
    one, more = NOUNS[snapshot.layout.entities[rows[0]].kind]
    share = f"{known:,}" if known == len(rows) else f"{known:,} of {len(rows):,}"
    return f"{share} {one if len(rows) == 1 else more}"
