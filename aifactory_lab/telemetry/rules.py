"""What is worth an alert: rules over whole columns of readings, each with a threshold to raise and one to clear.

A rule looks at one metric of all entities at once, so 1,024 GPUs cost about what one does. Who keeps the alerts is
`alerts`' business.

>>> next(rule for rule in RULES if rule.code == "hot").raised(np.array([86.0, 91.0])).tolist()
[False, True]
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.telemetry.metrics import METRICS
from aifactory_lab.telemetry.readings import Snapshot

Severity = Literal["info", "warning", "critical"]
Column = NDArray[np.float64]
Mask = NDArray[np.bool_]
# NVML's clocks event reasons that mean trouble: HW slowdown 0x8, SW thermal 0x20, HW thermal 0x40, HW power brake
# 0x80 (nvml.h, nvmlClocksEventReason*). The software power cap (0x4) is how a busy GPU lives and is no alert.
THROTTLED = 0x8 | 0x20 | 0x40 | 0x80
SLO_TARGET = 0.99
# Burn rate 2: the error budget of a month is gone in half of it (Google SRE Workbook, ch. 5, "Alerting on SLOs").
BURN_RATE = 2.0


def _plain(snapshot: Snapshot, metric: str) -> Column | None:
    return snapshot.column(metric) if metric in snapshot.layout.columns else None


def _memory_share(snapshot: Snapshot, metric: str) -> Column | None:
    used, total = _plain(snapshot, metric), _plain(snapshot, "memory_total")
    return None if used is None or total is None else np.asarray(100.0 * used / total)


def _burn(snapshot: Snapshot, metric: str) -> Column | None:
    share = _plain(snapshot, metric)
    return None if share is None else np.asarray((1.0 - share / 100.0) / (1.0 - SLO_TARGET))


def _projects(snapshot: Snapshot, metric: str) -> Column | None:
    """Return a column of the projects alone: the fleet's own is their sum."""
    if metric not in snapshot.layout.columns:
        return None
    own = [entity.kind == "project" for entity in snapshot.layout.entities]
    return np.where(np.array(own, dtype=bool), snapshot.column(metric), np.nan)


@dataclass(frozen=True)
class Rule:
    """One kind of alert; NaN is neither raised nor cleared.

    Attributes
    ----------
    code, words, severity
        Its key, what it says after the entity's name, and how bad it is.
    high, low
        Raised from `high` up, cleared below `low`; in between nothing changes.
    hold, calm
        Samples in a row in trouble before it is raised, and well before it is cleared.
    mask
        For metrics that are flags: the bits that count; `high` and `low` are then 1.
    column
        How the column is had from a snapshot.
    """

    code: str
    metric: str
    words: str
    severity: Severity
    high: float = 1.0
    low: float = 1.0
    hold: int = 1
    calm: int = 1
    mask: int = 0
    column: Callable[[Snapshot, str], Column | None] = _plain
    unit: str = ""

    def raised(self, column: Column) -> Mask:
        """Return who is in trouble."""
        return np.asarray(self._seen(column) >= self.high)

    def cleared(self, column: Column) -> Mask:
        """Return who is well."""
        return np.asarray(self._seen(column) < self.low)

    def text(self, value: float) -> str:
        """Return the words of the alert, with the reading where it says something."""
        if self.mask:
            return self.words
        shown = f"{value:.3g}{self.unit}" if self.unit else METRICS[self.metric].text(value)
        return f"{self.words}: {shown}"

    def _seen(self, column: Column) -> Column:
        if not self.mask:
            return column
        bits = (np.nan_to_num(column).astype(np.int64) & self.mask) != 0
        return np.where(np.isnan(column), np.nan, bits.astype(np.float64))


RULES = (
    Rule("hot", "temperature", "is hot", "warning", high=87.0, low=82.0, hold=3),
    Rule(
        "memory",
        "memory_used",
        "has hardly any memory left",
        "warning",
        97.0,
        93.0,
        hold=3,
        column=_memory_share,
        unit=" %",
    ),
    Rule("throttled", "throttle", "slows down to protect itself", "warning", hold=3, calm=15, mask=THROTTLED),
    Rule("idle", "gpus_idle", "holds GPUs that do nothing", "warning", column=_projects),
    Rule("ecc", "ecc_uncorrected", "has uncorrected memory errors", "critical"),
    Rule("xid", "xid", "reported an Xid error", "critical"),
    Rule(
        "slo",
        "good_share",
        f"burns its {SLO_TARGET:.0%} objective",
        "warning",
        BURN_RATE,
        1.0,
        hold=5,
        column=_burn,
        unit=" × the rate that it allows",
    ),
)
