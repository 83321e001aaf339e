"""What a production line is: stations in a row, each an artefact of the workspace, and the run that they leave.

A station whose inputs did not change is reused, so a killed run goes on where it was and a second run starts in
seconds. This module does not know what the stations make.

>>> hello = Station("hello", (), lambda folder, material, done: None)
>>> upto([hello], "hello") == [hello]
True
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab import device, roofline
from aifactory_lab.errors import FactoryError
from aifactory_lab.line.objectives import Verdict
from aifactory_lab.measure import StationReport
from aifactory_lab.workspace import Artefact, Workspace

Done = Mapping[str, Artefact]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Station:
    """One station: its name, the stations it takes from, and what fills its folder.

    `build` is called with the empty folder, the line's material and the artefacts of the stations before; `decided_by`
    names the settings of the run that change what it makes.
    """

    name: str
    after: tuple[str, ...]
    build: Callable[[Path, Any, Done], StationReport]
    decided_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class LineRun:
    """A finished run of a line: an artefact and a report per station."""

    workspace: Workspace
    artefacts: Done
    reports: tuple[StationReport, ...]
    machine: roofline.Roofline
    device: device.Device

    @property
    def title(self) -> str:
        """The question that the line answers."""
        return ""

    @property
    def slo(self) -> tuple[Verdict, ...]:
        """The verdicts of the load test on the endpoint's objectives; none where there was no load test."""
        return ()

    def frame(self, station: str, name: str) -> pl.DataFrame:
        """Return a frame that a station left, for example ``frame("ladder", "ladder")``."""
        return pl.read_parquet(self.artefacts[station].path(f"{name}.parquet"))

    def stations(self) -> pl.DataFrame:
        """Return one row per station: what it made, how fast, at what cost, how far from the floor."""
        return pl.DataFrame(
            [
                {
                    "station": r.station,
                    "made": r.made,
                    "unit": r.unit,
                    "seconds": round(r.seconds, 2),
                    "per second": round(r.rate),
                    "share of floor": r.share_of_floor,
                    "CPU-seconds": round(r.cpu_seconds, 2),
                    "peak MiB": round(r.peak_memory_bytes / 2**20),
                    "joules": r.joules,
                    "joules per 1,000": r.joules_per_thousand,
                    "dollars": r.dollars,
                    "reused": r.reused,
                }
                for r in self.reports
            ],
            schema_overrides=dict.fromkeys(("joules", "joules per 1,000", "share of floor"), pl.Float64),
        )


def visit(
    stations: Sequence[Station],
    root: Path | str | None,
    material: Any,
    *,
    key: str,
    settings: Mapping[str, Any] | None = None,
    say: Say = print,
) -> LineRun:
    """Take the material through the stations, in order.

    Parameters
    ----------
    material
        What the first stations read.
    key
        Its content hash.
    settings
        What else decides the results, by name (see `unusual`); the device always does.
    """
    workspace, chosen, given = Workspace(root), device.current(), settings or {}
    say(f"device: {chosen}")
    machine = roofline.measured(workspace.root)
    done: dict[str, Artefact] = {}
    for station in stations:
        say(f"{station.name} …")
        inputs = [done[name].key for name in station.after] or [key]
        params = {"device": chosen.kind, **{name: given[name] for name in station.decided_by if name in given}}
        build = _filler(station, material, done)
        done[station.name] = workspace.station(station.name, build, inputs=inputs, params=params)
        say(f"  {done[station.name].report.against(machine)}")
    reports = tuple(artefact.report.against(machine) for artefact in done.values())
    return LineRun(workspace, done, reports, machine, chosen)


def _filler(station: Station, material: Any, done: Done) -> Callable[[Path], StationReport]:
    return lambda folder: station.build(folder, material, done)


def unusual(settings: Any) -> dict[str, Any]:
    """Return the fields of a settings dataclass that are not as usual, as plain values.

    What is as usual stays out of the keys of artefacts: a setting that is new here leaves the old ones valid.
    """
    given = {each.name: getattr(settings, each.name) for each in fields(settings)}
    usual = type(settings)()
    changed = {name: value for name, value in given.items() if value != getattr(usual, name)}
    return {name: asdict(value) if is_dataclass(value) else value for name, value in changed.items()}  # type: ignore[arg-type]


def upto(stations: Sequence[Station], last: str) -> list[Station]:
    """Return the stations up to one of them.

    Raises
    ------
    FactoryError
        If there is no such station.
    """
    names = [station.name for station in stations]
    if last not in names:
        msg = f"there is no station {last!r}; the stations are: {', '.join(names)}"
        raise FactoryError(msg, mend=f'line.run(until="{names[-1]}")')
    return list(stations[: names.index(last) + 1])


def silence(text: str) -> None:
    """Say nothing."""
