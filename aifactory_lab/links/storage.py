"""Which disk lies under a folder, and what the link that it hangs on should carry: asked of Linux's sysfs.

An NVMe disk hangs on PCIe, an older one on SATA; their links are an upper bound, for what the flash behind them carries
is on no link. A virtual disk, a network's or a file system without one has no promise, and the reason is said.

>>> isinstance(under(".").what, str)
True
"""

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from aifactory_lab.links import pci, published
from aifactory_lab.links.published import Promise

SYS = Path("/sys")
VIRTUAL = {"vd": "a virtual disk (virtio)", "xvd": "a virtual disk (Xen)", "loop": "a file as a disk"}
VIRTUAL |= {"zram": "compressed memory", "ram": "memory", "nbd": "a network's disk", "rbd": "a network's disk"}


@dataclass(frozen=True)
class Disk:
    """A folder's disk: what it is in words, its link's promise, and what a reader should know of that."""

    what: str
    promise: Promise | None = None
    reason: str = ""


def under(folder: Path | str, *, sys: Path = SYS) -> Disk:
    """Return the disk under a folder.

    Parameters
    ----------
    sys
        Where sysfs is mounted.
    """
    number = Path(folder).stat().st_dev
    place = sys / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}"
    if not place.exists():
        kind = _file_system(Path(folder))
        return Disk(kind, reason=f"{kind} has no block device of its own, so nobody says what it should carry")
    return _disk(place.resolve(), sys)


def _file_system(folder: Path) -> str:
    here = folder.resolve()
    mounts = {Path(each.mountpoint): each.fstype for each in psutil.disk_partitions(all=True)}
    return next((mounts[place] for place in (here, *here.parents) if place in mounts), "an unknown file system")


def _disk(place: Path, sys: Path) -> Disk:
    if (place / "partition").exists():
        place = place.parent
    below = sorted((place / "slaves").glob("*"))
    if len(below) == 1:  # an encrypted or logical volume on one disk
        return _disk(below[0].resolve(), sys)
    if below:
        return Disk(f"{place.name} over {len(below)} disks", reason="what several disks carry together nobody says")
    if place.name.startswith("nvme"):
        return _nvme(place)
    if rate := _sata(place, sys):
        return Disk(f"{place.name} (SATA)", published.sata(rate), "the promise is that of its link")
    prefix = place.name.rstrip("0123456789")
    kind = next((words for start, words in VIRTUAL.items() if prefix.startswith(start)), "")
    if kind:
        return Disk(f"{place.name}, {kind}", reason=f"{kind} does not say what it should carry")
    return Disk(place.name, reason=f"sysfs does not say which link {place.name} hangs on")


def _nvme(place: Path) -> Disk:
    device = next((each for each in place.resolve().parents if (each / "current_link_speed").exists()), None)
    found = pci.link(device) if device else None
    if found is None:
        return Disk(f"{place.name} (NVMe)", reason="sysfs does not say how this NVMe disk's PCIe link runs")
    return Disk(f"{place.name} (NVMe)", found.promise, "; ".join(("the promise is that of its link", *found.notes)))


def _sata(place: Path, sys: Path) -> float | None:
    """Return the Gb/s of the SATA link in a device's path: ``…/ata3/host2/…`` is ``ata_link/link3``."""
    port = next((part[3:] for part in place.parts if part.startswith("ata") and part[3:].isdigit()), None)
    speed = sys / "class" / "ata_link" / f"link{port}" / "sata_spd"
    try:
        return float(speed.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
