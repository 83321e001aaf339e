"""Cooling, from the cold plates to the outside air: pumps, fans, chillers, water, and the PUE. NOT VALIDATED.

Physics where there is some (Carnot, latent heat), engineering guesses where there is none (`data/cooling.toml`); no
measured plant stands behind it. All electricity becomes heat that leaves by the tower. The supply's losses and what
runs on the machines are not known here.

>>> mild = Cooling(water_celsius=40).run(1e6, dry_celsius=25, wet_celsius=18)
>>> float(mild.chiller_watts), round(float(mild.pue), 3)
(0.0, 1.038)
"""

import tomllib
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aifactory_lab.errors import TwinError
from aifactory_lab.twin.parts import Cdu

VALIDATED = False
Numbers = NDArray[np.float64]
FILE = Path(__file__).with_name("data") / "cooling.toml"
KELVIN = 273.15
HEAT_CAPACITY = 4179.0  # J/(kg·K), of water at 40 °C: NIST Chemistry WebBook
DENSITY = 992.2  # kg/m³, of water at 40 °C: NIST Chemistry WebBook
LATENT = 2.43e6  # J/kg, of evaporation at 30 °C: NIST Chemistry WebBook
REJECTIONS = ("tower", "dry")
SHARES = ("liquid_share", "carnot_share", "pump_share", "fan_tower_share", "fan_dry_share", "air_fan_share")


@cache
def assumptions() -> dict[str, dict[str, object]]:
    """Return the assumptions, each with its value and why."""
    return tomllib.loads(FILE.read_text())


def _assumed(name: str) -> float:
    return field(default_factory=lambda: float(str(assumptions()[name]["is"])))


def wet_bulb(dry_celsius: ArrayLike, humidity: ArrayLike) -> Numbers:
    """Return the wet-bulb temperature in °C from the air's and its relative humidity, 0.05 to 1.

    Stull (2011), J. Appl. Meteor. Climatol. 50, 2267: within 1 K at sea level between -20 and 50 °C, but for air that
    is both cold and dry.

    Raises
    ------
    TwinError
        If the humidity is not such a share.
    """
    air, share = np.asarray(dry_celsius, np.float64), np.asarray(humidity, np.float64)
    if not ((share >= 0.05) & (share <= 1)).all():
        msg = f"humidity={humidity!r} is not a share of 0.05 to 1"
        raise TwinError(msg, mend="humidity=0.5")
    part = 100 * share
    found = air * np.arctan(0.151977 * np.sqrt(part + 8.313659)) + np.arctan(air + part) - np.arctan(part - 1.676331)
    found = found + 0.00391838 * part**1.5 * np.arctan(0.023101 * part) - 4.686035
    return np.asarray(np.minimum(found, air), np.float64)


@dataclass(frozen=True)
class Cooled:
    """What cooling took, in watts, and what left the building; arrays over time.

    Attributes
    ----------
    heat_watts
        Of the machines, as asked.
    pump_watts, air_watts, chiller_watts, fan_watts
        Pumps of the water; fan units of the hall; chillers; fans of the tower or the dry cooler.
    rejected_watts
        Heat that left by water: the machines', the pumps', the fan units' and the chillers'. The outer fans' own goes
        straight into the air.
    water_kg_s
        Drawn for the tower: evaporated and blown down.
    chilled_share
        Of the heat, what chillers moved.
    water_celsius
        As it reached the CDUs: what was asked, or what the air allows where there are no chillers.
    """

    heat_watts: Numbers
    pump_watts: Numbers
    air_watts: Numbers
    chiller_watts: Numbers
    fan_watts: Numbers
    rejected_watts: Numbers
    water_kg_s: Numbers
    chilled_share: Numbers
    water_celsius: Numbers

    @property
    def watts(self) -> Numbers:
        """Electricity that cooling took."""
        return self.pump_watts + self.air_watts + self.chiller_watts + self.fan_watts

    @property
    def pue(self) -> Numbers:
        """(Heat of the machines + cooling) ÷ heat of the machines; the supply's losses outside of them come on top."""
        return np.asarray(1 + self.watts / self.heat_watts, np.float64)


@dataclass(frozen=True)
class Cooling:
    """A cooling plant.

    Attributes
    ----------
    water_celsius
        Of the facility's water as it reaches the CDUs: ASHRAE's W17 to W45 are named for it.
    liquid_share
        Of the heat, what cold plates take; the rest goes into the hall's air.
    rejection
        ``"tower"`` (evaporates water, follows the wet bulb) or ``"dry"`` (no water, follows the air).
    chillers
        Whether there are any; without, water gets warmer than asked when the air does.

    All others are assumptions; see `assumptions()`.

    Raises
    ------
    TwinError
        If a figure cannot be; it names the value.
    """

    water_celsius: float = 40.0
    liquid_share: float = 0.85
    rejection: str = "tower"
    chillers: bool = True
    approach_tower_kelvin: float = _assumed("approach_tower_kelvin")
    approach_dry_kelvin: float = _assumed("approach_dry_kelvin")
    rise_kelvin: float = _assumed("rise_kelvin")
    carnot_share: float = _assumed("carnot_share")
    cop_most: float = _assumed("cop_most")
    condenser_kelvin: float = _assumed("condenser_kelvin")
    pump_share: float = _assumed("pump_share")
    fan_tower_share: float = _assumed("fan_tower_share")
    fan_dry_share: float = _assumed("fan_dry_share")
    air_fan_share: float = _assumed("air_fan_share")
    air_water_celsius: float = _assumed("air_water_celsius")
    blowdown_cycles: float = _assumed("blowdown_cycles")

    def __post_init__(self) -> None:
        if self.rejection not in REJECTIONS:
            msg = f"no rejection {self.rejection!r}; there are: {', '.join(REJECTIONS)}"
            raise TwinError(msg, mend='rejection="tower"')
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name in SHARES and not 0 <= value <= 1:
                msg = f"{each.name}={value!r} is not a share of 0 to 1"
                raise TwinError(msg, mend=f"{each.name}=0.5")
            if each.name.endswith("_kelvin") and not value > 0:
                msg = f"{each.name}={value!r} must be positive"
                raise TwinError(msg, mend=f"{each.name}=4.0")
        least = {"cop_most": 1.0, "blowdown_cycles": 1.0, "carnot_share": 0.0}
        for name, floor in least.items():
            if not getattr(self, name) > floor:
                msg = f"{name}={getattr(self, name)!r} must be above {floor:g}"
                raise TwinError(msg, mend=f"{name}={assumptions()[name]['is']}")

    def run(
        self,
        heat_watts: ArrayLike,
        *,
        dry_celsius: ArrayLike,
        wet_celsius: ArrayLike,
        liquid_watts: ArrayLike | None = None,
    ) -> Cooled:
        """Return what it takes to move this heat out into air of these temperatures.

        Parameters
        ----------
        liquid_watts
            Of the heat, what cold plates take; by default `liquid_share` of it.

        Raises
        ------
        TwinError
            If heat is not positive, cold plates take more than all, or the wet bulb lies above the air's temperature.
        """
        asked = self.liquid_share * np.asarray(heat_watts, np.float64) if liquid_watts is None else liquid_watts
        heat, liquid, dry, wet = np.broadcast_arrays(
            *(np.asarray(value, np.float64) for value in (heat_watts, asked, dry_celsius, wet_celsius))
        )
        if not (np.isfinite(heat) & (heat > 0)).all():
            msg = f"heat_watts={heat_watts!r} must be positive"
            raise TwinError(msg, mend="heat_watts=1e6")
        if not ((liquid >= 0) & (liquid <= heat * (1 + 1e-12))).all():
            msg = f"liquid_watts={liquid_watts!r} is not a part of heat_watts={heat_watts!r}"
            raise TwinError(msg, mend="liquid_watts=None")
        if not (wet <= dry).all():
            msg = f"wet_celsius={wet_celsius!r} lies above dry_celsius={dry_celsius!r}"
            raise TwinError(msg, mend="twin.cooling.wet_bulb(dry_celsius, humidity)")
        return self._run(heat, liquid, dry, wet)

    def _run(self, heat: Numbers, liquid: Numbers, dry: Numbers, wet: Numbers) -> Cooled:
        tower, reached = self.rejection == "tower", self.reached(dry_celsius=dry, wet_celsius=wet)
        air = np.maximum(heat - liquid, 0.0)
        fan_units = air * self.air_fan_share
        carried = liquid + air + fan_units
        pumps = carried * self.pump_share
        chilled, chiller = np.zeros_like(heat), np.zeros_like(heat)
        for load, at in (
            (liquid, self.water_celsius),
            (air + fan_units, min(self.air_water_celsius, self.water_celsius)),
        ):
            share = np.clip((reached - at) / self.rise_kelvin, 0, 1) * self.chillers
            chilled += share * load
            chiller += share * load / self._cop(at, reached)
        rejected = carried + pumps + chiller
        fans = rejected * (self.fan_tower_share if tower else self.fan_dry_share)
        drawn = rejected / LATENT * self.blowdown_cycles / (self.blowdown_cycles - 1) if tower else np.zeros_like(heat)
        water = np.full_like(heat, self.water_celsius) if self.chillers else np.maximum(self.water_celsius, reached)
        return Cooled(heat, pumps, fan_units, chiller, fans, rejected, drawn, chilled / carried, water)

    def reached(self, *, dry_celsius: ArrayLike, wet_celsius: ArrayLike) -> Numbers:
        """Return the temperature in °C to which the tower or the dry cooler alone brings the water."""
        if self.rejection == "tower":
            return np.asarray(wet_celsius, np.float64) + self.approach_tower_kelvin
        return np.asarray(dry_celsius, np.float64) + self.approach_dry_kelvin

    def _cop(self, cold_celsius: float, reached: Numbers) -> Numbers:
        """Return the chillers' coefficient of performance: a share of Carnot's, not above the best there is."""
        lift = np.maximum(reached + self.condenser_kelvin - cold_celsius, 1e-6)
        return np.asarray(np.clip(self.carnot_share * (cold_celsius + KELVIN) / lift, 1.0, self.cop_most), np.float64)


def flow_litres_per_minute(heat_watts: ArrayLike, rise_kelvin: ArrayLike) -> Numbers:
    """Return the water that carries so much heat when it warms by so much."""
    moved = np.asarray(heat_watts, np.float64) / (HEAT_CAPACITY * np.asarray(rise_kelvin, np.float64))
    return np.asarray(moved / DENSITY * 60_000, np.float64)


def limit_watts(cdu: Cdu, running: int, *, liquid_share: float) -> float:
    """Return the machines' heat that so many CDUs can take: a cap for `power.clock`, shared among the GPUs.

    Raises
    ------
    TwinError
        If none runs, or no heat is in water.
    """
    if running < 1 or not 0 < liquid_share <= 1:
        msg = f"running={running!r} CDUs with liquid_share={liquid_share!r} take no heat"
        raise TwinError(msg, mend="running=1, liquid_share=0.85")
    return running * cdu.capacity_watts / liquid_share


def gpu_limit_watts(celsius: float, *, coolant_celsius: ArrayLike = 26.8, kelvin_per_watt: float = 0.092) -> Numbers:
    """Return the most that a GPU may draw to stay below a temperature: a cap for `power.clock`; see `gpu_celsius`.

    Raises
    ------
    TwinError
        If the coolant is no cooler than that.
    """
    coolant = np.asarray(coolant_celsius, np.float64)
    if not (coolant < celsius).all():
        msg = f"coolant_celsius={coolant_celsius!r} does not cool a GPU to celsius={celsius!r}"
        raise TwinError(msg, mend="coolant_celsius=40, celsius=85")
    return np.asarray((celsius - coolant) / kelvin_per_watt, np.float64)


def gpu_celsius(watts: ArrayLike, *, coolant_celsius: ArrayLike = 26.8, kelvin_per_watt: float = 0.092) -> Numbers:
    """Return a GPU's temperature from its power: coolant + resistance × power.

    The defaults are those of air-cooled A100s: fitted on AcmeTrace's Seren (3.1 K off, on average over the quantiles);
    Kalos, which the fit did not see, is 3.1 K cooler. For cold plates give your own.
    """
    return np.asarray(np.asarray(coolant_celsius) + kelvin_per_watt * np.asarray(watts, np.float64), np.float64)
