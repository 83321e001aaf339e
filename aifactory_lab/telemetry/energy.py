"""Joules since a moment, and joules between two: the CPU packages (RAPL) and the GPUs (NVML), where they can be read.

A machine without an energy counter, which is most virtual machines, gives `None` and the reason, never a
guess. This module does not know what the energy was spent on.

>>> joules, note = Energy().joules()
>>> (joules is None) == (note != "")
True
"""

from pathlib import Path
from typing import TYPE_CHECKING

from aifactory_lab.telemetry.gpu_energy import GpuCounters
from aifactory_lab.telemetry.hosts.powercap import POWERCAP, Packages

if TYPE_CHECKING:
    from aifactory_lab.telemetry.history import History, Values

KINDS = ("gpu", "host")  # a MIG instance's joules are its GPU's
GAP_PERIODS = 10.0  # an end that falls into a longer gap than this would be a guess


class Energy:
    """A stopwatch for joules: counts from its construction.

    Sources: Linux powercap ``intel-rapl:N/energy_uj`` (micro-joules, wraps at ``max_energy_range_uj``) and
    `aifactory_lab.telemetry.gpu_energy`. All of the machine's packages and GPUs count, as on a meter on the wall.
    """

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self._packages = Packages(powercap)
        self._gpus = GpuCounters()

    def joules(self) -> tuple[float | None, str]:
        """Return joules since the start, or `None` and why they cannot be known."""
        if not self._packages and not self._gpus:
            return None, "no energy counter can be read here (no powercap, no NVML)"
        packages = self._packages.joules() if self._packages else 0.0
        if packages is None:
            return None, "the energy counter of a CPU package can no longer be read"
        gpus, fault = self._gpus.joules()
        return (None, fault) if fault else (packages + gpus, "")


def energy_between(
    history: "History", start: float, stop: float, *, kinds: tuple[str, ...] = KINDS
) -> tuple[float | None, str]:
    """Return the joules that all GPUs and CPU packages of a history used between two times.

    Counters are read off at the two times by a straight line between the samples around each.

    Parameters
    ----------
    start, stop
        Seconds since the epoch, within the history.
    kinds
        Kinds of entities that count.

    Returns
    -------
    joules, note
        `None` if one entity's joules cannot be known, and a note that names it: it has no energy counter, its
        counter began anew in between, or an end lies outside what was sampled.

    Examples
    --------
    >>> from aifactory_lab.telemetry.history import Ring
    >>> from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot
    >>> layout = Layout((Entity(("gpu 0",)),), ("energy",), "simulated")
    >>> ring = Ring(layout)
    >>> for second in range(4):
    ...     ring.append(Snapshot.blank(layout, time=float(second)).put("gpu 0", energy=350.0 * second))
    >>> energy_between(ring.history(), 0.5, 2.5)
    (700.0, '')
    """
    counted = [entity for entity in history.layout.entities if entity.kind in kinds]
    if not counted:
        return None, f"nothing that uses energy is recorded here (no {' or '.join(kinds)})"
    if "energy" not in history.layout.columns:
        return None, f"no energy counter is recorded for {', '.join(entity.id for entity in counted[:4])}"
    found = [(entity.id, *_spent(history, entity.id, start, stop)) for entity in counted]
    if faults := [f"{name} {fault}" for name, _, fault in found if fault]:
        more = f" and {len(faults) - 4} more" if len(faults) > 4 else ""
        return None, "; ".join(faults[:4]) + more
    return sum(joules for _, joules, _ in found), ""


def _spent(history: "History", entity: str, start: float, stop: float) -> tuple[float, str]:
    """Return the joules of one entity, or 0 and what stands against them."""
    import numpy as np

    times, joules = history.series(entity, "energy")
    times, joules = times[~np.isnan(joules)], joules[~np.isnan(joules)]
    if not len(times):
        return 0.0, "has no energy counter"
    if start > stop or start < times[0] or stop > times[-1]:
        return 0.0, "was not sampled over all of that time"
    longest = GAP_PERIODS * float(np.median(np.diff(history.times))) if len(history) > 1 else 0.0
    gap = max(_gap(times, start), _gap(times, stop))
    if gap > longest:
        return 0.0, f"was lost for {gap:.0f} s at an end of that time"
    within = slice(np.searchsorted(times, start, side="right") - 1, np.searchsorted(times, stop, side="left") + 1)
    if (np.diff(joules[within]) < 0).any():
        return 0.0, "has a counter that began anew in between"
    ends = np.interp([start, stop], times, joules)
    return float(ends[1] - ends[0]), ""


def _gap(times: "Values", moment: float) -> float:
    """Return the seconds between the samples around a moment, 0 if one fell on it."""
    left = int(times.searchsorted(moment, side="right")) - 1
    return 0.0 if times[left] == moment else float(times[left + 1] - times[left])
