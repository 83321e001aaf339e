"""What GPUs and nodes draw: from the activity of their streaming multiprocessors, at a clock or under a cap.

Power follows SM activity (DCGM_FI_PROF_SM_ACTIVE); nvidia-smi's "utilisation" only says that some kernel ran, and power
driven by it comes out at 1.5 times the measured one (AcmeTrace). Losses between the grid and the node are `supply`'s.

>>> a100 = hardware.gpu("a100-80")
>>> round(float(gpu_watts(a100, 0.385)), 1), float(gpu_watts(a100, 1.0))
(192.7, 400.0)
>>> round(float(clock(a100, 1.0, cap_watts=300)), 3)
0.889
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import hardware
from aifactory_lab.twin.parts import Gpu, Node, Rack

Numbers = NDArray[np.float64]
# Where nobody measured a GPU's idle power: A100's share of its TDP, 63 of 400 W (AcmeTrace). An assumption elsewhere.
IDLE_SHARE = 63 / 400
# Dynamic power is C·V²·f, and voltage falls with frequency: the third power is the textbook's upper end. An assumption.
EXPONENT = 3.0
# Watts that a node's fans and converters add to each GPU watt: quantile fit on AcmeTrace's A100 nodes.
SLOPE = 1.185
LEAST_CLOCK = 0.2  # of the boost clock: about 210 to 345 of 1,410 to 1,980 MHz, below which these GPUs do not go


def idle_watts(gpu: Gpu) -> float:
    """Return what a GPU draws when nothing runs: measured, or `IDLE_SHARE` of its TDP.

    Raises
    ------
    TwinError
        If its TDP is not positive, or below its idle power.
    """
    if not gpu.tdp_watts > (gpu.idle_watts or 0.0):
        msg = f"{gpu.name} has tdp_watts={gpu.tdp_watts!r}, which is not above what it draws idle"
        raise TwinError(msg, mend="tdp_watts=700")
    return IDLE_SHARE * gpu.tdp_watts if gpu.idle_watts is None else gpu.idle_watts


def gpu_watts(gpu: Gpu, activity: ArrayLike, *, clock: ArrayLike = 1.0, exponent: float = EXPONENT) -> Numbers:
    """Return a GPU's mean power: idle + (TDP - idle) × activity × clock**exponent.

    Parameters
    ----------
    activity
        Share of time that its streaming multiprocessors had work, 0 to 1.
    clock
        Share of the boost clock, 0 to 1.
    exponent
        Of the clock.

    Raises
    ------
    TwinError
        If a share is not one.
    """
    busy, speed = _share(activity, "activity"), _share(clock, "clock")
    rest = idle_watts(gpu)
    return np.asarray(rest + (gpu.tdp_watts - rest) * busy * speed**exponent, np.float64)


def clock(gpu: Gpu, activity: ArrayLike, *, cap_watts: ArrayLike, exponent: float = EXPONENT) -> Numbers:
    """Return the share of the boost clock at which a GPU keeps to a cap; work bound by arithmetic slows as much.

    At `LEAST_CLOCK` a GPU stays above a cap that is too low for its activity.

    Raises
    ------
    TwinError
        If a cap is not above the idle power.
    """
    busy, cap, rest = _share(activity, "activity"), np.asarray(cap_watts, np.float64), idle_watts(gpu)
    if not (cap > rest).all():
        msg = f"cap_watts={cap_watts!r} is not above what an idle {gpu.name} draws, {rest:g} W"
        raise TwinError(msg, mend=f"cap_watts={gpu.tdp_watts / 2:g}")
    dynamic = np.maximum((gpu.tdp_watts - rest) * busy, 1e-9)  # idle: any cap leaves the clock alone
    return np.asarray(np.clip(((cap - rest) / dynamic) ** (1 / exponent), LEAST_CLOCK, 1.0), np.float64)


@dataclass(frozen=True)
class NodePower:
    """A node's power: what it draws beside its GPUs, and the watts that each GPU watt becomes.

    Attributes
    ----------
    base_watts
        CPUs, memory, disks, network cards and fans at rest.
    slope
        Watts a GPU watt, 1 or more.
    """

    base_watts: float
    slope: float = SLOPE

    def __post_init__(self) -> None:
        if not (self.base_watts >= 0 and self.slope >= 1):
            msg = f"a node of base_watts={self.base_watts:g} and slope={self.slope:g} cannot be"
            raise TwinError(msg, mend="base_watts=1356, slope=1.185")

    def watts(self, gpus_watts: ArrayLike) -> Numbers:
        """Return the node's power from that of all its GPUs together."""
        return np.asarray(self.base_watts + self.slope * np.asarray(gpus_watts, np.float64), np.float64)

    def gpus_watts(self, watts: ArrayLike) -> Numbers:
        """Return what all its GPUs together may draw so that the node keeps to these watts: a cap for `clock`.

        Raises
        ------
        TwinError
            If the watts do not carry the node's base.
        """
        given = np.asarray(watts, np.float64)
        if not (given > self.base_watts).all():
            msg = f"watts={watts!r} leave nothing for the GPUs of a node that draws {self.base_watts:g} W beside them"
            raise TwinError(msg, mend=f"watts={2 * self.base_watts:g}")
        return np.asarray((given - self.base_watts) / self.slope, np.float64)


# Quantile fit on AcmeTrace's A100 nodes: mean error 12.8 % over quantiles. Eight GPUs a node.
ACME_NODE = NodePower(1356.0)


def node_power(chassis: Node | Rack, gpu: Gpu | None = None) -> NodePower:
    """Return a model of a node or a rack that reaches its maker's maximum when all GPUs draw their TDP.

    So it leans to the high side: makers' maxima leave room. Where the maximum leaves none for the slope, there is none.

    Raises
    ------
    TwinError
        If the maximum is less than the GPUs draw.
    """
    chip = gpu or hardware.gpu(chassis.gpu)
    most = chassis.gpus * chip.tdp_watts
    if most > chassis.max_watts:
        msg = f"{chassis.name} has max_watts={chassis.max_watts:g}, less than its GPUs' {most:g} W"
        raise TwinError(msg, mend="a larger max_watts, or fewer gpus")
    slope = min(SLOPE, chassis.max_watts / most)
    return NodePower(chassis.max_watts - slope * most, slope)


def _share(value: ArrayLike, name: str) -> Numbers:
    found = np.asarray(value, np.float64)
    if not ((found >= 0) & (found <= 1)).all():
        msg = f"{name}={value!r} is not a share of 0 to 1"
        raise TwinError(msg, mend=f"{name}=0.5")
    return found
