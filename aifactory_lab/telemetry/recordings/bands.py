"""Which station worked from when to when: the bands behind the lines of a board, kept beside a recording.

>>> band = Band("etl", start=10.0, stop=12.0, made=500, unit="rows", joules=700.0)
>>> str(band), band.within(11.0, 20.0)
('etl: 500 rows in 2.0 s, 700 J', True)
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self, TypeAlias

from aifactory_lab.telemetry.metrics import METRICS

Bands: TypeAlias = Callable[[float], Iterable[Mapping[str, Any]]]  # since → bands, as `Production.bands` gives them


@dataclass(frozen=True)
class Band:
    """One visit to a station.

    Attributes
    ----------
    start, stop
        Seconds since the epoch; `stop` is `None` while it works.
    made, unit
        How many of what.
    joules
        `None` where no energy counter could be read.
    """

    station: str
    start: float
    stop: float | None = None
    made: int = 0
    unit: str = ""
    joules: float | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return the band that a mapping describes; what it says beyond that is left out."""
        names = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in names})

    def within(self, start: float, stop: float) -> bool:
        """Tell whether the station worked at some moment between the two."""
        return self.start <= stop and (self.stop is None or self.stop >= start)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        made = f"{self.made:,} {self.unit}".rstrip() if self.made else "at work"
        seconds = "" if self.stop is None else f" in {self.stop - self.start:.1f} s"
        joules = "" if self.joules is None else f", {METRICS['joules'].text(self.joules)}"
        return f"{self.station}: {made}{seconds}{joules}"


def united(bands: Iterable[Band]) -> tuple[Band, ...]:
    """Return bands in order of their start, each once: what is told last of a visit is what counts."""
    latest = {(band.station, band.start): band for band in bands}
    return tuple(sorted(latest.values(), key=lambda band: (band.start, band.station)))
