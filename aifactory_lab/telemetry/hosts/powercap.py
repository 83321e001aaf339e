"""Joules of the CPU packages: Linux powercap (RAPL) as one counter that does not wrap.

Only root may read it since CVE-2020-8694, and most virtual machines have none; then there is a reason and no
number. This module does not know what the joules were spent on.

>>> packages = Packages()
>>> (packages.joules() is None) == (packages.reason != "")
True
"""

import re
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
_ZONE = re.compile(r"intel-rapl:\d+")  # a package; a second colon is a domain within one (core, dram)


@dataclass
class _Zone:
    folder: Path
    wrap: float
    before: float

    def gained(self) -> float | None:
        """Return the joules since the last look, `None` if the counter cannot be read now."""
        now = _joules(self.folder)
        if now is None:
            return None
        gained = now - self.before if now >= self.before else now - self.before + self.wrap
        self.before = now
        return gained


class Packages:
    """All packages that can be read; counts from its construction.

    A zone wraps at ``max_energy_range_uj``, at 300 W after a quarter of an hour: whoever counts for longer looks
    more often than that.

    Parameters
    ----------
    powercap
        The folder that the kernel calls ``/sys/class/powercap``.

    Attributes
    ----------
    reason
        Why there is no number; empty if there is one.
    """

    def __init__(self, powercap: Path = POWERCAP) -> None:
        folders = sorted(folder for folder in powercap.glob("intel-rapl:*") if _ZONE.fullmatch(folder.name))
        packages = [folder for folder in folders if _name(folder) != "psys"]  # the platform counts its packages again
        read = [(folder, _joules(folder)) for folder in packages]
        self._zones = [_Zone(folder, _wrap(folder), joules) for folder, joules in read if joules is not None]
        self._sum = 0.0
        self.reason = "" if self._zones else f"{powercap}: {'only root may read it' if packages else 'no RAPL package'}"

    def __len__(self) -> int:
        return len(self._zones)

    def joules(self) -> float | None:
        """Return joules since the start; `None` without a package, or while one cannot be read."""
        gained = [zone.gained() for zone in self._zones]
        self._sum += sum(joules for joules in gained if joules is not None)
        return None if not gained or None in gained else self._sum


def _joules(zone: Path) -> float | None:
    try:
        return int((zone / "energy_uj").read_text()) / 1e6
    except (OSError, ValueError):
        return None


def _wrap(zone: Path) -> float:
    try:
        return int((zone / "max_energy_range_uj").read_text()) / 1e6
    except (OSError, ValueError):
        return 0.0


def _name(zone: Path) -> str:
    try:
        return (zone / "name").read_text().strip()
    except OSError:
        return ""
