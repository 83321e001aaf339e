"""A device's PCIe link: its generation and lanes at most and now, and what that promises.

A GPU's link rests at a low generation while nothing crosses it, so `now` is asked while it is at work. Who asks, sysfs
or NVML, is the caller's business.

>>> found = Pcie(most=(5, 16), now=(4, 8))
>>> found.promise.words, found.notes
('PCIe 5 × 16', ('it runs as PCIe 4 × 8 now: 15.8 GB/s',))
"""

from dataclasses import dataclass
from pathlib import Path

from aifactory_lab.links import published
from aifactory_lab.links.published import Promise


@dataclass(frozen=True)
class Pcie:
    """A link as (generation, lanes): the most that both ends can do, and how it runs now."""

    most: tuple[int, int]
    now: tuple[int, int]

    @property
    def promise(self) -> Promise:
        """What it should carry at most."""
        return published.pcie(*self.most)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know: that it runs below what it could."""
        if self.now == self.most:
            return ()
        runs = published.pcie(*self.now)
        return (f"it runs as {runs.words} now: {runs.bytes_s / 1e9:.1f} GB/s",)


def link(device: Path) -> Pcie | None:
    """Return the link of a PCI device's folder in sysfs; None if it is not told."""
    try:
        most, now = (_side(device, word) for word in ("max", "current"))
    except (OSError, ValueError, IndexError):
        return None
    return Pcie(most, now) if most and now else None


def _side(device: Path, word: str) -> tuple[int, int] | None:
    """Read a side as Linux prints it: ``16.0 GT/s PCIe`` and ``4``."""
    rate = float((device / f"{word}_link_speed").read_text().split()[0])
    lanes = int((device / f"{word}_link_width").read_text())
    generation = published.pcie_generation(rate)
    return (generation, lanes) if generation and lanes else None
