"""Forecasts of loads that were not seen, and how far they were from what was then measured.

A steady load is forecast in closed form, arrivals by simulation (`twin.serving`), request by request; both with the
band in which eight of ten measurements should lie, from the figures' uncertainty and the scatter around the fit.

>>> from aifactory_lab.twin.mirror import compare  # the same as here
>>> compare.__module__
'aifactory_lab.twin.mirror.forecasts'
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aifactory_lab.errors import TwinError
from aifactory_lab.serve.load.arrivals import Arrivals
from aifactory_lab.serve.load.summary import Distribution
from aifactory_lab.serve.load.token_report import TokenReport
from aifactory_lab.twin import traces
from aifactory_lab.twin.mirror.estimates import LEVEL
from aifactory_lab.twin.mirror.fitting import SHARES, SHARING, Mirror
from aifactory_lab.twin.mirror.observations import Observations, observe
from aifactory_lab.twin.mirror.replica import Replica, Steady
from aifactory_lab.twin.traces import Trace

if TYPE_CHECKING:
    from aifactory_lab.twin.serving import Served

Reals = NDArray[np.float64]
Loads = Observations | pl.DataFrame | Iterable[Mapping[str, float]]
LOAD = ("concurrency", "isl", "osl")
UNITS = {"ttft": "s", "tpot": "s", "tokens_per_second": "tokens/s"}
DRAWS = 400
SIMULATED = 40
PERCENTILES = ("p50", "p90", "p99")
NEAR = 0.1  # lengths that differ by less are the same load
ENDS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


@dataclass(frozen=True)
class Replay:
    """Arrivals as they would be served.

    Attributes
    ----------
    served
        By the best estimates on a machine that nothing disturbs, request by request.
    figures
        ``figure``, ``unit``, ``predicted``, ``low``, ``high``: as a machine would show them that is as disturbed as it
        was while it was fitted.
    """

    served: "Served"
    figures: pl.DataFrame


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
    known = [any(_same(one, row) for one in seen) for row in found.iter_rows(named=True)]
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


def replay(mirror: Mirror, arrivals: Arrivals | Trace, *, isl: int | None = None, osl: int | None = None) -> Replay:
    """Simulate arrivals on the fitted machine, with bands from the machines that it might also be.

    Parameters
    ----------
    arrivals
        `serve.load.arrivals.poisson(…)` and its like, or a trace of the twin's.
    isl, osl
        Tokens of each prompt and answer, where the arrivals do not say.
    """
    trace = arrivals if isinstance(arrivals, Trace) else traces.from_arrivals(arrivals, isl=isl, osl=osl)
    best = mirror.replica.replay(trace)
    random, seconds = np.random.default_rng(0), np.array([name not in SHARES for name in mirror.names])
    drawn = []
    for values in mirror.draws(SIMULATED):
        slower = np.exp(random.normal(0, _scatter(mirror, "tpot", shared=False)))
        served = mirror.replica_of(np.where(seconds, values * slower, values)).replay(trace)
        drawn.append(_summary(_unevenly(served, mirror.uneven, random), mirror))
    found = pl.DataFrame(drawn)
    figures = [
        {"figure": name, "unit": _unit(name), "predicted": found[name].median(), **_ends(found[name].to_numpy())}
        for name in found.columns
    ]
    return Replay(best, pl.DataFrame(figures))


def compare(
    prediction: pl.DataFrame | Replay, measurement: Observations | TokenReport | Sequence[TokenReport]
) -> pl.DataFrame:
    """Return what was forecast beside what was measured.

    Parameters
    ----------
    prediction
        From `forecast` or `replay`.
    measurement
        Observations of the same loads; for a `Replay` the report of the load test with these arrivals.

    Returns
    -------
    frame
        The prediction's rows that were measured, with ``measured``, ``error`` (predicted ÷ measured - 1) and ``within``
        (whether the measurement lay in the band). Several measurements of a load are a row each.

    Raises
    ------
    TwinError
        If none of the loads was measured.
    """
    if isinstance(prediction, Replay):
        if not isinstance(measurement, TokenReport):
            msg = f"a replay of arrivals is compared with the report of one load test, not {type(measurement).__name__}"
            raise TwinError(msg, mend="mirror.compare(replay, serve.load.tokens(server, prompts, arrivals=arrivals))")
        measured = pl.DataFrame(list(_reported(measurement).items()), schema=["figure", "measured"], orient="row")
        return _judged(prediction.figures.join(measured, on="figure"))
    if not isinstance(measurement, Observations):
        measurement = observe(measurement, model="llama-3-8b")  # the shape takes no part
    rows = [
        row | {"measured": cell[row["figure"]]}
        for row in prediction.iter_rows(named=True)
        for cell in measurement.cells.iter_rows(named=True)
        if _same(cell, row)
    ]
    if not rows:
        msg = f"none of the {len(prediction)} forecast loads is among the {len(measurement)} that were measured"
        raise TwinError(msg, mend="mirror.compare(mirror.forecast(fitted, observations), observations)")
    return _judged(pl.DataFrame(rows))


def errors(compared: pl.DataFrame) -> pl.DataFrame:
    """Return a row a figure: ``rows``, mean and median of the absolute error, bias, and the share within the band."""
    size = pl.col("error").abs()
    return compared.group_by("figure", maintain_order=True).agg(
        rows=pl.len(),
        mean=size.mean(),
        median=size.median(),
        bias=pl.col("error").median(),
        within=pl.col("within").mean(),
    )


def _judged(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(
        error=pl.col("predicted") / pl.col("measured") - 1,
        within=pl.when(pl.col("low").is_nan())
        .then(None)
        .otherwise(pl.col("measured").is_between(pl.col("low"), pl.col("high"))),
    )


def _drawn(mirror: Mirror, load: Mapping[str, Reals], slowed: Reals, *, shared: bool) -> dict[str, Reals]:
    """Return figures as they might be measured, (draws, loads)."""
    random = np.random.default_rng(0)
    steady = _slowed(mirror.replicas(DRAWS).steady(**load), slowed)
    ttft, tpot = (
        getattr(steady, name) * np.exp(random.normal(0, _scatter(mirror, name, shared=shared), steady.ttft.shape))
        for name in ("ttft", "tpot")
    )
    stays = steady.ttft + (load["osl"] - 1) * steady.tpot
    measured = ttft + (load["osl"] - 1) * tpot
    return {"ttft": ttft, "tpot": tpot, "tokens_per_second": steady.tokens_per_second * stays / measured}


def _scatter(mirror: Mirror, figure: str, *, shared: bool) -> float:
    """Return a measurement's typical error; where it is not known what the server got, that comes on top."""
    unknown = 0.0 if shared else mirror.figures[SHARING].value * mirror.cores_spread
    return float(np.hypot(mirror.scatter[figure], unknown))


def _unevenly(served: "Served", uneven: float, random: np.random.Generator) -> "Served":
    """Return the requests as a disturbed machine serves them: some sooner, some later, each by a factor of its own."""
    factor = np.exp(random.normal(0, uneven, len(served.trace)))
    first = served.trace.times + served.ttft * factor
    return replace(served, first=first, last=first + (served.last - served.first) * factor)


def _summary(served: "Served", mirror: Mirror) -> dict[str, float]:
    """Return the figures of a simulated trace that a load test reports too."""
    spread, totals = served.distributions(), served.totals()
    seconds = totals["benchmark_duration"]
    work = float((served.prefill_seconds + served.decode_seconds).sum())
    found = _spread(spread["time_to_first_token"], spread["inter_token_latency"], spread["request_latency"])
    found["tokens_per_second"] = totals["output_token_throughput"]
    if mirror.cores is not None and seconds:
        found["cores"] = mirror.cores * work / seconds
    if mirror.power and mirror.busy is not None and seconds:
        found["watts"] = float(mirror.power.watts(mirror.busy * min(1.0, work / seconds)))
    return found


def _reported(report: TokenReport) -> dict[str, float]:
    """Return the same of a load test; users wait from their arrival."""
    found = _spread(report.ttft_from_arrival, report.itl, report.latency_from_arrival)
    found["tokens_per_second"] = report.tokens_per_second
    if report.cost.server_cpu_seconds is not None and report.seconds:
        found["cores"] = report.cost.server_cpu_seconds / report.seconds
    if report.cost.station and report.cost.station.joules and report.cost.station.seconds:
        found["watts"] = report.cost.station.joules / report.cost.station.seconds
    return found


def _spread(ttft: Distribution, itl: Distribution, e2e: Distribution) -> dict[str, float]:
    named = {"ttft": ttft, "itl": itl, "e2e": e2e}
    return {f"{name}_{share}": getattr(one, share) / 1e3 for name, one in named.items() for share in PERCENTILES}


def _ends(values: Reals) -> dict[str, float]:
    low, high = np.quantile(values, ENDS)
    return {"low": float(low), "high": float(high)}


def _unit(figure: str) -> str:
    return {"tokens_per_second": "tokens/s", "cores": "", "watts": "W"}.get(figure, "s")


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


def _same(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Tell whether a measured load is the forecast one."""
    near = all(abs(one[name] - other[name]) <= NEAR * other[name] for name in ("isl", "osl"))
    alike = other.get("cores") in (None, one["cores"])
    return one["concurrency"] == other["concurrency"] and near and alike
