"""Links as a machine's own were measured, in place of a data sheet's: parts whose links carry no more than that.

What collectives reach of a healthy link is fitted elsewhere (`chip.LINK`, `collectives`). A measured copy is the most
that they could reach: it counts where it is lower, as in a slot of half the lanes, and leaves a healthy link as it is.

>>> from aifactory_lab.links import Link, Links, Part
>>> from aifactory_lab.twin import hardware
>>> pairs = [Link("gpu0_to_gpu1", "", (200e9,)), Link("gpu1_to_gpu0", "", (100e9,))]
>>> found = Links("ours", "/", {"gpus": Part(tuple(pairs))})
>>> round(chip.LINK * bounded(hardware.gpu("h100-sxm"), found).nvlink_bytes_s_per_direction / 1e9, 3)  # the slower one
100.0
"""

from dataclasses import replace
from typing import Any

from aifactory_lab.errors import TwinError
from aifactory_lab.links import Links
from aifactory_lab.twin import chip, hardware
from aifactory_lab.twin.hardware import Catalogue
from aifactory_lab.twin.parts import Gpu

FIELDS = ("nvlink_bytes_s_per_direction", "pcie_bytes_s_per_direction", "c2c_bytes_s_per_direction")


def bounded(gpu: Gpu, found: Links) -> Gpu:
    """Return a GPU whose links carry at most what was measured.

    Parameters
    ----------
    gpu
        Of the catalogue. Between GPUs NVLink is bounded where it has one, else PCIe; to the host C2C, else PCIe.
    found
        From `links.measure` on a machine with that GPU.

    Raises
    ------
    TwinError
        If no GPU's link was measured there.
    """
    ring, host = found.ring, found.host_to_device
    if ring is None and host is None:
        msg = f"the links of {found.machine} were measured without a GPU; {'; '.join(found.notes)}"
        raise TwinError(msg, mend="found = links.measure(folder)  # on a machine with a GPU")
    limits = dict.fromkeys(FIELDS, float("inf"))
    for rate, own, other in ((ring, FIELDS[0], FIELDS[1]), (host, FIELDS[2], FIELDS[1])):
        if rate is not None:
            limit = rate / chip.LINK if rate is ring else rate
            field = own if getattr(gpu, own) else other
            limits[field] = min(limits[field], limit)
    lower = {name: limits[name] for name in FIELDS if getattr(gpu, name) and limits[name] < getattr(gpu, name)}
    told = dict.fromkeys(lower, f"measured on {found.machine}, {found.date}")
    states = dict.fromkeys(lower, "measured")
    changed: dict[str, Any] = {**lower, "sources": {**gpu.sources, **told}, "statuses": {**gpu.statuses, **states}}
    return replace(gpu, **changed)


def catalogue(name: str, found: Links, base: Catalogue | None = None) -> Catalogue:
    """Return a catalogue in which a GPU's links carry at most what was measured: ``Plant(catalogue=…)`` takes it.

    Parameters
    ----------
    name
        Of the GPU.
    base
        The catalogue to begin with; by default ours.
    """
    parts = (base or hardware.ours()).parts
    old = (base or hardware.ours()).gpu(name)
    new = bounded(old, found)
    gpus = {key: new if part.name == old.name else part for key, part in parts["gpu"].items()}
    return Catalogue({**parts, "gpu": gpus})
