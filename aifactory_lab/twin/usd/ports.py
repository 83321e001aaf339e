"""Connection points: where water, air, power and data enter a machine, and what it asks of them. In SI throughout.

The vocabulary is NVIDIA's `simready:connectionPoint` 0.2.0, complete for each domain, so that a simulation can read its
boundary conditions from the asset. What the twin cannot know is an assumption of `data/equipment.toml`.

>>> feed = electrical("power", (0.0, 0.5, 2.0), (0, 0, 0), watts=132e3, hardwired=True)
>>> feed.domain, round(feed.values["maxCurrent"]), feed.values["phases"]
('electrical', 193, 3)
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aifactory_lab.twin.cooling import DENSITY, HEAT_CAPACITY
from aifactory_lab.twin.routes import diameter

FILE = Path(__file__).parents[1] / "data" / "equipment.toml"
AIR = 1.17 * 1006.0  # J/(m³ K) of air at 27 °C
PIPES = (1, 1.25, 1.5, 2, 2.5, 3, 4, 6, 8, 10, 12)  # nominal sizes in inches: ASME B36.10
INCH = 0.0254
Triple = tuple[float, float, float]


@cache
def assumed(group: str, name: str) -> Any:
    """Return an assumption of `data/equipment.toml`."""
    return tomllib.loads(FILE.read_text())[group][name]["is"]


@dataclass(frozen=True)
class Port:
    """A connection point.

    Attributes
    ----------
    name
        Of the point.
    domain, direction, system, disconnect
        ``"thermal"``, ``"electrical"``, ``"network"`` or ``"airflow"``, and SimReady's words for the rest.
    at, turned
        Place in metres, and degrees about x, y, z that turn +z into the way out of the machine.
    values
        Everything that the domain defines, by SimReady's names.
    """

    name: str
    domain: str
    direction: str
    system: str
    disconnect: str
    at: Triple
    turned: Triple
    values: Mapping[str, Any]


def electrical(name: str, at: Triple, turned: Triple, *, watts: float, hardwired: bool) -> Port:
    """Return a feed of three phases that carries so many watts."""
    volts, factor = assumed("site", "volts"), assumed("site", "power_factor")
    amperes = watts / (math.sqrt(3) * volts * factor)
    values = {
        "matingDepth": 0.0 if hardwired else 0.05,
        "nominalVoltage": volts,
        "maxCurrent": amperes,
        "phases": assumed("site", "phases"),
        "frequency": assumed("site", "hertz"),
        "connectorType": "hardwired" if hardwired else "IEC_60309",
        "ratedPower": watts,
        "breakerRating": amperes * assumed("site", "breaker"),
        "powerFactor": factor,
    }
    return Port(name, "electrical", "input", "power", "hardwired" if hardwired else "plug", at, turned, values)


def thermal(
    name: str, at: Triple, turned: Triple, *, watts: float, rise_kelvin: float, celsius: float, fluid: str
) -> Port:
    """Return a pipe whose water takes so many watts; the name ends in ``_supply`` or ``_return``.

    The fluid's density and heat capacity are taken for water's.
    """
    system, direction = name.rsplit("_", 1)
    wide, litres = diameter(watts, rise_kelvin=rise_kelvin), flow(watts, rise_kelvin) * 1000
    size = next((size for size in PIPES if size * INCH >= wide), PIPES[-1])
    values = {
        "portDiameter": wide,
        "matingDepth": assumed("water", "mating"),
        "designFlowRate": litres,
        "maxFlowRate": litres * assumed("water", "spare_flow"),
        "designTemperature": celsius,
        "maxTemperature": assumed("water", "most_celsius"),
        "operatingPressure": assumed("water", "pascals"),
        "maxPressure": assumed("water", "most_pascals"),
        "fluidType": fluid,
        "flangeRating": "ANSI_150",
        "flangeSize": f"NPS{size:g}",
    }
    return Port(name, "thermal", direction, system.upper(), "flanged", at, turned, values)


def flow(watts: float, rise_kelvin: float) -> float:
    """Return the water in m³/s that takes so many watts."""
    return watts / (DENSITY * HEAT_CAPACITY * rise_kelvin)


def air_flow(watts: float) -> float:
    """Return the air in m³/s that takes so many watts."""
    return watts / (AIR * float(assumed("air", "rise_kelvin")))


def airflow(name: str, at: Triple, turned: Triple, *, watts: float, width: float, height: float, warm: bool) -> Port:
    """Return a face that air passes: warm by so many watts where it leaves a rack, or enters a fan unit."""
    cool = assumed("air", "intake_celsius")
    values = {
        "interfaceWidth": width,
        "interfaceHeight": height,
        "freeAreaRatio": assumed("air", "free"),
        "designAirflowRate": air_flow(watts),
        "maxAirflowRate": air_flow(watts) * assumed("water", "spare_flow"),
        "designTemperature": cool + assumed("air", "rise_kelvin") * warm,
        "maxTemperature": assumed("air", "most_celsius"),
        "staticPressure": assumed("air", "pascals"),
        "filterType": "none",
    }
    direction = "input" if name.endswith("intake") else "output"
    return Port(name, "airflow", direction, "equipment_cooling", "open_vent", at, turned, values)


def network(name: str, at: Triple, turned: Triple, *, bytes_s: float) -> Port:
    """Return one of a machine's ports to the compute fabric."""
    rate = round(bytes_s * 8 / 1e9)
    values = {
        "portWidth": assumed("port", "width"),
        "portHeight": assumed("port", "height"),
        "matingDepth": assumed("port", "mating"),
        "portType": "OSFP",
        "protocol": "InfiniBand",
        "dataRate": f"{rate}Gbps",
        "medium": "fiber",
        "fabricRole": "compute",
        "supportedLineRates": [f"{rate}G"],
        "supportedConfigurations": [f"1x{rate}G"],
        "allowedTransceivers": assumed("port", "transceivers"),
        "hotPlugCapable": True,
    }
    return Port(name, "network", "bidirectional", "high_speed_data", "OSFP", at, turned, values)
