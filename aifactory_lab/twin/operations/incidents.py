"""What goes wrong in a plant, when, and what it takes out: GPUs, nodes, racks, switches, coolers, grid power, weather.

Each kind says plainly what it does, and what it does not. What follows for clocks and tokens is not known here.

>>> Incident("cdu", at_hours=14, for_hours=2)
Incident(kind='cdu', at_hours=14, for_hours=2, which=0, count=1, watts=None, kelvin=8.0)
>>> str(Incident("grid", at_hours=18, watts=1.2e6))
'grid power capped at 1.2 MW from 18:00 for 1 h'
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.errors import TwinError
from aifactory_lab.twin.plant import Plant

Flags = NDArray[np.bool_]
KINDS = {
    "gpu": "GPU lost",
    "node": "node lost",
    "rack": "rack lost",
    "leaf": "leaf switch lost",
    "spine": "spine switch lost",
    "cdu": "coolant distribution unit lost",
    "fan": "fan unit of the hall lost",
    "grid": "grid power capped",
    "heat": "heat wave",
}


@dataclass(frozen=True)
class Incident:
    """Something that goes wrong, and is mended.

    Attributes
    ----------
    kind
        ``"gpu"``, ``"node"`` (a chassis), ``"rack"``, ``"leaf"``, ``"spine"``, ``"cdu"``, ``"fan"`` (a fan unit of the
        hall), ``"grid"`` (a cap on what the site draws) or ``"heat"`` (a heat wave).
    at_hours, for_hours
        When it begins, in hours since the start, and how long it lasts; infinite for the rest of the time. Both take
        effect with the next window.
    which, count
        The number, from 0, of the first GPU, chassis or rack that is lost, and how many are; of switches and coolers,
        which are alike, only how many.
    watts
        Of a grid cap: what the whole site may draw.
    kelvin
        Of a heat wave: how much warmer the air is, by its dry and by its wet bulb.

    Raises
    ------
    TwinError
        If there is no such kind, or a number cannot be.
    """

    kind: str
    at_hours: float
    for_hours: float = 1.0
    which: int = 0
    count: int = 1
    watts: float | None = None
    kelvin: float = 8.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            msg = f"no incident {self.kind!r}; there are: {', '.join(KINDS)}"
            raise TwinError(msg, mend='Incident("gpu", at_hours=10)')
        if not (math.isfinite(self.at_hours) and self.at_hours >= 0):
            msg = f"at_hours={self.at_hours!r} is not a moment from 0 on"
            raise TwinError(msg, mend="at_hours=10")
        fine = {"for_hours": self.for_hours > 0, "count": self.count >= 1, "which": self.which >= 0}
        for name in (name for name, can in fine.items() if not can):
            msg = f"{name}={getattr(self, name)!r} of an incident ({KINDS[self.kind]}) cannot be"
            raise TwinError(msg, mend=f"{name}=1")
        if self.kind == "grid" and not (self.watts is not None and math.isfinite(self.watts) and self.watts > 0):
            msg = f"a grid cap needs the watts that the site may draw, not watts={self.watts!r}"
            raise TwinError(msg, mend='Incident("grid", at_hours=18, watts=1.2e6)')
        if self.kind == "heat" and not (math.isfinite(self.kelvin) and self.kelvin > 0):
            msg = f"kelvin={self.kelvin!r} of a heat wave must be positive"
            raise TwinError(msg, mend="kelvin=8")

    @property
    def begins(self) -> float:
        """Seconds since the start."""
        return self.at_hours * 3600

    @property
    def ends(self) -> float:
        """Seconds since the start."""
        return (self.at_hours + self.for_hours) * 3600

    def active(self, seconds: float) -> bool:
        """Tell whether it lasts at a moment."""
        return self.begins <= seconds < self.ends

    def __str__(self) -> str:
        minutes = round(60 * self.at_hours)
        lasts = f" for {self.for_hours:g} h" if math.isfinite(self.for_hours) else ""
        said = KINDS[self.kind]
        if self.kind == "grid":
            watts = self.watts or 0.0
            said += f" at {watts / 1e6:g} MW" if watts >= 1e6 else f" at {watts / 1e3:g} kW"
        elif self.kind == "heat":
            said += f" of {self.kelvin:g} K"
        elif self.kind in {"gpu", "node", "rack"}:
            said += f" ({self.which}" + (f" to {self.which + self.count - 1})" if self.count > 1 else ")")
        elif self.count > 1:
            said = f"{self.count} × {said}"
        return f"{said} from {minutes // 60:02d}:{minutes % 60:02d}{lasts}"


def lost(plant: Plant, incidents: Sequence[Incident]) -> tuple[Flags, Flags]:
    """Return which GPUs are lost, (gpus,), and which chassis are without power, (chassis,)."""
    each, racks = plant.gpus_per_chassis, plant.chassis_per_rack
    gpus, chassis = np.zeros(plant.gpus, np.bool_), np.zeros(plant.chassis_count, np.bool_)
    for one in incidents:
        hit = slice(one.which, one.which + one.count)
        if one.kind == "gpu":
            gpus[hit] = True
        elif one.kind == "node":
            chassis[hit] = True
        elif one.kind == "rack":
            chassis[hit.start * racks : hit.stop * racks] = True
    return gpus | np.repeat(chassis, each), chassis


def count(incidents: Sequence[Incident], kind: str) -> int:
    """Return how many of a kind are lost."""
    return sum(one.count for one in incidents if one.kind == kind)


def check(plant: Plant, incidents: Sequence[Incident], hours: float) -> None:
    """Refuse what cannot happen to this plant.

    Raises
    ------
    TwinError
        If a GPU, chassis, rack or switch is not there, no cooler would be left, or an incident begins after the end.
    """
    fabric = plant.fabric
    numbered = {"gpu": plant.gpus, "node": plant.chassis_count, "rack": plant.rack_count}
    alike = {"leaf": fabric.leaves, "spine": fabric.spines, "cdu": plant.cdus - 1, "fan": plant.air_units - 1}
    for one in incidents:
        if one.at_hours >= hours:
            msg = f"{one} begins after the end, at {hours:g} h"
            raise TwinError(msg, mend=f"hours={one.at_hours + 1:g}")
        if one.kind in numbered and one.which + one.count > numbered[one.kind]:
            msg = f"{one}: the plant has {numbered[one.kind]} of these, numbered from 0"
            raise TwinError(msg, mend=f'Incident("{one.kind}", at_hours={one.at_hours:g}, which=0, count=1)')
        gone = count([other for other in incidents if other.active(one.begins)], one.kind)
        if one.kind in alike and gone > alike[one.kind]:
            most = max(0, alike[one.kind])
            msg = f"{one}: that makes {gone} at the same time, and {most} of these can fail"
            raise TwinError(msg, mend=f"count={most}" if most else "a plant that has some, or a larger spare=")
