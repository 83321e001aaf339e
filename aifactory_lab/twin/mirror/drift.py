"""Following a machine that changes: the first fit kept, beside a fit that is renewed from what was seen last.

Each window of a stream is first predicted and only then fitted on, by both, so every error is that of a forecast. The
manner is OpenDT's (arXiv 2604.11445), which recalibrates power models online. Why a machine changes is not known.

>>> readings = pl.DataFrame({"time": np.arange(300.0), "entity": "gpu 0", "activity": np.arange(300) % 5 / 4})
>>> readings = readings.with_columns(watts=70 + 500 * pl.col("activity"))
>>> follow(readings, every=60).select("window", pl.col("error_kept").round(6)).rows()
[(1, 0.0), (2, 0.0), (3, 0.0), (4, 0.0)]
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from aifactory_lab.errors import TwinError
from aifactory_lab.twin.mirror import watts
from aifactory_lab.twin.mirror.comparisons import compare
from aifactory_lab.twin.mirror.fitting import fit
from aifactory_lab.twin.mirror.forecasts import forecast
from aifactory_lab.twin.mirror.observations import Observations


def follow(
    stream: Observations | watts.Seen | pl.DataFrame,
    *,
    every: float,
    first: int = 1,
    memory: int = 3,
    shared: bool = False,
) -> pl.DataFrame:
    """Predict each window of a stream by the first fit and by one that is renewed.

    Parameters
    ----------
    stream
        Loads (`Observations`), or readings of power: a history, a recording, a sampler, or the frame of
        `watts.samples`.
    every
        Size of a window: loads, or seconds of readings.
    first
        Windows that the first fit is made on.
    memory
        Windows, the last ones, that a renewed fit is made on.
    shared
        Of loads: take it as known how much of the processors the server got (`forecast`).

    Returns
    -------
    frame
        A row for each window after the first ones: ``window``, ``at`` (its time), ``error_kept`` and ``error_renewed``
        (mean absolute relative error of its figures), ``renewed`` (False where the last windows said too little, so
        that the fit before was kept).

    Raises
    ------
    TwinError
        If the first windows cannot be fitted, or none is left to predict.
    """
    if isinstance(stream, Observations):
        loads = list(stream.windows(int(every)))
        return _followed(loads, first, memory, _SHARED_LOADS if shared else _OF_LOADS)
    if not isinstance(stream, pl.DataFrame):
        found, note = watts.samples(stream)
        if found is None:
            raise TwinError(note, mend="mirror.follow(recording, every=20) of a recording with power")
        stream = found
    return _followed(list(watts.windows(stream, every)), first, memory, _OF_POWER)


class _Kind(NamedTuple):
    """How windows of one kind are joined, fitted, fitted again, judged and placed in time."""

    join: Callable[[Sequence[Any]], Any]
    fit: Callable[[Any], Any]
    renew: Callable[[Any, Any], Any]
    error: Callable[[Any, Any], float]
    time: Callable[[Any], pl.Series]


def _followed(parts: Sequence[Any], first: int, memory: int, kind: _Kind) -> pl.DataFrame:
    if first < 1 or memory < 1 or len(parts) <= first:
        msg = f"{len(parts)} windows: the first {first} are fitted on, so there is nothing to follow"
        raise TwinError(msg, mend="mirror.follow(stream, every=…) with smaller windows")
    kept = renewed = kind.fit(kind.join(parts[:first]))
    rows = []
    for number in range(first, len(parts)):
        fresh = True
        try:
            renewed = kind.renew(kind.join(parts[max(0, number - memory) : number]), renewed)
        except TwinError:
            fresh = False
        one = parts[number]
        errors = {"error_kept": kind.error(kept, one), "error_renewed": kind.error(renewed, one)}
        rows.append({"window": number, "at": kind.time(one).min(), **errors, "renewed": fresh})
    return pl.DataFrame(rows)


def _loads(parts: Sequence[Observations]) -> Observations:
    total = parts[0]
    for one in parts[1:]:
        total += one
    return total


def _load_error(mirror: Any, window: Observations, *, shared: bool = False) -> float:
    compared = compare(forecast(mirror, window, shared=shared), window)
    chosen = compared.filter(pl.col("figure") != "tokens_per_second")  # it follows from the other two
    return float(chosen["error"].abs().mean())  # type: ignore[arg-type]


def _power_error(fitted: watts.Watts, window: pl.DataFrame) -> float:
    return float(np.abs(fitted.predict(window)["error"].to_numpy()).mean())


_OF_LOADS = _Kind(_loads, fit, lambda loads, _before: fit(loads), _load_error, lambda window: window.cells["at"])
_SHARED_LOADS = _OF_LOADS._replace(error=partial(_load_error, shared=True))
_OF_POWER = _Kind(pl.concat, watts.fit, watts.renew, _power_error, lambda window: window["time"])
