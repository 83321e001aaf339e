"""What an hour of a plant costs in dollars and carbon: what is written off, and what it draws and drinks meanwhile.

The assumptions are `cost`'s, which can be seen there. Tokens are not known here.

>>> from aifactory_lab.twin.plant import Plant
>>> low, usual, high = Prices.of(Plant(gpus=1024)).dollars(site_watts=1.2e6, water_kg_s=0.5)
>>> bool(low < usual < high)
True
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aifactory_lab.twin import cost, site
from aifactory_lab.twin.plant import Plant

Numbers = NDArray[np.float64]
YEAR_HOURS = cost.YEAR / 3600


@dataclass(frozen=True)
class Prices:
    """Prices, each low, usual and high, (3,).

    Attributes
    ----------
    hourly_dollars, hourly_kg
        Of an hour whatever the plant does: hardware, building and upkeep, in USD; hardware in kg CO2e.
    kwh_dollars, kwh_kg, m3_dollars
        Of a kWh from the grid, in USD and in kg CO2e, and of a cubic metre of water.
    """

    hourly_dollars: Numbers
    hourly_kg: Numbers
    kwh_dollars: Numbers
    kwh_kg: Numbers
    m3_dollars: Numbers

    @classmethod
    def of(cls, plant: Plant) -> Self:
        """Return a plant's: its building carries what the site draws with all GPUs at their TDP, at 25 °C."""
        told = {row[0]: np.array(row[1:4], np.float64) for row in cost.assumptions().rows()}
        hardware = plant.gpus * told["gpu_dollars"]
        peak = site.site(plant, plant.gpus * plant.gpu.tdp_watts, dry_celsius=25.0, wet_celsius=18.0).watts
        building = float(peak) * told["building_dollars_per_watt"] / told["building_years"]
        yearly = hardware / told["hardware_years"] + building + hardware * told["upkeep_per_year"]
        embodied = plant.gpus * told["embodied_kg"] / told["hardware_years"]
        grid = told["dollars_per_kwh"], told["grid_kg_per_kwh"], told["dollars_per_m3"]
        return cls(yearly / YEAR_HOURS, embodied / YEAR_HOURS, *grid)

    def dollars(self, site_watts: ArrayLike, water_kg_s: ArrayLike) -> Numbers:
        """Return USD an hour at these watts and this water: low, usual, high, (3, …)."""
        kilowatts, m3 = (
            np.asarray(one, np.float64) for one in (np.asarray(site_watts) / 1e3, np.multiply(water_kg_s, 3.6))
        )
        parts = np.multiply.outer(self.kwh_dollars, kilowatts) + np.multiply.outer(self.m3_dollars, m3)
        return np.asarray(parts + self.hourly_dollars.reshape(3, *[1] * kilowatts.ndim), np.float64)

    def kg_co2e(self, site_watts: ArrayLike) -> Numbers:
        """Return kg CO2e an hour at these watts: low, usual, high, (3, …)."""
        kilowatts = np.asarray(site_watts, np.float64) / 1e3
        return np.asarray(
            np.multiply.outer(self.kwh_kg, kilowatts) + self.hourly_kg.reshape(3, *[1] * kilowatts.ndim), np.float64
        )
