"""How large a private Slurm is: nodes, GPUs, CPUs, and who may use how many GPUs.

GPUs are the machine's own where there are enough of them; else pretend ones, which are counted with nothing behind
them. Real ones all belong to one node: Slurm numbers the GPUs of every node from 0, so that on one machine two nodes
would hand out the same ones. This module starts nothing.

>>> chosen(None, nodes=2, gpus_per_node=1, pretend=True).words
'2 nodes of 1 GPU and 8 CPUs each (pretend GPUs: counted, nothing behind them)'
"""

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import psutil

from aifactory_lab import device
from aifactory_lab.errors import FleetError

PRETEND = "pretend GPUs: counted, nothing behind them"
PRETEND_NODES, PRETEND_GPUS, PRETEND_CPUS = 4, 2, 8
DEVICES = Path("/dev")
MOST_NODES = 64  # a slurmd is a process of 5 MB


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The size of a plant.

    Attributes
    ----------
    nodes, gpus_per_node, cpus_per_node
        Counts; a node is a slurmd of its own on this machine.
    pretend
        Whether the GPUs are counted only.
    projects
        How many GPUs each project may claim.
    """

    nodes: int
    gpus_per_node: int
    cpus_per_node: int
    pretend: bool
    projects: dict[str, int] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The nodes' names: n1, n2 and so on."""
        return [f"n{number}" for number in range(1, self.nodes + 1)]

    @property
    def gpus(self) -> int:
        """GPUs in all."""
        return self.nodes * self.gpus_per_node

    @property
    def memory_mb(self) -> int:
        """Memory that a node says it has: all of the machine's, for nothing here confines a job."""
        return int(psutil.virtual_memory().total) >> 20

    @property
    def size(self) -> tuple[int, int, int, bool]:
        """What can only change while the plant is down."""
        return self.nodes, self.gpus_per_node, self.cpus_per_node, self.pretend

    @property
    def words(self) -> str:
        """The size as one would say it."""
        many = f"{_count(self.gpus_per_node, 'GPU')} and {_count(self.cpus_per_node, 'CPU')}"
        note = f" ({PRETEND})" if self.pretend else ""
        return f"{_count(self.nodes, 'node')} of {many}{' each' if self.nodes > 1 else ''}{note}"

    def files(self, run: Path) -> list[Path]:
        """Return the device files of a node's GPUs, in CUDA's order."""
        if self.pretend:
            return [run / f"gpu{index}" for index in range(self.gpus_per_node)]
        return device_files()[: self.gpus_per_node]

    def told(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


def chosen(
    kept: Layout | None,
    *,
    nodes: int | None = None,
    gpus_per_node: int | None = None,
    cpus_per_node: int | None = None,
    projects: Mapping[str, int] | None = None,
    pretend: bool | None = None,
) -> Layout:
    """Return what was asked for, filled up by what was kept, else by what is here.

    Raises
    ------
    FleetError
        If a count or a project makes no sense, or real GPUs are asked for that are not here.
    """
    asked: dict[str, Any] = {
        "nodes": nodes,
        "gpus_per_node": gpus_per_node,
        "cpus_per_node": cpus_per_node,
        "pretend": pretend,
    }
    wishes = {name: value for name, value in asked.items() if value is not None}
    layout = replace(kept, **wishes) if kept else _fresh(**wishes)
    half = {"vision": -(-layout.gpus // 2), "nlp": layout.gpus // 2}
    layout = replace(layout, projects=dict(projects) if projects else (kept.projects if kept else half))
    _check(layout)
    return layout


def device_files() -> list[Path]:
    """Return the device files of this machine's GPUs by number; a container may have only some numbers."""
    return sorted(DEVICES.glob("nvidia[0-9]*"), key=lambda path: int(path.name.removeprefix("nvidia")))


def real_gpus() -> int:
    """Return how many real GPUs Slurm can hand out here.

    None where some are hidden (``CUDA_VISIBLE_DEVICES``): Slurm counts from the first.
    """
    seen = len(device.current(needs=()).gpus)
    return seen if seen == len(device_files()) else 0


def _fresh(
    nodes: int | None = None,
    gpus_per_node: int | None = None,
    cpus_per_node: int | None = None,
    pretend: bool | None = None,
) -> Layout:
    here = real_gpus()
    if pretend is None:
        pretend = (nodes or 1) > 1 or here < (gpus_per_node or 1)
    usual = (PRETEND_NODES, PRETEND_GPUS, PRETEND_CPUS) if pretend else (1, here, os.cpu_count() or 1)
    asked = zip((nodes, gpus_per_node, cpus_per_node), usual, strict=True)
    counts = [default if value is None else value for value, default in asked]
    return Layout(nodes=counts[0], gpus_per_node=counts[1], cpus_per_node=counts[2], pretend=pretend)


def _check(layout: Layout) -> None:
    counts = {"nodes": layout.nodes, "gpus_per_node": layout.gpus_per_node, "cpus_per_node": layout.cpus_per_node}
    for name, value in counts.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            _refuse(f"{name} must be 1 or more; it is {value!r}", f"{name}=1")
    if layout.nodes > MOST_NODES:
        _refuse(f"{layout.nodes} nodes are too many for one machine; at most {MOST_NODES}", f"nodes={MOST_NODES}")
    if not layout.pretend:
        _check_real(layout)
    for name, quota in layout.projects.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name):
            _refuse(f"project {name!r} is not 1 to 32 small letters, digits or _", 'projects={"vision": 4}')
        if not isinstance(quota, int) or isinstance(quota, bool) or not 0 <= quota <= layout.gpus:
            _refuse(f"project {name} cannot claim {quota!r} of {layout.gpus} GPUs", f'projects={{"{name}": 1}}')


def _check_real(layout: Layout) -> None:
    if layout.nodes > 1:
        _refuse(f"the real GPUs of one machine are one node's, not {layout.nodes} nodes'", "nodes=1")
    if layout.gpus > (here := real_gpus()):
        _refuse(f"{_count(layout.gpus, 'real GPU')} asked for; Slurm can hand out {here} here", "pretend=True")


def _refuse(what: str, mend: str) -> NoReturn:
    raise FleetError(what, mend=f"private.up({mend})")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
