"""When is moving data to a GPU worth it? Two rooflines and the link between them.

Here, each byte is read from memory and so many operations are done on it; there, it crosses a link first. Nothing
overlaps, for one pass over data that lies here; data that stays on the GPU crosses once for many passes. Williams et
al. (2009), "Roofline", with the link as a third roof.

>>> from aifactory_lab.twin import hardware
>>> laptop = Host(memory_bytes_s=20e9, flops_s=100e9)
>>> round(break_even(laptop, hardware.gpu("h100-sxm"), link_bytes_s=55e9), 2)  # operations a byte
0.0
>>> round(break_even(laptop, hardware.gpu("h100-sxm"), link_bytes_s=5e9), 1)
20.0
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import chip
from aifactory_lab.twin.chip import Chip

Numbers = NDArray[np.float64]
INTENSITIES = tuple(float(value) for value in np.geomspace(0.1, 1000, 81))


@dataclass(frozen=True)
class Host:
    """What computes where the data lies: bytes per second of its memory, operations per second.

    Raises
    ------
    TwinError
        If a figure is not positive.
    """

    memory_bytes_s: float
    flops_s: float

    def __post_init__(self) -> None:
        if not (self.memory_bytes_s > 0 and self.flops_s > 0):
            msg = f"a host of memory_bytes_s={self.memory_bytes_s!r}, flops_s={self.flops_s!r} cannot be"
            raise TwinError(msg, mend="Host(memory_bytes_s=20e9, flops_s=100e9)")

    def seconds(self, size: ArrayLike, intensity: ArrayLike) -> Numbers:
        """Return the seconds of a pass over so many bytes, with so many operations on each."""
        moved, done = np.asarray(size, np.float64), np.asarray(intensity, np.float64)
        return np.asarray(np.maximum(moved / self.memory_bytes_s, moved * done / self.flops_s), np.float64)


def seconds(
    gpu: Chip, size: ArrayLike, intensity: ArrayLike, *, link_bytes_s: float, precision: str = "fp16", passes: float = 1
) -> Numbers:
    """Return the seconds on a GPU: across the link once, then so many passes over its own memory.

    Parameters
    ----------
    size, intensity
        Bytes, and operations on each in a pass.
    link_bytes_s
        Of the link from the host.
    precision
        In which it computes (`chip.rate`).

    Raises
    ------
    TwinError
        If the link carries nothing.
    """
    if not link_bytes_s > 0:
        msg = f"link_bytes_s={link_bytes_s!r} must be positive"
        raise TwinError(msg, mend="link_bytes_s=links.published.pcie(5, 16).bytes_s")
    there = Host(gpu.memory_bandwidth_bytes_s, chip.rate(gpu, precision))
    return np.asarray(np.asarray(size, np.float64) / link_bytes_s + passes * there.seconds(size, intensity), np.float64)


def break_even(host: Host, gpu: Chip, *, link_bytes_s: float, precision: str = "fp16", passes: float = 1) -> float:
    """Return the operations per byte from which on the GPU is faster, whatever the size; infinite if it never is.

    Examples
    --------
    Data that is read a hundred times crosses once.

    >>> from aifactory_lab.twin import hardware
    >>> break_even(Host(20e9, 100e9), hardware.gpu("h100-sxm"), link_bytes_s=5e9, passes=100)
    0.0
    """
    here, link = 1 / host.memory_bytes_s, 1 / link_bytes_s / passes  # a byte's seconds in a pass
    read, done, theirs = 1 / gpu.memory_bandwidth_bytes_s, 1 / host.flops_s, 1 / chip.rate(gpu, precision)
    by_memory = 0.0 if here >= link + read else (link + read) / done
    if done <= theirs:
        return float("inf")
    by_compute = link / (done - theirs)
    covered = (here - link) / theirs  # up to here the host still waits for its memory
    return max(by_memory, 0.0 if covered >= by_compute else by_compute)


def curve(
    host: Host,
    gpus: Sequence[Chip],
    links: Mapping[str, float],
    *,
    precision: str = "fp16",
    intensities: Sequence[float] = INTENSITIES,
) -> pl.DataFrame:
    """Return how much faster each GPU is over each link, by operations per byte.

    Parameters
    ----------
    links
        Bytes per second of each link, by its name.

    Returns
    -------
    polars.DataFrame
        ``gpu``, ``link``, ``intensity`` (operations per byte), ``faster`` (host's seconds ÷ the GPU's).
    """
    x = np.asarray(intensities, np.float64)
    frames = []
    for gpu in gpus:
        for name, rate in links.items():
            faster = host.seconds(1.0, x) / seconds(gpu, 1.0, x, link_bytes_s=rate, precision=precision)
            frames.append(
                pl.DataFrame({"intensity": x, "faster": faster}).with_columns(gpu=pl.lit(gpu.name), link=pl.lit(name))
            )
    return pl.concat(frames).select("gpu", "link", "intensity", "faster")
