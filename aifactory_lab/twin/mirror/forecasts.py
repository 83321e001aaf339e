"""Forecasts of steady loads that were not seen, in closed form, each with the band in which a measurement should lie.

Eight of ten measurements should lie in the band: it comes of the figures' uncertainty, of the scatter around the fit
and, unless that is known, of what else runs on the machine. Arrivals are `replays`' to forecast.

>>> same_load({"concurrency": 2.0, "isl": 65.0, "osl": 24.0}, {"concurrency": 2.0, "isl": 64.0, "osl": 24.0})
True
"""

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aifactory_lab.errors import TwinError
from aifactory_lab.twin.mirror.estimates import ENDS
from aifactory_lab.twin.mirror.fitted import Mirror
from aifactory_lab.twin.mirror.observations import Observations
from aifactory_lab.twin.mirror.replica import Replica, Steady

Reals = NDArray[np.float64]
Loads = Observations | pl.DataFrame | Iterable[Mapping[str, float]]
LOAD = ("concurrency", "isl", "osl")
UNITS = {"ttft": "s", "tpot": "s", "tokens_per_second": "tokens/s"}
DRAWS = 400
NEAR = 0.1  # lengths that differ by less are the same load


def forecast(mirror: Mirror | Replica, loads: Loads, *, shared: bool = False) -> pl.DataFrame:
    """Forecast steady loads.

    Parameters
    ----------
    mirror
        A fitted machine; or a `Replica`, which has no band.
    loads
        ``concurrency``, ``isl`` and ``osl`` of each: as mappings, a frame, or observations to compare with later.
    shared
        Take it as known how much of the processors the server got (``cores`` of the loads): what is left is the
        twin's own error, without that of guessing what else runs on the machine. Otherwise it is taken to get what it
        got while it was fitted.

    Returns
    -------
    frame
        A row a load and figure: ``concurrency``, ``isl``, ``osl``, ``figure`` (``ttft``, ``tpot``,
        ``tokens_per_second``), ``unit``, ``predicted``, ``low``, ``high``, ``fitted`` (whether it was fitted on).

    Raises
    ------
    TwinError
        If a load lacks a figure or has one that is not positive.
    """
    table = _loads(loads, shared=shared)
    load = {name: table[name].to_numpy() for name in LOAD}
    if isinstance(mirror, Replica):
        found = _frame(table, mirror.steady(**load), None)
        return found.with_columns(fitted=pl.lit(value=False))
    slowed = mirror.slowed(table["cores"].to_numpy()) if shared else np.ones(len(table))
    best = _slowed(mirror.replica.steady(**load), slowed)
    found = _frame(table, best, _drawn(mirror, load, slowed, shared=shared))
    seen = mirror.seen.to_dicts()
    known = [any(same_load(one, row) for one in seen) for row in found.iter_rows(named=True)]
    return found.with_columns(fitted=pl.Series(known, dtype=pl.Boolean))


def _slowed(steady: Steady, by: Reals) -> Steady:
    return Steady(steady.ttft * by, steady.tpot * by, steady.tokens_per_second / by)


def _frame(table: pl.DataFrame, best: Steady, drawn: dict[str, Reals] | None) -> pl.DataFrame:
    rows = []
    for figure, unit in UNITS.items():
        value: Reals = getattr(best, figure)
        low, high = np.quantile(drawn[figure], ENDS, axis=0) if drawn else (np.full(len(value), np.nan),) * 2
        named = {"figure": pl.lit(figure), "unit": pl.lit(unit)}
        values = {"predicted": pl.Series(value), "low": pl.Series(low), "high": pl.Series(high)}
        rows.append(table.with_columns(**named, **values))
    return pl.concat(rows)


def same_load(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Tell whether a measured load is the forecast one."""
    near = all(abs(one[name] - other[name]) <= NEAR * other[name] for name in ("isl", "osl"))
    alike = other.get("cores") in (None, one.get("cores"))
    return one["concurrency"] == other["concurrency"] and near and alike


def _drawn(mirror: Mirror, load: Mapping[str, Reals], slowed: Reals, *, shared: bool) -> dict[str, Reals]:
    """Return figures as they might be measured, (draws, loads)."""
    random = np.random.default_rng(0)
    steady = _slowed(mirror.replicas(DRAWS).steady(**load), slowed)
    ttft, tpot = (
        getattr(steady, name) * np.exp(random.normal(0, mirror.error(name, shared=shared), steady.ttft.shape))
        for name in ("ttft", "tpot")
    )
    stays = steady.ttft + (load["osl"] - 1) * steady.tpot
    measured = ttft + (load["osl"] - 1) * tpot
    return {"ttft": ttft, "tpot": tpot, "tokens_per_second": steady.tokens_per_second * stays / measured}


def _loads(loads: Loads, *, shared: bool) -> pl.DataFrame:
    given = loads.cells if isinstance(loads, Observations) else loads
    table = given if isinstance(given, pl.DataFrame) else pl.DataFrame(list(given))
    wanted = [*LOAD, "cores"] if shared else list(LOAD)
    missing = [name for name in wanted if name not in table.columns or table[name].null_count()]
    if missing or not len(table):
        msg = f"loads to forecast need {', '.join(wanted)}; missing: {', '.join(missing) or 'all, there are none'}"
        raise TwinError(msg, mend='mirror.forecast(fitted, [{"concurrency": 8, "isl": 64, "osl": 32}])')
    table = table.select(pl.col(wanted).cast(pl.Float64)).unique(maintain_order=True)
    wrong = table.filter(~pl.all_horizontal(pl.col(LOAD).is_between(1, 1e12)))  # NaN is not
    if len(wrong):
        msg = f"a load of {wrong.row(0, named=True)} cannot be: all three are 1 or more"
        raise TwinError(msg, mend='mirror.forecast(fitted, [{"concurrency": 8, "isl": 64, "osl": 32}])')
    return table
