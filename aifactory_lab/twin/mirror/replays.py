"""Arrivals on a fitted machine, simulated request by request (`twin.serving`), with bands.

The bands come of the machines that it might also be, and of requests that are disturbed one by one, as they were while
it was fitted. What stalls the whole machine for longer than a request is not foreseen: on a machine that others share,
tails are longer than these. A load test of the same arrivals is read into the same figures. Steady loads are
`forecasts`' business.

>>> from aifactory_lab.serve.load.records import Record
>>> times = {"start": 0, "end": 9, "scheduled": 0, "chunks": (500_000_000, 2_500_000_000)}
>>> record = Record(0, outcome="200", input_tokens=8, output_tokens=3, **times)
>>> reported(TokenReport("m", (record,)))["ttft_p50"]
0.5
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aifactory_lab.serve.load.arrivals import Arrivals
from aifactory_lab.serve.load.summary import Distribution
from aifactory_lab.serve.load.token_report import TokenReport
from aifactory_lab.twin import traces
from aifactory_lab.twin.mirror.estimates import ENDS
from aifactory_lab.twin.mirror.fitted import SHARES, Mirror
from aifactory_lab.twin.traces import Trace

if TYPE_CHECKING:
    from aifactory_lab.twin.serving import Served

Reals = NDArray[np.float64]
SIMULATED = 40
PERCENTILES = ("p50", "p90", "p99")


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


def replay(mirror: Mirror, arrivals: Arrivals | Trace, *, isl: int | None = None, osl: int | None = None) -> Replay:
    """Return arrivals simulated on the fitted machine, with bands from the machines that it might also be.

    Parameters
    ----------
    mirror
        A machine with its twin, of `fit`.
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
        slower = np.exp(random.normal(0, mirror.error("tpot", shared=False)))
        served = mirror.replica_of(np.where(seconds, values * slower, values)).replay(trace)
        drawn.append(_summary(_unevenly(served, mirror.uneven, random), mirror))
    found = pl.DataFrame(drawn)
    figures = [
        {"figure": name, "unit": _unit(name), "predicted": found[name].median(), **_ends(found[name].to_numpy())}
        for name in found.columns
    ]
    return Replay(best, pl.DataFrame(figures))


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


def reported(report: TokenReport) -> dict[str, float]:
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
