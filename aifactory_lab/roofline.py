"""How fast this machine could go at best: the bandwidth of its disk, its memory and its links with GPUs, measured.

A rate means little alone; beside the floor (the seconds that moving the bytes must take) it says how much room is left.
Nothing here knows about stations: bytes in, seconds out. The bandwidths are those that `links` measured, and are kept
with them.

>>> machine = Roofline(disk_read=2e9, disk_write=1e9, memory=20e9, host_to_device=50e9)
>>> machine.floor_seconds(bytes_in=2_000_000_000, bytes_out=1_000_000_000)
2.0
>>> machine.floor_seconds(host_to_device_bytes=100_000_000_000)
2.0
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from aifactory_lab.links import Links

PARTS = ("disk", "copy", "gpus")  # of the links that a roofline needs


@dataclass(frozen=True)
class Roofline:
    """Measured bandwidths in bytes per second.

    Attributes
    ----------
    disk_read, disk_write
        Sequential, of the folder that was measured; read after the page cache was asked to drop the file
        (a file system may ignore that), write with `fsync`.
    memory
        Bytes read plus bytes written by one thread copying an array far larger than its cache (the "copy" of
        McCalpin's STREAM, counted the same way).
    host_to_device, device_to_host, device_to_device
        Of the GPU, or the pair of GPUs, whose link is fastest, the host's memory pinned; None without one.
    """

    disk_read: float
    disk_write: float
    memory: float
    host_to_device: float | None = None
    device_to_host: float | None = None
    device_to_device: float | None = None

    @classmethod
    def of(cls, found: "Links") -> Self:
        """Return the roofline of links that were measured."""
        return cls(
            **{part: found.find(name).bytes_s or 0.0 for part, name in NAMES.items()},
            host_to_device=found.host_to_device,
            device_to_host=found.device_to_host,
            device_to_device=found.device_to_device,
        )

    def floor_seconds(
        self,
        *,
        bytes_in: int = 0,
        bytes_out: int = 0,
        memory_bytes: int = 0,
        host_to_device_bytes: int = 0,
        device_to_host_bytes: int = 0,
        device_to_device_bytes: int = 0,
    ) -> float:
        """Return the least seconds that moving these bytes takes: transfers add up, they do not overlap.

        Bytes over a link that was not measured add nothing: the floor is then lower than it should be, never higher.
        """
        known = bytes_in / self.disk_read + bytes_out / self.disk_write + memory_bytes / self.memory
        crossed = (
            (host_to_device_bytes, self.host_to_device),
            (device_to_host_bytes, self.device_to_host),
            (device_to_device_bytes, self.device_to_device),
        )
        return known + sum(moved / rate for moved, rate in crossed if rate)


# Which link each of the three is that every machine has.
NAMES = {"disk_read": "disk_read", "disk_write": "disk_write", "memory": "memory_copy"}


def measured(folder: Path | str) -> Roofline:
    """Return the roofline of this machine and folder, measured now or remembered from an earlier run.

    Parameters
    ----------
    folder
        Where the run writes; 64 MiB are written there for a moment.

    Raises
    ------
    WorkspaceError
        If the folder cannot be written.
    """
    from aifactory_lab import links

    return Roofline.of(links.measured(folder, parts=PARTS))


def measure(folder: Path | str) -> Roofline:
    """Measure now: the median of five passes each.

    Raises
    ------
    WorkspaceError
        If the folder cannot be written.
    """
    from aifactory_lab import links

    return Roofline.of(links.measure(folder, parts=PARTS, beside=links.kept(folder)))
