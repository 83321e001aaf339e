"""The machines of a plant's hall, by the catalogue: racks with GPUs, racks of switches, CDUs and fan units.

What the twin does not know of a machine is left out, not guessed; what is assumed says so. Each is described at its
design point: how it runs on a given day is `operations`' to say.

>>> from aifactory_lab.twin.plant import Plant
>>> rack = compute_rack(Plant.about(72, "gb200-nvl72"))
>>> rack.name, [port.name for port in rack.ports]
('Gb200Nvl72', ['power', 'network', 'air_intake', 'air_outflow', 'tcs_supply', 'tcs_return'])
>>> rack.figures["aif:spec:liquidCooling"]
Figure(value=112.2, unit='kW', source="0.85 of the maker's 132 kW, by its cold plates")
"""

from collections.abc import Iterator

from aifactory_lab.twin.cooling import KELVIN
from aifactory_lab.twin.grid import Size, size, value
from aifactory_lab.twin.parts import Node, Part
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.power import idle_watts
from aifactory_lab.twin.quantities import read
from aifactory_lab.twin.routes import PLACES
from aifactory_lab.twin.usd.equipment import Colour, Equipment, Figure, Front, make
from aifactory_lab.twin.usd.ports import Port, Triple, air_flow, airflow, assumed, electrical, flow, network, thermal

UP, FORTH, BACK = (0.0, 0.0, 0.0), (90.0, 0.0, 0.0), (-90.0, 0.0, 0.0)  # +z as it is, turned to -y, to +y
UNIT = read("1 U", "metres")
GREEN, BLUE, ORANGE, GREY = (0.35, 0.6, 0.05), (0.2, 0.35, 0.75), (0.8, 0.45, 0.1), (0.55, 0.57, 0.6)
GALLONS, CUBIC_FEET = 60 / 3.785411784e-3, 60 / 0.3048**3  # US gallons and cubic feet a minute, of m³/s
# From the floor up, trays of an NVL72 and the rack unit that they begin at. From memory.
SHELVES = (
    ("Power", GREY, 4, 4),
    ("Compute", GREEN, 8, 10),
    ("Switch", BLUE, 18, 9),
    ("Compute", GREEN, 27, 8),
    ("Power", GREY, 35, 4),
)


def of(plant: Plant) -> dict[str, Equipment]:
    """Return what stands in a plant's hall by its kind there: ``"gpu"``, ``"network"``, ``"cdu"``, ``"fan"``."""
    found = {"gpu": compute_rack(plant), "network": network_rack(plant)}
    return found | ({"cdu": cdu(plant)} if plant.cdus else {}) | ({"fan": fan(plant)} if plant.air_units else {})


def compute_rack(plant: Plant) -> Equipment:
    """Return a full rack with GPUs."""
    part, count = plant.part, plant.chassis_per_rack
    shape = _shape(plant)
    kilograms = part.mass_kg or assumed("mass", "nvlink-rack")
    if isinstance(part, Node):
        kilograms = assumed("mass", "cabinet") + count * (part.mass_kg or 0.0)
    return make(
        "".join(word.capitalize() for word in part.name.split("-")),
        "compute rack",
        part.title or part.name,
        shape,
        kilograms=kilograms,
        qcode=assumed("wikidata", "rack"),
        spec=_power(plant) | _heat(plant),
        ports=_rack_ports(plant, shape),
        fronts=_nodes(part, count) if isinstance(part, Node) else _shelves(),
    )


def network_rack(plant: Plant) -> Equipment:
    """Return a full rack of switches; SimReady has no class for one, so it claims none."""
    count = int(value("switches_per_rack"))
    return make(
        "NetworkRack",
        "",
        "Leaf, spine and core switches",
        _shape(plant),
        kilograms=assumed("mass", "cabinet") + count * assumed("mass", "switch"),
        qcode=assumed("wikidata", "rack"),
        fronts=_stack("Switch", BLUE, count, low=8, high=1, pitch=2),
    )


def cdu(plant: Plant) -> Equipment:
    """Return a coolant distribution unit."""
    part, shape = plant.cdu_part, size("cdu")
    pipes = list(_cdu_pipes(plant, shape))
    at = _below("power", "power", shape, _shift(plant))
    feed = electrical("power", at, UP, watts=part.pump_watts, hardwired=True)
    spec = _cdu_spec(plant) | _supply(feed, "nominalVoltage", "current", "frequency", "powerRating", "powerFactor")
    spec |= {_piping(pipe): Figure(1000 * pipe.values["portDiameter"], "mm", "water at 2 m/s") for pipe in pipes}
    front = [("Panel", ORANGE, 0.2, shape.height - 0.4)]
    about = {"kilograms": assumed("mass", "cdu"), "qcode": assumed("wikidata", "cooler")}
    return make("RowCdu", "CDU", part.title or part.name, shape, **about, spec=spec, ports=[*pipes, feed], fronts=front)


def fan(plant: Plant) -> Equipment:
    """Return a fan unit of the hall."""
    shape, watts = size("fan"), plant.air_unit_watts
    ports = list(_fan_ports(plant, shape))
    moved = Figure(watts / 1e3, "kW", "the plant's air_unit_watts, an assumption")
    water, air = flow(watts, plant.cooling.rise_kelvin), air_flow(watts)
    spec = {
        "nominalCoolingCapacity": moved,
        "sensibleCapacity": moved,
        "flowRate": Figure(water * GALLONS, "gal/min", "water at the plant's rise"),
        "nominalAirVolume": Figure(air * CUBIC_FEET, "ft³/min", "air at its assumed rise"),
        "fanMotorPowerMax": Figure(ports[-1].values["ratedPower"] / 1e3, "kW", "air_fan_share, an assumption"),
    }
    names = ("NominalVoltage", "Current", "Frequency", "PowerRating", "")
    spec |= _supply(ports[-1], *(f"electrical{name}" if name else "" for name in names))
    about = {"kilograms": assumed("mass", "fan"), "qcode": assumed("wikidata", "cooler")}
    fronts = _stack("Fan", GREY, 3, low=3, high=11, pitch=13)
    return make("FanUnit", "CRAH", "A fan unit with a coil", shape, **about, spec=spec, ports=ports, fronts=fronts)


def _shape(plant: Plant) -> Size:
    return size("node-rack" if isinstance(plant.part, Node) else "nvlink-rack")


def _watts(plant: Plant) -> float:
    return plant.part.max_watts * plant.chassis_per_rack


def _power(plant: Plant) -> dict[str, Figure]:
    watts, whence = _watts(plant), f"the maker's {_watts(plant) / 1e3:g} kW"
    idle = float(plant.node_power.watts(plant.gpus_per_chassis * idle_watts(plant.gpu))) * plant.chassis_per_rack
    return {
        "numGPUs": Figure(plant.gpus_per_chassis * plant.chassis_per_rack, "", "catalogue"),
        "namePlatePower": Figure(round(watts), "W", whence),
        "maxPowerDcTdp": Figure(watts / 1e3, "kW", f"{whence}: its model reaches them when all GPUs draw their TDP"),
        "idlePowerDefault30Pct": Figure(idle / 1e3, "kW", "modelled: GPUs at their idle power, everything else on"),
    }


def _heat(plant: Plant) -> dict[str, Figure]:
    watts, liquid, air = _watts(plant), plant.part.liquid_share, 1 - plant.part.liquid_share
    of_them = f"of the maker's {watts / 1e3:g} kW"
    breeze = (float(assumed("air", "intake_celsius")), air_flow(watts * air), 0.0)
    found = {
        "heatCaptureRatio": Figure(100 * liquid, "%", _source(plant.part, "liquid_share")),
        "liquidCooling": Figure(watts * liquid / 1e3, "kW", f"{liquid:.2g} {of_them}, by its cold plates"),
        "airCooling": Figure(watts * air / 1e3, "kW", f"{air:.2g} {of_them}, into the hall"),
        "requiredAirFlowRate": Figure((breeze,), "°C, m³/s", "at its assumed rise; the third is not used"),
    }
    if liquid:
        inlet = plant.water_celsius + plant.cdu_part.approach_kelvin
        litres = 1000 * flow(watts * liquid, plant.cdu_part.rise_kelvin)
        water = (inlet, litres, 60 * litres)
        found["requiredLiquidFlowRate"] = Figure((water,), "°C, L/s, L/min", "at the CDU's rise")
    return found


def _cdu_spec(plant: Plant) -> dict[str, Figure]:
    part = plant.cdu_part
    moved = Figure(part.capacity_watts / 1e3, "kW", _source(part, "capacity_watts"))
    water = flow(part.capacity_watts, part.rise_kelvin)
    warm = plant.water_celsius + KELVIN
    same = dict.fromkeys(("nominalCoolingCapacity", "maximumCoolingCapacity", "totalHeatDissipated"), moved)
    return same | {
        "coolingType": Figure("Water"),
        "mountStyle": Figure("In Row", "", "as the hall is laid out"),
        "nominalFlow": Figure(water, "m³/s", "rise of the catalogue"),
        "referenceTechnologyCoolantFlowRate": Figure(6e4 * water, "L/min", "rise of the catalogue"),
        "referenceFacilityCoolantTemperature": Figure(warm, "K", "the plant's water"),
        "referenceSecondaryCoolantTemperature": Figure(
            warm + part.approach_kelvin, "K", "the plant's water and the CDU's approach"
        ),
        "workingFluidPumps": Figure(assumed("water", "fluid"), "", "assumption"),
        "ratedMaxPower": Figure(part.pump_watts / 1e3, "kW", _source(part, "pump_watts")),
    }


def _rack_ports(plant: Plant, shape: Size) -> Iterator[Port]:
    watts, liquid, top, back = _watts(plant), plant.part.liquid_share, shape.height, shape.depth / 2
    yield electrical("power", _below("power", "power", shape), UP, watts=watts, hardwired=False)
    yield network("network", _below("network", "network", shape), UP, bytes_s=plant.part.nic_bytes_s_per_gpu)
    face = {"watts": watts * (1 - liquid), "width": shape.width, "height": top}
    yield airflow("air_intake", (0.0, -back, top / 2), FORTH, warm=False, **face)
    yield airflow("air_outflow", (0.0, back, top / 2), BACK, warm=True, **face)
    if liquid:
        rise, cold = plant.cdu_part.rise_kelvin, plant.water_celsius + plant.cdu_part.approach_kelvin
        water = {"watts": watts * liquid, "rise_kelvin": rise, "fluid": assumed("water", "fluid")}
        yield thermal("tcs_supply", _below("technology", "supply", shape), UP, celsius=cold, **water)
        yield thermal("tcs_return", _below("technology", "return", shape), UP, celsius=cold + rise, **water)


def _cdu_pipes(plant: Plant, shape: Size) -> Iterator[Port]:
    part, warm, shift = plant.cdu_part, plant.water_celsius, _shift(plant)
    sides: tuple[tuple[str, str, float, float, str], ...] = (
        ("fws", "facility", warm, plant.cooling.rise_kelvin, "facility_fluid"),
        ("tcs", "technology", warm + part.approach_kelvin, part.rise_kelvin, "fluid"),
    )
    for short, loop, cold, rise, fluid in sides:
        water = {"watts": part.capacity_watts, "rise_kelvin": rise, "fluid": assumed("water", fluid)}
        yield thermal(f"{short}_supply", _below(loop, "supply", shape, shift), UP, celsius=cold, **water)
        yield thermal(f"{short}_return", _below(loop, "return", shape, shift), UP, celsius=cold + rise, **water)


def _below(loop: str, system: str, shape: Size, shift: float = 0.0) -> Triple:
    """Return the place on a machine's top that lies below its row's header, in the machine's own measure."""
    return 0.0, PLACES[loop, system][1] - shift, shape.height


def _shift(plant: Plant) -> float:
    """Return how far a CDU's middle lies behind its row's, for fronts are in one line."""
    return (size("cdu").depth - _shape(plant).depth) / 2


def _fan_ports(plant: Plant, shape: Size) -> Iterator[Port]:
    watts, top, cooling = plant.air_unit_watts, shape.height, plant.cooling
    water = {"watts": watts, "rise_kelvin": cooling.rise_kelvin, "fluid": assumed("water", "facility_fluid")}
    cold = float(cooling.air_water_celsius)
    yield thermal("fws_supply", _below("facility", "supply", shape), UP, celsius=cold, **water)
    yield thermal("fws_return", _below("facility", "return", shape), UP, celsius=cold + cooling.rise_kelvin, **water)
    face = {"watts": watts, "width": 0.9 * shape.width, "height": 0.4 * top}
    yield airflow("air_intake", (0.0, 0.0, top), UP, warm=True, **face)
    yield airflow("air_outflow", (0.0, -shape.depth / 2, 0.3 * top), FORTH, warm=False, **face)
    at = _below("power", "power", shape)
    yield electrical("power", at, UP, watts=watts * cooling.air_fan_share, hardwired=True)


def _supply(feed: Port, volts: str, amperes: str, hertz: str, kilowatts: str, factor: str) -> dict[str, Figure]:
    """Return a feed in the names that SimReady has for a class; those that it lacks are empty."""
    at = "assumption of data/equipment.toml"
    found = {
        volts: Figure(feed.values["nominalVoltage"], "V", at),
        amperes: Figure(feed.values["maxCurrent"], "A", "of the power at that voltage"),
        hertz: Figure(feed.values["frequency"], "Hz", at),
        kilowatts: Figure(feed.values["ratedPower"] / 1e3, "kW", "catalogue"),
        factor: Figure(feed.values["powerFactor"], "", at),
    }
    return {name: figure for name, figure in found.items() if name}


def _piping(pipe: Port) -> str:
    loop, direction = pipe.name.split("_")
    return f"{loop}{direction.capitalize()}PipingConnection"


def _source(part: Part, field: str) -> str:
    return part.sources.get(field, "the plant's own figure")


def _nodes(part: Node, count: int) -> list[Front]:
    units = round((part.height_metres or 0.0) / UNIT)
    return _stack("Node", GREEN, count, low=2, high=units, pitch=units)


def _shelves() -> list[Front]:
    return [front for name, colour, low, count in SHELVES for front in _stack(f"{name}{low}", colour, count, low, 1, 1)]


def _stack(name: str, colour: Colour, count: int, low: int, high: int, pitch: int) -> list[Front]:
    """So many fronts above each other, in rack units from the floor, with a gap between them."""
    units = [low + place * pitch for place in range(count)]
    return [(f"{name}_{place}", colour, at * UNIT, high * UNIT - 0.006) for place, at in enumerate(units)]
