"""Two recorded runs on one time axis: what each metric did, and what each station took and used.

A run is put on the axis from its first sample, or from when a station of both began. All entities of a run are one
line: shares, temperatures, clocks and latencies are their mean, amounts and rates their sum, counters what was
added since the start. This module draws nothing.

>>> import tempfile
>>> from aifactory_lab.telemetry.recordings.gathering import Gathering
>>> from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot
>>> layout, runs = Layout((Entity(("gpu 0",)),), ("power",), "simulated"), []
>>> for name, watts in (("before", 700.0), ("after", 350.0)):
...     gathering = Gathering(f"{tempfile.mkdtemp()}/{name}")
...     gathering.add([Snapshot.blank(layout, time=1e9 + t).put("gpu 0", power=watts) for t in range(3)])
...     runs.append(gathering.finish())
>>> compare(*runs).table().row(0)
('power, mean', 'W', 700.0, 350.0, 0.5)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.energy import GAP_PERIODS, energy_between
from aifactory_lab.telemetry.history import History, Values
from aifactory_lab.telemetry.metrics import METRICS
from aifactory_lab.telemetry.readings import State
from aifactory_lab.telemetry.recordings.recording import Recording

if TYPE_CHECKING:
    import polars as pl

MEANS = ("%", "°C", "MHz", "s")  # units of which a mean over entities says more than a sum

Row: TypeAlias = tuple[str, str, float | None, float | None]  # what, unit, and a number of each run


@dataclass(frozen=True)
class Run:
    """One recording, all entities of a kind as one line per metric.

    Attributes
    ----------
    zero
        The time (seconds since the epoch) that is 0 on the common axis.
    seconds, lines
        The axis of its samples, and a value of each metric per sample; NaN where it is not known, as a sum is
        while one entity is lost.
    """

    name: str
    recording: Recording
    zero: float
    seconds: Values
    lines: dict[str, Values]


@dataclass(frozen=True)
class Comparison:
    """Two runs on one axis; made by `compare`."""

    first: Run
    second: Run

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that have values in both runs."""
        return tuple(name for name in self.first.lines if name in self.second.lines)

    def frame(self) -> "pl.DataFrame":
        """Return both runs, one below the other: run, seconds on the common axis, a column per metric."""
        import polars as pl

        runs = [
            pl.DataFrame({"seconds": run.seconds} | {name: run.lines[name] for name in self.metrics}).with_columns(
                pl.lit(run.name).alias("run"), pl.col(*self.metrics).fill_nan(None)
            )
            for run in (self.first, self.second)
        ]
        return pl.concat(runs).select("run", "seconds", *self.metrics)

    def table(self) -> "pl.DataFrame":
        """Return what differs: mean and peak of every metric, seconds and joules of every station, and the ratio."""
        import polars as pl

        rows = [row for name in self.metrics for row in self._of_metric(name)] + list(self._of_stations())
        names = self.first.name, self.second.name
        schema = {"what": pl.String, "unit": pl.String, names[0]: pl.Float64, names[1]: pl.Float64}
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        return frame.with_columns((pl.col(names[1]) / pl.col(names[0])).alias(f"{names[1]} ÷ {names[0]}"))

    def __repr__(self) -> str:
        return f"Comparison({self.first.name!r} and {self.second.name!r}: {', '.join(self.metrics)})"

    def _repr_html_(self) -> str:
        return str(self.table()._repr_html_())

    def _of_metric(self, name: str) -> Iterator[Row]:
        unit = METRICS[name].unit if name in METRICS else ""
        first, second = self.first.lines[name], self.second.lines[name]
        if _kind(name) == "counter":
            yield f"{name}, added", unit, _total(first), _total(second)
            return
        yield f"{name}, mean", unit, float(np.nanmean(first)), float(np.nanmean(second))
        yield f"{name}, peak", unit, float(np.nanmax(first)), float(np.nanmax(second))

    def _of_stations(self) -> Iterator[Row]:
        first, second = stations(self.first.recording), stations(self.second.recording)
        for station in dict.fromkeys([*first, *second]):
            for what, unit in (("seconds", "s"), ("joules", "J")):
                yield f"{station}, {what}", unit, first.get(station, {}).get(what), second.get(station, {}).get(what)


def compare(
    a: Recording | Path | str,
    b: Recording | Path | str,
    *,
    align: Literal["start", "station"] = "start",
    station: str = "",
    kind: str = "",
) -> Comparison:
    """Return two recordings on one time axis.

    Parameters
    ----------
    align
        What is 0 s: each recording's first sample, or when a station began first.
    station
        Which station; by default the first of `a` that `b` has too.
    kind
        Which entities: ``"gpu"``, ``"host"``, …; by default GPUs, where both have some.

    Raises
    ------
    TelemetryError
        If one cannot be opened, or the two have no such station or kind in common.
    """
    first, second = (run if isinstance(run, Recording) else Recording.open(run) for run in (a, b))
    kind = _common(kind, [[e.kind for e in run.layout.entities] for run in (first, second)], "kind of entity", "gpu")
    zeros = [first.start, second.start]
    if align == "station":
        station = _common(station, [[band.station for band in run.events] for run in (first, second)], "station")
        zeros = [next(band.start for band in run.events if band.station == station) for run in (first, second)]
    same = first.name == second.name
    names = (f"{first.name} (a)", f"{second.name} (b)") if same else (first.name, second.name)
    runs = [_run(name, run, zero, kind) for name, run, zero in zip(names, (first, second), zeros, strict=True)]
    return Comparison(*runs)


def stations(recording: Recording) -> dict[str, dict[str, float | None]]:
    """Return each station's seconds and joules over its visits, as far as they were recorded.

    Joules that a station told itself count first, then what the recorded energy counters say, else they are `None`.
    """
    found: dict[str, dict[str, float | None]] = {}
    for band in recording.events:
        start, stop = max(band.start, recording.start), min(band.stop or np.inf, recording.stop)
        row = found.setdefault(band.station, {"seconds": 0.0, "joules": 0.0})
        joules = band.joules if band.joules is not None else _joules(recording, start, stop)
        row["seconds"] = (row["seconds"] or 0.0) + max(0.0, stop - start)
        row["joules"] = None if joules is None or row["joules"] is None else row["joules"] + joules
    return found


def _run(name: str, recording: Recording, zero: float, kind: str) -> Run:
    times, parts = list[Values](), dict[str, list[Values]]()
    wanted = [metric for metric in recording.layout.metrics if _kind(metric) != "flags"]
    for history in recording.histories():
        rows = [row for row, entity in enumerate(history.layout.entities) if entity.kind == kind]
        times.append(history.times)
        for metric in wanted:
            parts.setdefault(metric, []).append(_line(history, metric, rows))
    lines = {metric: np.concatenate(pieces) for metric, pieces in parts.items()}
    known = {metric: line for metric, line in lines.items() if not np.isnan(line).all()}
    added = {metric: _added(line) if _kind(metric) == "counter" else line for metric, line in known.items()}
    return Run(name, recording, zero, np.concatenate(times) - zero, added)


def _line(history: History, metric: str, rows: list[int]) -> Values:
    """Return one metric of some entities as one line."""
    if metric not in history.layout.columns or not rows:
        return np.full(len(history), np.nan)
    column = history.layout.column(metric)
    values, states = history.values[:, rows, column], history.states[:, rows, column]
    count = (~np.isnan(values)).sum(axis=1)
    total: Values = np.where(count > 0, np.nansum(values, axis=1), np.nan)
    if metric in METRICS and METRICS[metric].unit in MEANS and _kind(metric) != "counter":
        total /= np.maximum(count, 1)
        return total
    total[(states >= State.LOST).any(axis=1)] = np.nan
    return total


def _added(line: Values) -> Values:
    first = float(line[~np.isnan(line)][0])
    return line - first


def _total(line: Values) -> float | None:
    """Return what a counter added in all; `None` if it began anew in between."""
    known = line[~np.isnan(line)]
    return None if (np.diff(known) < 0).any() else float(known[-1])


def _kind(metric: str) -> str:
    return METRICS[metric].kind if metric in METRICS else "gauge"


def _joules(recording: Recording, start: float, stop: float) -> float | None:
    """Return the joules of all that the recording counts, where it counts any."""
    if "energy" not in recording.layout.columns or stop <= start:
        return None
    around = GAP_PERIODS * recording.period
    history = recording.history(start - around, stop + around, metrics=["energy"])
    return energy_between(history, start, stop)[0]


def _common(asked: str, found: list[list[str]], what: str, first: str = "") -> str:
    """Return the name asked for, or the first that both runs have."""
    both = [name for name in dict.fromkeys([first, *found[0]]) if all(name in names for names in found)]
    if (asked and asked not in both) or not both:
        named = f" {asked!r}" if asked else ""
        msg = f"the two recordings have no {what}{named} in common; both have: {', '.join(both) or 'none'}"
        raise TelemetryError(msg, mend="telemetry.compare(a, b, align='start')")
    return asked or both[0]
