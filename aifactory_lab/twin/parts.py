"""What a plant is made of: GPUs, nodes, racks, scalable units, links, cards, switches, coolant distribution units.

All figures are SI: bytes, bytes per second, watts, kilograms, metres. Arithmetic is dense and links are per direction;
the figures of a data sheet are properties beside them. Where the figures come from is `catalogue`'s to say.

>>> chip = Gpu(
...     name="x", memory_bytes=80 * 2**30, memory_bandwidth_bytes_s=2e12, flops_dense={"fp8": 1e15}, tdp_watts=400
... )
>>> chip.memory_gib, round(chip.memory_gb, 1), chip.flops_sparse("fp8")
(80.0, 85.9, 2000000000000000.0)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from aifactory_lab.errors import TwinError

SPARSE = 2.0  # 2:4 structured sparsity doubles the peak: NVIDIA A100 whitepaper (2020)
SPARSE_FORMATS = ("fp4", "fp8", "int8", "bf16", "fp16", "tf32")


@dataclass(frozen=True, kw_only=True)
class Part:
    """Anything in the catalogue.

    Attributes
    ----------
    name, title
        Its name here, and in full.
    sources, statuses
        Of each figure: where it was found, and how much that is worth (``"source"``: its maker's text; ``"secondary"``;
        ``"measured"``; ``"memory"``: nobody looked it up).
    """

    name: str
    title: str = ""
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    statuses: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, kw_only=True)
class Gpu(Part):
    """One GPU, also where it is sold in pairs or racks.

    Attributes
    ----------
    memory_bytes, memory_bandwidth_bytes_s
        Of its own memory.
    flops_dense
        Operations per second by format, without sparsity: ``"fp4"``, ``"fp8"``, ``"bf16"``, ``"fp16"``, ``"tf32"``,
        ``"fp64"``, ``"int8"``. A format that it lacks, or whose figure nobody knows, is not there.
    sparse
        The figures with structured sparsity that are not twice the dense ones.
    tdp_watts, idle_watts
        Most that it draws for long, and least; None where nobody measured it.
    nvlink_bytes_s_per_direction, pcie_bytes_s_per_direction, c2c_bytes_s_per_direction
        To its neighbours, to its host and to its own CPU, one way; None where there is no such link.
    nvlink_gpus
        GPUs that NVLink joins where a bridge joins a pair; None where it joins all of a chassis.
    """

    memory_bytes: float
    memory_bandwidth_bytes_s: float
    flops_dense: Mapping[str, float]
    tdp_watts: float
    idle_watts: float | None = None
    sparse: Mapping[str, float] = field(default_factory=dict)
    nvlink_bytes_s_per_direction: float | None = None
    pcie_bytes_s_per_direction: float | None = None
    c2c_bytes_s_per_direction: float | None = None
    nvlink_gpus: float | None = None

    def __hash__(self) -> int:
        return hash((self.name, self.memory_bytes, self.memory_bandwidth_bytes_s, self.tdp_watts))

    def flops_sparse(self, form: str) -> float:
        """Return the operations per second that a data sheet prints "with sparsity".

        Raises
        ------
        TwinError
            If the format has no dense figure, or no sparse one.
        """
        if form not in self.flops_dense or form not in SPARSE_FORMATS:
            msg = f"{self.name} has no sparse arithmetic in {form!r}; dense are: {', '.join(self.flops_dense)}"
            raise TwinError(msg, mend='gpu.flops_sparse("fp8")')
        return self.sparse.get(form, SPARSE * self.flops_dense[form])

    @property
    def memory_gib(self) -> float:
        """Memory in GiB of 2**30 bytes, as nvidia-smi counts."""
        return self.memory_bytes / 2**30

    @property
    def memory_gb(self) -> float:
        """Memory in GB of 10**9 bytes."""
        return self.memory_bytes / 1e9

    @property
    def nvlink_bytes_s_bidirectional(self) -> float | None:
        """Both directions together, as a data sheet prints it."""
        one = self.nvlink_bytes_s_per_direction
        return None if one is None else 2 * one


@dataclass(frozen=True, kw_only=True)
class Node(Part):
    """A chassis with GPUs: the GPU's name, how many, the most that it draws, its mass and height, its cards' speed.

    `liquid_share` is the part of its heat that leaves through cold plates: 0 in a chassis cooled by air.
    """

    gpu: str
    gpus: float
    max_watts: float
    nic_bytes_s_per_gpu: float
    liquid_share: float
    mass_kg: float | None = None
    height_metres: float | None = None


@dataclass(frozen=True, kw_only=True)
class Rack(Part):
    """A rack that is one NVLink domain; `gpu` and `gpus` as in a node."""

    gpu: str
    gpus: float
    cpus: float
    trays: float
    switch_trays: float
    max_watts: float
    nic_bytes_s_per_gpu: float
    liquid_share: float
    mass_kg: float | None = None


@dataclass(frozen=True, kw_only=True)
class Unit(Part):
    """A scalable unit of a SuperPOD: so many nodes or racks of one kind."""

    holds: str
    count: float
    max_watts: float | None = None


@dataclass(frozen=True, kw_only=True)
class Link(Part):
    """One link of a generation, and how many a GPU has."""

    bytes_s_per_direction: float
    per_gpu: float

    @property
    def bytes_s_bidirectional_per_gpu(self) -> float:
        """All links of a GPU in both directions, as a data sheet prints it."""
        return 2 * self.per_gpu * self.bytes_s_per_direction


@dataclass(frozen=True, kw_only=True)
class Ports(Part):
    """A network card or a switch: its ports and their rate, one way."""

    ports: float
    port_bytes_s_per_direction: float

    @property
    def bytes_s_per_direction(self) -> float:
        """All ports together, one way."""
        return self.ports * self.port_bytes_s_per_direction

    @cached_property
    def port_gbit_s(self) -> float:
        """A port's rate in Gb/s, as it is sold."""
        return self.port_bytes_s_per_direction * 8 / 1e9


@dataclass(frozen=True, kw_only=True)
class Cdu(Part):
    """A coolant distribution unit: heat that it moves, power of its pumps, approach to the facility's water, rise."""

    capacity_watts: float
    pump_watts: float
    approach_kelvin: float
    rise_kelvin: float
