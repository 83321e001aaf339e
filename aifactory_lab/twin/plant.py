"""What is built: GPUs in nodes or NVLink racks, their racks, coolers and fabric. What it does is `design`'s to say.

A plant is whole: its GPUs fill their chassis. Counts follow from the catalogue, and every figure that nobody published
is an attribute with its assumption, to be edited.

>>> plant = Plant(gpus=1024, chassis="dgx-b200")
>>> plant.chassis_count, plant.rack_count, plant.cdus, plant.fabric.switches
(128, 32, 0, 48)
>>> Plant.about(1000, "gb200-nvl72").gpus
1008
"""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import polars as pl

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import fabric, hardware
from aifactory_lab.twin.cooling import Cooling
from aifactory_lab.twin.fabric import FatTree
from aifactory_lab.twin.hardware import Catalogue
from aifactory_lab.twin.parts import Cdu, Gpu, Node, Rack
from aifactory_lab.twin.power import NodePower, idle_watts, node_power
from aifactory_lab.twin.supply import UPS, Converter

# Four DGX in a rack, as the SuperPOD reference architectures draw them. An assumption: many halls cool fewer.
NODES_PER_RACK = 4
# Heat that one fan unit of the hall takes: large units in rows are sold at 100 to 200 kW. An assumption.
AIR_UNIT_WATTS = 150e3


def chassis(name: str, catalogue: Catalogue | None = None) -> Node | Rack:
    """Return what GPUs come in: a node or a rack that is one NVLink domain, by name.

    Raises
    ------
    TwinError
        If the catalogue has neither.
    """
    parts = catalogue or hardware.ours()
    names = (*parts.names("node"), *parts.names("rack"))
    if name.lower() not in names:
        msg = f"no chassis {name!r} in the catalogue; there are: {', '.join(names)}"
        raise TwinError(msg, mend='chassis="dgx-b200", or catalogue=twin.hardware.read("mine.toml")')
    found = parts.find("rack" if name.lower() in parts.names("rack") else "node", name)
    assert isinstance(found, Node | Rack)
    return found


@dataclass(frozen=True, kw_only=True)
class Plant:
    """A plant of one kind of chassis.

    Attributes
    ----------
    gpus
        All of them; whole chassis.
    chassis
        What they come in: ``"dgx-h100"``, ``"dgx-b200"``, ``"gb200-nvl72"``, ….
    nodes_per_rack
        Of nodes; a rack that is one NVLink domain is a rack.
    gpu_cap_watts
        Power limit of each GPU, above its idle power; None for its TDP.
    cdu, air_unit_watts
        The coolant distribution unit by name, and the heat that a fan unit of the hall takes.
    spare
        Coolers beyond those that full load needs, of each kind (N + spare).
    water_celsius, rejection, chillers
        See `cooling.Cooling`.
    ups
        What the uninterruptible supply takes for what it gives.
    catalogue
        Ours with yours beside it (`hardware.read`), for a chassis or a GPU of your own; by default ours.

    Raises
    ------
    TwinError
        If a figure cannot be; it names the value.
    """

    gpus: int = 1024
    chassis: str = "dgx-b200"
    nodes_per_rack: int = NODES_PER_RACK
    gpu_cap_watts: float | None = None
    cdu: str = "row-1350"
    air_unit_watts: float = AIR_UNIT_WATTS
    spare: int = 1
    water_celsius: float = 40.0
    rejection: str = "tower"
    chillers: bool = True
    ups: Converter = field(default=UPS)
    catalogue: Catalogue | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        each = self.gpus_per_chassis
        if self.gpus < 1 or self.gpus % each:
            msg = f"gpus={self.gpus!r} do not fill {self.chassis}s of {each}"
            raise TwinError(msg, mend=f"gpus={max(1, math.ceil(self.gpus / each)) * each}")
        for name, least in {"nodes_per_rack": 1, "spare": 0}.items():
            if getattr(self, name) < least:
                msg = f"{name}={getattr(self, name)!r} must be {least} or more"
                raise TwinError(msg, mend=f"{name}={least}")
        if not self.air_unit_watts > 0:
            msg = f"air_unit_watts={self.air_unit_watts!r} must be positive"
            raise TwinError(msg, mend=f"air_unit_watts={AIR_UNIT_WATTS:g}")
        if self.gpu_cap_watts is not None and not self.gpu_cap_watts > idle_watts(self.gpu):
            msg = f"gpu_cap_watts={self.gpu_cap_watts!r} is not above what an idle {self.gpu.name} draws"
            raise TwinError(msg, mend=f"gpu_cap_watts={self.gpu.tdp_watts / 2:g}")
        assert self.cooling  # checks the rest

    @classmethod
    def about(cls, gpus: int, chassis_name: str = "dgx-b200", **rest: object) -> Self:
        """Return a plant of at least so many GPUs, its last chassis filled."""
        each = int(chassis(chassis_name, rest.get("catalogue")).gpus)  # type: ignore[arg-type]
        return cls(gpus=max(1, math.ceil(gpus / each)) * each, chassis=chassis_name, **rest)  # type: ignore[arg-type]

    @cached_property
    def part(self) -> Node | Rack:
        """The chassis, as the catalogue has it."""
        return chassis(self.chassis, self.catalogue)

    @cached_property
    def gpu(self) -> Gpu:
        """The GPU."""
        return (self.catalogue or hardware.ours()).gpu(self.part.gpu)

    @property
    def gpus_per_chassis(self) -> int:
        """GPUs that NVLink joins."""
        return int(self.part.gpus)

    @property
    def chassis_count(self) -> int:
        """Nodes, or racks that are one NVLink domain."""
        return self.gpus // self.gpus_per_chassis

    @property
    def chassis_per_rack(self) -> int:
        """Chassis in a full rack."""
        return 1 if isinstance(self.part, Rack) else self.nodes_per_rack

    @property
    def rack_count(self) -> int:
        """Racks with GPUs; the last may not be full."""
        return math.ceil(self.chassis_count / self.chassis_per_rack)

    @property
    def max_watts(self) -> float:
        """Most that all chassis draw together, by their maker's figure."""
        return self.chassis_count * self.part.max_watts

    @cached_property
    def node_power(self) -> NodePower:
        """What a chassis draws by what its GPUs draw."""
        return node_power(self.part, self.gpu)

    @cached_property
    def cooling(self) -> Cooling:
        """The cooling plant; NOT VALIDATED."""
        share = self.part.liquid_share
        where = {"water_celsius": self.water_celsius, "rejection": self.rejection, "chillers": self.chillers}
        return replace(Cooling(), liquid_share=share, **where)  # type: ignore[arg-type]

    @cached_property
    def cdu_part(self) -> Cdu:
        """The coolant distribution unit, as the catalogue has it."""
        found = (self.catalogue or hardware.ours()).find("cdu", self.cdu)
        assert isinstance(found, Cdu)
        return found

    @property
    def cdus(self) -> int:
        """Coolant distribution units, spares included; 0 where air takes all heat."""
        heat = self.max_watts * self.part.liquid_share
        return math.ceil(heat / self.cdu_part.capacity_watts) + self.spare if heat else 0

    @property
    def air_units(self) -> int:
        """Fan units of the hall, spares included; 0 where water takes all heat."""
        heat = self.max_watts * (1 - self.part.liquid_share)
        return math.ceil(heat / self.air_unit_watts) + self.spare if heat else 0

    @cached_property
    def fabric(self) -> FatTree:
        """The compute fabric: a rail for each GPU of a node, or for each of the four of an NVLink rack's tray.

        Three tiers of 64 ports reach 65,536 cards; a larger plant is planned with switches of more ports.
        """
        rails = 8 if isinstance(self.part, Node) else 4
        radix = 64
        while self.gpus > radix**3 // 4:
            radix *= 2
        return fabric.FatTree(nodes=math.ceil(self.gpus / rails), rails=rails, radix=radix)

    def racks(self) -> pl.DataFrame:
        """Return the racks: ``rack``, ``chassis`` (how many it holds), ``gpus``."""
        each, whole = self.chassis_per_rack, self.chassis_count
        held = [min(each, whole - each * number) for number in range(self.rack_count)]
        return pl.DataFrame(
            {
                "rack": range(self.rack_count),
                "chassis": held,
                "gpus": [count * self.gpus_per_chassis for count in held],
            }
        )
