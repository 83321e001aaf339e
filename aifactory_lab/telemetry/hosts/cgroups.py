"""The limits of this container: memory and CPU time as the kernel's control groups give them, and their use.

In a container the machine's numbers mislead: work is killed at the group's memory limit, not at the machine's.
Version 2 of the groups is read, and version 1 where a machine still has it. A group is bound by those around it
too: the tightest counts. This module does not know who runs in the group.

>>> limits = Limits.read(memory_total=2**60, cores=10_000)
>>> limits.cores is None or limits.cores < 10_000
True
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Limits:
    """What binds this process tighter than the machine does.

    Attributes
    ----------
    memory_bytes, cores
        The limit of memory and the quota of CPU time in cores, or `None` where the machine itself is the limit.
    """

    memory_bytes: float | None = None
    cores: float | None = None
    memory_group: Path | None = None
    cpu_group: Path | None = None

    @classmethod
    def read(cls, *, memory_total: float, cores: float, cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> Self:
        """Read the limits of this process.

        Parameters
        ----------
        memory_total, cores
            What the machine has: bytes, and logical processors.
        """
        memory, memory_group = _tightest(_groups("memory", cgroups, membership), _memory_limit, memory_total)
        quota, cpu_group = _tightest(_groups("cpu", cgroups, membership), _quota, cores)
        return cls(memory, quota, memory_group, cpu_group)

    def memory_used(self) -> float | None:
        """Return the bytes that count against the limit and cannot be had back at once.

        That is usage less the inactive file cache, what Kubernetes calls the working set.
        """
        group = self.memory_group
        if group is None:
            return None
        used = _number(group / "memory.current") or _number(group / "memory.usage_in_bytes")
        stat = _table(group / "memory.stat")
        cache = stat.get("total_inactive_file", stat.get("inactive_file", 0.0))
        return None if used is None else max(0.0, used - cache)

    def cpu_seconds(self) -> float | None:
        """Return the CPU time that the group has used."""
        group = self.cpu_group
        if group is None:
            return None
        micro = _table(group / "cpu.stat").get("usage_usec")
        if micro is not None:
            return micro / 1e6
        nano = _number(group / "cpuacct.usage") or _number(_beside(group) / "cpuacct.usage")
        return None if nano is None else nano / 1e9


def _groups(controller: str, cgroups: Path, membership: Path) -> list[Path]:
    """Return the group of this process and those around it, the innermost first."""
    try:
        lines = [line.split(":", 2) for line in membership.read_text().splitlines()]
    except OSError:
        return []
    paths = {name: path for _, names, path in (line for line in lines if len(line) == 3) for name in names.split(",")}
    unified = (cgroups / "cgroup.controllers").exists()
    root, path = (cgroups, paths.get("")) if unified else (cgroups / controller, paths.get(controller))
    if path is None or not root.is_dir():
        return []
    inner = root / path.strip("/")
    if not inner.is_dir():  # a container that sees the host's path, but only its own part of the tree
        inner = root
    return [inner, *(parent for parent in inner.parents if parent.is_relative_to(root))]


def _tightest(
    groups: list[Path], limit: Callable[[Path], float | None], machine: float
) -> tuple[float | None, Path | None]:
    found = [(value, group) for group in groups if (value := limit(group)) is not None and value < machine]
    return min(found, key=lambda pair: pair[0], default=(None, None))


def _memory_limit(group: Path) -> float | None:
    return _number(group / "memory.max") or _number(group / "memory.limit_in_bytes")


def _quota(group: Path) -> float | None:
    try:
        quota, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        old = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
        return old[0] / old[1] if old[0] and old[1] and old[0] > 0 else None
    return None if quota == "max" else float(quota) / float(period)


def _beside(group: Path) -> Path:
    """Return the same group under cpuacct, where version 1 mounts the two apart."""
    return Path(*("cpuacct" if part == "cpu" else part for part in group.parts))


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text())
    except (OSError, ValueError):  # absent, or "max"
        return None


def _table(path: Path) -> dict[str, float]:
    try:
        pairs = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {pair[0]: float(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
