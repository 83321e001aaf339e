"""The compute fabric: a rail-optimised fat tree, its switches and cables, and what is left of it when some fail.

Each of a node's network cards goes to a leaf of its own, so GPUs of the same place meet in one leaf. The counts follow
a rule that reproduces NVIDIA's tables for DGX B200. How long a transfer takes is `collectives`' to say.

>>> tree = superpod("b200", nodes=512)
>>> tree.leaves, tree.spines, tree.cores, tree.cables
(128, 128, 64, (4096, 4096, 4096))
>>> tree.after(spines=1).slowest
0.9921875
"""

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aifactory_lab.errors import TwinError

FILE = Path(__file__).with_name("data") / "superpod.toml"


@dataclass(frozen=True)
class Degraded:
    """What is left of a fabric, as shares of what it was.

    Attributes
    ----------
    slowest
        Bandwidth of the node that has least left, beyond its leaves; a collective among all goes no faster.
    bisection
        Bandwidth between two halves of the plant.
    nodes
        At most so many nodes lost a rail: their GPUs on it go through NVLink and another card (NCCL's PXN).
    """

    slowest: float
    bisection: float
    nodes: int


@dataclass(frozen=True)
class FatTree:
    """A non-blocking fat tree of like switches.

    Attributes
    ----------
    nodes, rails
        Nodes, and network cards of each.
    radix
        Ports of a switch; half of a leaf's go down.
    tiers
        Most tiers: with 2, a plant of more leaves than a spine has ports is split into rails that never meet.

    Raises
    ------
    TwinError
        If a count is not a positive whole number, or three tiers do not reach so many nodes.
    """

    nodes: int
    rails: int = 8
    radix: int = 64
    tiers: int = 3

    def __post_init__(self) -> None:
        for name in ("nodes", "rails", "radix"):
            value = getattr(self, name)
            if value < 1 or value != int(value) or (name == "radix" and value % 2):
                msg = f"a fat tree of {name}={value!r} cannot be"
                raise TwinError(msg, mend=f"{name}={8 if name == 'rails' else 64}")
        if self.tiers not in {2, 3}:
            msg = f"a fat tree of tiers={self.tiers!r} is not known here"
            raise TwinError(msg, mend="tiers=2 or tiers=3")
        most = self.radix**3 // 4
        if self.tiers == 3 and self.nodes * self.rails > most:
            msg = f"three tiers of {self.radix} ports reach {most} cards, not nodes={self.nodes} × {self.rails}"
            raise TwinError(msg, mend="a larger radix, or fewer nodes")

    @property
    def leaves(self) -> int:
        """Switches that nodes hang on."""
        return math.ceil(self.nodes * self.rails / (self.radix // 2))

    @property
    def three(self) -> bool:
        """Whether it has a third tier: more leaves than a spine has ports."""
        return self.tiers == 3 and self.leaves > self.radix

    @property
    def spines(self) -> int:
        """Switches that leaves hang on."""
        return self.leaves if self.three else math.ceil(self.leaves / 2)

    @property
    def cores(self) -> int:
        """Switches that spines hang on; 0 with two tiers."""
        return math.ceil(self.spines / 2) if self.three else 0

    @property
    def switches(self) -> int:
        """All switches."""
        return self.leaves + self.spines + self.cores

    @property
    def cables(self) -> tuple[int, int, int]:
        """Cables from nodes to leaves, leaves to spines, spines to cores."""
        down = self.nodes * self.rails
        return down, down, down if self.three else 0

    @property
    def counts(self) -> tuple[int, ...]:
        """Leaves, spines, cores, and the three kinds of cables."""
        return self.leaves, self.spines, self.cores, *self.cables

    def after(
        self, *, leaves: int = 0, spines: int = 0, cores: int = 0, node_cables: int = 0, leaf_cables: int = 0
    ) -> Degraded:
        """Return what is left when so many fail, with adaptive routing over what remains.

        The worst place is taken: leaves that serve the same nodes, cables of one node or of one leaf.

        Raises
        ------
        TwinError
            If more fail than there are.
        """
        node, leaf = self.cables[0], self.cables[1]
        there = {"leaves": self.leaves, "spines": self.spines, "cores": self.cores}
        there |= {"node_cables": node, "leaf_cables": leaf}
        failed = {"leaves": leaves, "spines": spines, "cores": cores, "node_cables": node_cables}
        for name, count in (failed | {"leaf_cables": leaf_cables}).items():
            if not 0 <= count <= there[name]:
                msg = f"{name}={count!r} cannot fail: there are {there[name]}"
                raise TwinError(msg, mend=f"{name}=1")
        rails = 1 - min(self.rails, leaves + node_cables) / self.rails
        uplinks = 1 - min(1.0, leaf_cables / max(1.0, leaf / self.leaves))
        above = (1 - spines / self.spines) * (1 - cores / self.cores if self.cores else 1.0)
        ways = (1 - leaves / self.leaves) * (1 - leaf_cables / leaf) * (1 - node_cables / node) * above
        group = min(self.nodes, self.radix // 2)
        hit = math.ceil(leaves / self.rails) * group + node_cables
        return Degraded(slowest=min(rails, uplinks, above), bisection=ways, nodes=min(self.nodes, hit))


def superpod(family: str, *, nodes: int) -> FatTree:
    """Return the fabric of a DGX SuperPOD of so many nodes: ``"b200"``, ``"b300"``, ``"b300-xdr"``.

    Raises
    ------
    TwinError
        If there is no such family.
    """
    rule = _family(family)
    return FatTree(nodes, rails=rule["rails"], radix=rule["radix"], tiers=rule["tiers"])


def printed(family: str) -> dict[int, tuple[int, ...]]:
    """Return NVIDIA's table: by nodes, the counts in the order of `FatTree.counts`."""
    return {row[0]: tuple(row[1:]) for row in _family(family)["printed"]}


def source(family: str) -> str:
    """Return where the table is printed."""
    return str(_family(family)["source"])


@cache
def _families() -> dict[str, dict[str, Any]]:
    return tomllib.loads(FILE.read_text())


def _family(name: str) -> dict[str, Any]:
    if name not in _families():
        msg = f"no SuperPOD {name!r}; there are: {', '.join(_families())}"
        raise TwinError(msg, mend='fabric.superpod("b200", nodes=128)')
    return _families()[name]
