"""Power fitted to readings: idle watts and what full activity adds, of the devices that were looked at.

The twin's own form (`twin.power.gpu_watts`): idle + (full - idle) × activity. Activity is SM activity where the
readings have it; `busy` is taken where they do not, which says only that something ran, and the fit says so. Where
nothing measures power nothing is fitted.

>>> samples = pl.DataFrame({"time": range(40), "entity": "gpu 0", "activity": [0.0, 0.5, 0.25, 1.0] * 10})
>>> samples = samples.with_columns(watts=70 + 500 * pl.col("activity"))
>>> fitted = fit(samples)
>>> round(fitted.idle_watts.value, 3), round(fitted.full_watts.value, 3)
(70.0, 570.0)
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from aifactory_lab.errors import TwinError
from aifactory_lab.telemetry.history import History
from aifactory_lab.telemetry.recordings.recording import Recording
from aifactory_lab.telemetry.sampler import Sampler
from aifactory_lab.twin.mirror.estimates import Estimate, robust
from aifactory_lab.twin.parts import Gpu

ACTIVITIES = ("sm_active", "busy")  # best first
FEWEST = 20
APART = 0.2  # activities must differ by so much, or idle and slope cannot be told apart
WIDE = 0.5  # and by so much for a fit that replaces one which saw more
DRAWN = ["time", "entity", "activity", "watts"]


@dataclass(frozen=True)
class Watts:
    """Power by activity, fitted.

    Attributes
    ----------
    idle_watts, full_watts
        At activities 0 and 1.
    band
        Factors between which eight of ten readings lie: measured ÷ fitted.
    note
        What the activity was, and of how many readings of how many devices.
    """

    idle_watts: Estimate
    full_watts: Estimate
    band: tuple[float, float]
    note: str = ""

    def watts(self, activity: ArrayLike) -> NDArray[np.float64]:
        """Return the power of one device at activities of 0 to 1."""
        idle, full = self.idle_watts.value, self.full_watts.value
        return np.asarray(idle + (full - idle) * np.asarray(activity, np.float64), np.float64)

    def predict(self, samples: pl.DataFrame) -> pl.DataFrame:
        """Return samples with ``predicted``, ``low`` and ``high`` watts, and ``error``: predicted ÷ measured - 1."""
        found = pl.Series("predicted", self.watts(samples["activity"].to_numpy()))
        low, high = self.band
        return samples.with_columns(found, low=found * low, high=found * high, error=found / pl.col("watts") - 1)

    def applied(self, gpu: Gpu) -> Gpu:
        """Return a GPU of the catalogue with these watts instead of its data sheet's."""
        return replace(gpu, idle_watts=self.idle_watts.value, tdp_watts=self.full_watts.value)


Seen = History | Recording | Sampler


def history_of(seen: Seen) -> History:
    """Return the readings of a recording or of a sampler that runs; a history is one."""
    if isinstance(seen, History):
        return seen
    return seen.history() if isinstance(seen, Recording) else seen.ring.history()


def samples(seen: Seen) -> tuple[pl.DataFrame | None, str]:
    """Return activity (0 to 1) and watts of every device and moment that has both, or None and the reason.

    Returns
    -------
    samples
        ``time``, ``entity``, ``activity``, ``watts``.
    note
        What the activity is, or why there are no samples.
    """
    history = history_of(seen)
    metrics = history.layout.metrics
    if "power" not in metrics or not np.isfinite(history.metric("power")).any():
        return None, "power not measured here: none of the devices has a power reading or an energy counter"
    table = history.frame()
    for name in (one for one in ACTIVITIES if one in metrics):
        found = table.select("time", "entity", activity=pl.col(name) / 100, watts="power").drop_nulls()
        if len(found):
            kind = "SM activity" if name == "sm_active" else "busy (some kernel or process ran; not SM activity)"
            return found.filter(pl.col("watts") > 0), f"{kind}, {history.layout.origin}"
    return None, f"power is measured, but no activity: none of {', '.join(ACTIVITIES)}"


def fit(readings: pl.DataFrame | Seen, *, note: str = "") -> Watts:
    """Fit idle and full power to readings: soft-L1 least squares of watts on activity.

    Raises
    ------
    TwinError
        If power is not measured, or the readings are too few or too much alike; the message names what is missing.
    """
    if not isinstance(readings, pl.DataFrame):
        found, note = samples(readings)
        if found is None:
            raise TwinError(note, mend="telemetry.watch(telemetry.NvmlSource()), or a recording that has power")
        readings = found
    _check(readings)
    active, measured = readings["activity"].to_numpy(), readings["watts"].to_numpy()
    design, typical = np.column_stack([1 - active, active]), float(np.median(measured))
    solved = robust(lambda power: design @ power / measured, np.ones(len(measured)), [typical / 2, typical])
    low, high = np.quantile(measured / np.maximum(design @ solved.values, 1e-9), (0.1, 0.9))
    devices = readings["entity"].n_unique()
    words = f"{note or 'activity'}; {len(readings):,} readings of {devices} device{'s' if devices > 1 else ''}"
    idle, full = solved.estimates()
    return Watts(idle, full, (float(low), float(high)), words)


def renew(readings: pl.DataFrame, before: Watts) -> Watts:
    """Return a fit to newer readings; where their activity is too much alike for both figures, only the slope is new.

    Raises
    ------
    TwinError
        If the readings are too few, or all idle.
    """
    _check_count(readings)
    if _span(readings)[1] - _span(readings)[0] >= WIDE:
        return fit(readings, note=before.note.partition(";")[0])
    working, idle = readings.filter(pl.col("activity") >= APART), before.idle_watts.value
    if len(working) < FEWEST:
        msg = f"{len(working)} readings at work (activity of {APART:.0%} or more) are too few: a fit needs {FEWEST}"
        raise TwinError(msg, mend="larger windows")
    full = idle + (working["watts"] - idle) / working["activity"]
    low, middle, high = (float(full.quantile(share) or 0.0) for share in (0.1, 0.5, 0.9))
    return replace(before, full_watts=Estimate(middle, low, high))


def windows(samples: pl.DataFrame, seconds: float) -> Iterator[pl.DataFrame]:
    """Yield samples in windows of so many seconds."""
    since = samples["time"].min()
    parts = samples.sort("time").group_by((pl.col("time") - since) // seconds, maintain_order=True)
    for _, part in parts:
        yield part


def busy(history: History, start: float, stop: float) -> float | None:
    """Return how busy the devices were between two moments, 0 to 1; None if nobody looked."""
    if "busy" not in history.layout.metrics:
        return None
    found = history.between(start, stop).metric("busy")
    found = found[np.isfinite(found)]
    return float(found.mean() / 100) if len(found) else None


def _check_count(readings: pl.DataFrame) -> None:
    if len(readings) < FEWEST:
        msg = f"{len(readings)} readings of power are too few: a fit needs {FEWEST}"
        raise TwinError(msg, mend="record for longer")


def _span(readings: pl.DataFrame) -> tuple[float, float]:
    """Return between what the activity lay, but for a twentieth at each end."""
    return tuple(float(readings["activity"].quantile(share) or 0.0) for share in (0.05, 0.95))  # type: ignore[return-value]


def _check(readings: pl.DataFrame) -> None:
    _check_count(readings)
    low, high = _span(readings)
    if high - low < APART:
        msg = f"activity lay between {low:.0%} and {high:.0%}: idle power and slope cannot be told apart"
        raise TwinError(msg, mend="record the machine idle and at work")
