"""What a step asks of a GPU: its memory, its arithmetic by format, and the links to its neighbours.

Formats that a chip lacks are widened, links that it lacks are made up for over PCIe, and what it cannot do at all is
said. Anything with these figures will do: a GPU of the catalogue, one of another file, a processor. Models and engines
are not known here.

>>> from aifactory_lab.twin import hardware
>>> a100, h100 = hardware.gpu("a100-80"), hardware.gpu("h100-sxm")
>>> rate(a100, "fp8") == a100.flops_dense["bf16"], rate(h100, "fp8") == 2 * h100.flops_dense["bf16"]
(True, True)
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.errors import TwinError

Numbers = NDArray[np.float64]
# What a chip multiplies in, best first: where it lacks the format, weights are widened on the way.
WIDE = ("bf16", "fp16", "fp32")
MULTIPLIED_IN = {"fp32": ("fp32",), "bf16": WIDE, "fp16": ("fp16", "bf16", "fp32")}
MULTIPLIED_IN |= {"fp8": ("fp8", *WIDE), "fp4": ("fp4", *WIDE), "int8": WIDE, "int4": WIDE}
LINK = 0.7  # of a link's figure per direction that a ring of all-reduces reaches
# A hop over PCIe takes 1.0 µs where one over NVLink takes 0.6 µs: NCCL's own model, hwLat of the ring in
# src/graph/tuning.cc (2.21 to 2.27, protocol LL).
PCIE_HOP = 1.0 / 0.6


class Chip(Protocol):
    """What is asked of a GPU: per second and in bytes, dense arithmetic.

    It may also have `nvlink_gpus`, the most GPUs that NVLink joins: 2 where a bridge joins a pair, by default all.
    """

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def memory_bytes(self) -> float:
        """Bytes of its memory."""

    @property
    def memory_bandwidth_bytes_s(self) -> float:
        """Bytes per second of its memory."""

    @property
    def flops_dense(self) -> Mapping[str, float]:
        """Peak of dense arithmetic per second, by format: ``"bf16"``, ``"fp8"`` and so on."""

    @property
    def nvlink_bytes_s_per_direction(self) -> float | None:
        """Bytes per second to its neighbours over NVLink, one way."""

    @property
    def pcie_bytes_s_per_direction(self) -> float | None:
        """Bytes per second over PCIe, one way: what is left where there is no NVLink."""


def rate(chip: Chip, precision: str) -> float:
    """Return the operations per second at which weights of a format are multiplied.

    Raises
    ------
    TwinError
        If the chip has no figure for any format that would do.
    """
    for kind in MULTIPLIED_IN[precision]:
        if chip.flops_dense.get(kind):
            return float(chip.flops_dense[kind])
    msg = f"{chip.name} has no figure for dense {' or '.join(MULTIPLIED_IN[precision])} arithmetic"
    raise TwinError(msg, mend="give it in flops_dense, in operations per second")


def links(chip: Chip, size: Numbers) -> tuple[Numbers, Numbers]:
    """Return what joins the GPUs of groups: bytes per second, and how much longer than over NVLink a hop takes.

    Parameters
    ----------
    size
        GPUs of each group.

    Raises
    ------
    TwinError
        If a group of several has no link.
    """
    nvlink, pcie = chip.nvlink_bytes_s_per_direction, chip.pcie_bytes_s_per_direction
    joined = (size <= (getattr(chip, "nvlink_gpus", None) or np.inf)) if nvlink else np.zeros(size.shape, bool)
    if not pcie and not joined[size > 1].all():
        msg = f"{chip.name} has no figure for a link, so no model can be shared among {size.max():g} of them"
        raise TwinError(msg, mend="tp=1, or give it nvlink_bytes_s_per_direction")
    speed = np.where(joined, nvlink or np.inf, pcie or np.inf)
    return LINK * speed, np.where(joined, 1.0, PCIE_HOP)
