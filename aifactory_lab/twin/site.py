"""From a plant's GPUs to the grid and to the outside air: chassis, switches, UPS, cooling; and what heat leaves a GPU.

Every watt that comes in is accounted for, and leaves as heat. Cooling is NOT VALIDATED, and of the rest only A100s were
measured. What the GPUs do is not known here.

>>> from aifactory_lab.twin.plant import Plant
>>> plant = Plant(gpus=1024, chassis="dgx-h100")
>>> mild = site(plant, 1024 * 500.0, dry_celsius=20, wet_celsius=14)
>>> round(float(mild.watts) / 1e6, 2), round(float(mild.pue), 2)
(1.28, 1.13)
>>> round(float(gpus_within(plant, mild.watts, dry_celsius=20, wet_celsius=14)) / 1024)
500
"""

import tomllib
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aifactory_lab.errors import TwinError
from aifactory_lab.twin.cooling import Cooled
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.power import idle_watts
from aifactory_lab.twin.supply import Draw

Numbers = NDArray[np.float64]
FILE = Path(__file__).with_name("data") / "site.toml"
HALVINGS = 60


@cache
def assumptions() -> dict[str, dict[str, object]]:
    """Return the assumptions, each with its value and why."""
    return tomllib.loads(FILE.read_text())


def _assumed(name: str) -> float:
    return field(default_factory=lambda: float(str(assumptions()[name]["is"])))


@dataclass(frozen=True, kw_only=True)
class Assumed:
    """What is assumed of a site; see `assumptions` for what each is, and why.

    Raises
    ------
    TwinError
        If a figure cannot be.
    """

    switch_watts: float = _assumed("switch_watts")
    rectifier_efficiency: float = _assumed("rectifier_efficiency")
    limit_celsius: float = _assumed("limit_celsius")
    rise_air_kelvin: float = _assumed("rise_air_kelvin")
    rise_liquid_kelvin: float = _assumed("rise_liquid_kelvin")
    air_kelvin: float = _assumed("air_kelvin")
    training_activity: float = _assumed("training_activity")

    def __post_init__(self) -> None:
        for each in fields(self):
            value, share = getattr(self, each.name), each.name in {"rectifier_efficiency", "training_activity"}
            if not (np.isfinite(value) and value > 0 and (value <= 1 or not share)):
                msg = f"{each.name}={value!r} cannot be"
                raise TwinError(msg, mend=f"{each.name}={assumptions()[each.name]['is']}")


@dataclass(frozen=True)
class Site:
    """What a site draws and drinks; arrays over time.

    Attributes
    ----------
    draw
        From the grid to the GPUs, by where each watt becomes heat; the water's pumps are in `cooled`.
    cooled
        What cooling took: NOT VALIDATED.
    """

    draw: Draw
    cooled: Cooled

    @property
    def watts(self) -> Numbers:
        """From the grid, cooling included."""
        return self.draw.total + self.cooled.watts

    @property
    def it_watts(self) -> Numbers:
        """Of the racks, at the UPS's output."""
        return self.draw.racks

    @property
    def pue(self) -> Numbers:
        """Power usage effectiveness: all watts ÷ those at the UPS's output."""
        return self.draw.pue(self.cooled.watts)

    @property
    def heat_watts(self) -> Numbers:
        """Heat that leaves: by water, and from the outer fans straight into the air. It is what came in."""
        return self.cooled.rejected_watts + self.cooled.fan_watts


def site(
    plant: Plant,
    gpus_watts: ArrayLike,
    *,
    dry_celsius: ArrayLike,
    wet_celsius: ArrayLike,
    powered: ArrayLike | None = None,
    assumed: Assumed | None = None,
) -> Site:
    """Return what a site draws when all its GPUs together draw so much.

    Parameters
    ----------
    gpus_watts
        Of all GPUs of the plant; may be an array over time, as may the temperatures.
    powered
        Chassis that have power; None for all.

    Raises
    ------
    TwinError
        If watts are negative, or the air cannot be.
    """
    gpus, used = np.asarray(gpus_watts, np.float64), assumed or Assumed()
    if not (np.isfinite(gpus) & (gpus >= 0)).all():
        msg = f"gpus_watts={gpus_watts!r} must be 0 or more"
        raise TwinError(msg, mend=f"gpus_watts={plant.gpus * plant.gpu.tdp_watts:g}")
    power = plant.node_power
    on = np.asarray(plant.chassis_count if powered is None else powered, np.float64)
    chassis = on * power.base_watts + power.slope * gpus
    rectifiers = np.minimum((1 - used.rectifier_efficiency) * chassis, chassis - gpus)
    switches = np.full_like(gpus, plant.fabric.switches * used.switch_watts)
    nothing = np.zeros_like(gpus)
    draw = Draw(
        gpus=gpus,
        hosts=chassis - gpus - rectifiers,
        switches=switches,
        converters=nothing,
        rectifiers=rectifiers,
        pumps=nothing,
        ups=plant.ups.loss(chassis + switches),
    )
    liquid = plant.part.liquid_share * chassis
    air = {"dry_celsius": dry_celsius, "wet_celsius": wet_celsius}
    return Site(draw, plant.cooling.run(draw.total, liquid_watts=liquid, **air))


def gpus_within(
    plant: Plant,
    site_watts: ArrayLike,
    *,
    dry_celsius: ArrayLike,
    wet_celsius: ArrayLike,
    assumed: Assumed | None = None,
) -> Numbers:
    """Return the most that all GPUs together may draw so that the site keeps to these watts: a cap of the grid.

    Raises
    ------
    TwinError
        If not even idle GPUs keep to them.
    """
    asked, dry, wet = np.broadcast_arrays(
        *(np.asarray(value, np.float64) for value in (site_watts, dry_celsius, wet_celsius))
    )
    low = np.full(asked.shape, plant.gpus * idle_watts(plant.gpu))
    high = np.full(asked.shape, plant.gpus * plant.gpu.tdp_watts)

    def drawn(watts: Numbers) -> Numbers:
        return site(plant, watts, dry_celsius=dry, wet_celsius=wet, assumed=assumed).watts

    if not (drawn(low) <= asked).all():
        msg = f"site_watts={site_watts!r} is less than the site draws with idle GPUs, {float(drawn(low).max()):.4g} W"
        raise TwinError(msg, mend=f"site_watts={float(drawn(high).max()):.4g}")
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = drawn(middle) <= asked
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return low


def coolant_celsius(
    plant: Plant, *, dry_celsius: ArrayLike, wet_celsius: ArrayLike, assumed: Assumed | None = None
) -> Numbers:
    """Return the temperature of what reaches the GPUs: the CDUs' water, or the hall's air."""
    used, cooling = assumed or Assumed(), plant.cooling
    found = cooling.reached(dry_celsius=dry_celsius, wet_celsius=wet_celsius)
    liquid = plant.part.liquid_share > 0
    asked = cooling.water_celsius if liquid else min(cooling.air_water_celsius, cooling.water_celsius)
    water = np.full_like(found, asked) if cooling.chillers else np.maximum(asked, found)
    return np.asarray(water + (plant.cdu_part.approach_kelvin if liquid else used.air_kelvin), np.float64)


def kelvin_per_watt(plant: Plant, *, assumed: Assumed | None = None) -> float:
    """Return how much warmer than its coolant a GPU of the plant gets by each watt."""
    used = assumed or Assumed()
    rise = used.rise_liquid_kelvin if plant.part.liquid_share > 0 else used.rise_air_kelvin
    return rise / plant.gpu.tdp_watts


def limit_watts(plant: Plant, *, coolant: ArrayLike, assumed: Assumed | None = None) -> Numbers:
    """Return the most that a GPU may draw, by its temperature and by the plant's cap; not less than a little over idle.

    Parameters
    ----------
    coolant
        Temperature in °C of what reaches it; see `coolant_celsius`.
    """
    used = assumed or Assumed()
    cooled = (used.limit_celsius - np.asarray(coolant, np.float64)) / kelvin_per_watt(plant, assumed=used)
    cap = plant.gpu.tdp_watts if plant.gpu_cap_watts is None else plant.gpu_cap_watts
    least = idle_watts(plant.gpu) * 1.001  # a GPU hotter than its limit slows to its least clock; it does not go out
    return np.asarray(np.maximum(np.minimum(cooled, cap), least), np.float64)
