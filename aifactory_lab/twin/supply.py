"""The way of power from the grid to the nodes: converters, switches, rectifiers, coolant pumps, the UPS.

Every stage gives what it takes, less a loss that is heat: what comes in is accounted for watt by watt. The chain is
RAPS's (ExaDigiT, arXiv 2410.05133): a converter takes (what it gives + a constant) ÷ its efficiency. How busy GPUs and
CPUs are is given, not known.

>>> frontier().draw(gpu=0.0, cpu=0.0).total.round(-2), frontier().draw(gpu=1.0, cpu=1.0).total.round(-2)
(np.float64(7306500.0), np.float64(28227900.0))
"""

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aifactory_lab.errors import TwinError

Numbers = NDArray[np.float64]
FRONTIER = Path(__file__).with_name("data") / "frontier.toml"


@dataclass(frozen=True)
class Converter:
    """Anything that passes power on: what it takes is (what it gives + `constant_watts`) ÷ `efficiency`."""

    constant_watts: float = 0.0
    efficiency: float = 1.0

    def __post_init__(self) -> None:
        if not (self.constant_watts >= 0 and 0 < self.efficiency <= 1):
            msg = f"a converter of constant_watts={self.constant_watts:g}, efficiency={self.efficiency:g} cannot be"
            raise TwinError(msg, mend="Converter(17.0, 0.96)")

    def takes(self, gives: ArrayLike) -> Numbers:
        """Return the watts taken for the watts given."""
        return np.asarray((np.asarray(gives, np.float64) + self.constant_watts) / self.efficiency, np.float64)

    def loss(self, gives: ArrayLike) -> Numbers:
        """Return the watts that become heat on the way."""
        return self.takes(gives) - np.asarray(gives, np.float64)


# Double conversion at usual loads; ENERGY STAR's UPS averages lie between 0.93 and 0.97. An assumption to edit.
UPS = Converter(0.0, 0.96)


@dataclass(frozen=True)
class Draw:
    """What a plant draws, by where each watt becomes heat; arrays over time or over states.

    Attributes
    ----------
    gpus, hosts
        In GPUs; in CPUs, memory, disks and network cards.
    switches
        In the fabric.
    converters, rectifiers, ups
        Lost in conversion.
    pumps
        In coolant distribution units.
    """

    gpus: Numbers
    hosts: Numbers
    switches: Numbers
    converters: Numbers
    rectifiers: Numbers
    pumps: Numbers
    ups: Numbers

    @property
    def total(self) -> Numbers:
        """From the grid, before cooling outside of the racks: the sum of all."""
        return self.it + self.converters + self.rectifiers + self.pumps + self.ups

    @property
    def it(self) -> Numbers:
        """In GPUs, hosts and switches."""
        return self.gpus + self.hosts + self.switches

    @property
    def racks(self) -> Numbers:
        """What racks take at the UPS's output, their own conversion included; the CDUs' pumps are not in it."""
        return self.it + self.converters + self.rectifiers

    def pue(self, cooling_watts: ArrayLike = 0.0) -> Numbers:
        """Return the power usage effectiveness: all watts ÷ those at the UPS's output (PUE1 of ISO/IEC 30134-2).

        Parameters
        ----------
        cooling_watts
            Of cooling other than the CDUs' pumps, which are counted here.
        """
        return np.asarray((self.total + np.asarray(cooling_watts, np.float64)) / self.racks, np.float64)


@dataclass(frozen=True)
class Chain:
    """A plant of like racks; see `data/frontier.toml` for what each figure is.

    Raises
    ------
    TwinError
        If a count or a power is negative, or idle is above the most.
    """

    racks: int
    chassis_per_rack: int
    nodes_per_chassis: int
    gpus_per_node: int
    gpu_idle_watts: float
    gpu_max_watts: float
    cpus_per_node: int
    cpu_idle_watts: float
    cpu_max_watts: float
    fixed_watts: float
    switches_per_chassis: int
    switch_watts: float
    rectifiers_per_chassis: int
    converter: Converter
    rectifier: Converter
    cdus: int = 0
    cdu_watts: float = 0.0
    ups: Converter = field(default_factory=Converter)
    source: str = ""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, int | float) and not (np.isfinite(value) and value >= 0):
                msg = f"a chain of {name}={value!r} cannot be"
                raise TwinError(msg, mend=f"{name} is 0 or more")
        for part in ("gpu", "cpu"):
            least, most = getattr(self, f"{part}_idle_watts"), getattr(self, f"{part}_max_watts")
            if least > most:
                msg = f"{part}_idle_watts={least:g} is above {part}_max_watts={most:g}"
                raise TwinError(msg, mend="idle is the least that it draws")

    @property
    def gpus(self) -> int:
        """GPUs of the plant."""
        return self.gpus_per_node * self.nodes_per_chassis * self.chassis_per_rack * self.racks

    def draw(self, *, gpu: ArrayLike, cpu: ArrayLike = 0.0) -> Draw:
        """Return what the plant draws when all its GPUs and CPUs are active by these shares.

        Parameters
        ----------
        gpu, cpu
            Activity, 0 to 1; numbers or arrays over time.
        """
        gpus = self.gpus_per_node * self._between("gpu", gpu)
        hosts = self.cpus_per_node * self._between("cpu", cpu) + self.fixed_watts
        node = self.converter.takes(gpus + hosts)
        switches = self.switches_per_chassis * self.switch_watts
        gives = self.nodes_per_chassis * node + switches
        rectified = self.rectifiers_per_chassis * self.rectifier.loss(gives / max(self.rectifiers_per_chassis, 1))
        chassis = self.racks * self.chassis_per_rack
        nodes = chassis * self.nodes_per_chassis
        pumps = self.cdus * self.cdu_watts
        behind = chassis * (gives + rectified) + pumps
        parts = (nodes * gpus, nodes * hosts, chassis * switches, nodes * self.converter.loss(gpus + hosts))
        shaped = np.broadcast_arrays(*parts, chassis * rectified, pumps, self.ups.loss(behind))
        return Draw(*(np.asarray(part, np.float64) for part in shaped))

    def _between(self, part: str, activity: ArrayLike) -> Numbers:
        share = np.asarray(activity, np.float64)
        if not ((share >= 0) & (share <= 1)).all():
            msg = f"{part}={activity!r} is not an activity of 0 to 1"
            raise TwinError(msg, mend=f"{part}=0.5")
        least, most = getattr(self, f"{part}_idle_watts"), getattr(self, f"{part}_max_watts")
        return np.asarray(least + (most - least) * share, np.float64)


@cache
def frontier() -> Chain:
    """Return Frontier's chain, 37,888 GPUs, as RAPS describes it."""
    told = tomllib.loads(FRONTIER.read_text())
    converter, rectifier = (Converter(**told.pop(name)) for name in ("converter", "rectifier"))
    return Chain(**told, converter=converter, rectifier=rectifier)
