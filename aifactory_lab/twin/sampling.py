"""Plants too large to simulate whole: a stratified sample of their replicas, scaled up, with confidence intervals.

Replicas that the same incidents hit are alike, and are one stratum; of each some are drawn, and each draws arrivals of
its own. So an interval says where a simulation of all replicas would come out, which has its own chance: it is wider by
that than the usual one of a finite population (Cochran, Sampling Techniques, 1977, chapter 5). Ratios are linearised.
Over minutes, where a few very long prompts make the replicas' mean TTFT lopsided, its interval holds less often than it
says: 78 % of 90 % with 15 replicas and 5 minutes; hours mend it. What happens to all replicas at once, such as how many
requests are in flight when a rack falls out, no sample sees. What a replica does is `operations`' to say.

>>> from aifactory_lab.twin import operations
>>> from aifactory_lab.twin.plant import Plant
>>> large, service = Plant(gpus=8_000, chassis="dgx-h100"), Service(tp=8, ttft_ms=2000, tpot_ms=50)
>>> sample = operate(large, service, operations.traffic.steady(4_000), share=0.02, hours=0.25)
>>> sample.simulated, sample.replicas
(20, 1000)
>>> low, high = sample.interval("tokens_per_second")
>>> bool(low < sample.value("tokens_per_second") < high)
True
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import service as services
from aifactory_lab.twin.climate import Climate
from aifactory_lab.twin.operations import incidents as kinds
from aifactory_lab.twin.operations import operation, windows
from aifactory_lab.twin.operations.day import Day
from aifactory_lab.twin.operations.incidents import Incident
from aifactory_lab.twin.operations.places import Places
from aifactory_lab.twin.operations.traffic import Curve, Traffic
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.power import idle_watts
from aifactory_lab.twin.service import Service

Reals = NDArray[np.float64]
Whole = NDArray[np.int64]
LEAST = 8  # replicas of a stratum that are drawn, if it has as many


@dataclass(frozen=True)
class Estimate:
    """What a sample says of the whole plant.

    Attributes
    ----------
    day
        The day, scaled up: its counts are real numbers, and its percentiles have no interval.
    figures
        A row a figure: ``figure``, ``unit``, ``value``, ``low``, ``high``.
    confidence
        Of the intervals.
    simulated, replicas
        Replicas that were simulated, and that there are.
    """

    day: Day
    figures: pl.DataFrame
    confidence: float
    simulated: int
    replicas: int

    def value(self, figure: str) -> float:
        """Return a figure."""
        return float(self._row(figure)["value"][0])

    def interval(self, figure: str) -> tuple[float, float]:
        """Return between which a simulation of all replicas would find a figure, in so many of a hundred cases."""
        row = self._row(figure)
        return float(row["low"][0]), float(row["high"][0])

    def _row(self, figure: str) -> pl.DataFrame:
        row = self.figures.filter(pl.col("figure") == figure)
        if not len(row):
            msg = f"no figure {figure!r}; there are: {', '.join(self.figures['figure'])}"
            raise TwinError(msg, mend='estimate.value("tokens_per_second")')
        return row


def operate(
    plant: Plant,
    service: Service,
    traffic: Traffic,
    *,
    share: float = 0.01,
    confidence: float = 0.95,
    climate: Climate | None = None,
    hours: float = 24.0,
    incidents: Sequence[Incident] = (),
    window_seconds: float = 60.0,
    seed: int = 0,
    threads: int | None = None,
) -> Estimate:
    """Operate a plant as `operations.operate` does, but simulate only some of its replicas.

    Parameters
    ----------
    share
        Of each stratum's replicas that are simulated, and `LEAST` at least; above 0, up to 1.
    confidence
        Of the intervals, between 0 and 1.

    Raises
    ------
    TwinError
        As `operations.operate` does, and if a share cannot be.
    """
    for name, value in (("share", share), ("confidence", confidence)):
        if not 0 < value <= 1 or (name == "confidence" and value == 1):
            msg = f"{name}={value!r} is not a share above 0"
            raise TwinError(msg, mend=f"{name}={0.01 if name == 'share' else 0.95}")
    kinds.check(plant, incidents, hours)
    whole = Places.of(plant, services.replicas(plant, service).tp, service.training_gpus)
    strata = exposure(whole, incidents)
    sizes = drawn(np.bincount(strata), share)
    day = operation.operate(
        plant, service, traffic, climate=climate, hours=hours, incidents=incidents, window_seconds=window_seconds,
        seed=seed, threads=threads, places=whole.sample(strata, sizes, np.random.default_rng([seed, 1])),
    )  # fmt: skip
    figures = _figures(day, hours * 3600, confidence, chance=isinstance(traffic, Curve))
    return Estimate(day, figures, confidence, int(sizes.sum()), whole.count)


def exposure(places: Places, incidents: Sequence[Incident]) -> Whole:
    """Return the stratum of each replica, from 0: those that the same incidents take out are alike."""
    hit = [~places.standing(kinds.lost(places.plant, [one])[0]) for one in incidents]
    if not hit:
        return np.zeros(places.count, np.int64)
    return np.asarray(np.unique(np.stack(hit), axis=1, return_inverse=True)[1].reshape(-1), np.int64)


def drawn(sizes: Whole, share: float) -> Whole:
    """Return how many replicas are drawn of strata of these sizes."""
    wanted = np.maximum(LEAST, np.ceil(share * sizes)).astype(np.int64)
    return np.asarray(np.minimum(sizes, wanted), np.int64)


def total(values: Reals, stratum: Whole, counts: Whole) -> tuple[float, float, float]:
    """Return the sum over a plant from the values of some replicas, its variance, and that variance's freedom.

    Parameters
    ----------
    values, stratum
        Of each replica that was simulated, (n,).
    counts
        Replicas of each stratum.

    Notes
    -----
    The variance is Σ N² s² (1/n + 1/N): of what n draws say, and of what N others would. A stratum of which one was
    drawn borrows the deviation of the largest. Degrees of freedom are Satterthwaite's (1946).
    """
    many = np.bincount(stratum, minlength=len(counts))
    means = np.bincount(stratum, values, len(counts)) / many
    spread = np.bincount(stratum, (values - means[stratum]) ** 2, len(counts)) / np.maximum(many - 1, 1)
    largest = int(np.argmax(many))
    spread = np.where(many > 1, spread, spread[largest])
    freedom = np.where(many > 1, many - 1, max(1, many[largest] - 1))
    parts = counts**2 * spread * (1 / many + 1 / counts)
    whole = float(parts.sum())
    free = whole**2 / float((parts**2 / freedom).sum()) if whole else 1.0
    return float(counts @ means), whole, free


def _figures(day: Day, seconds: float, confidence: float, *, chance: bool) -> pl.DataFrame:
    """Return the figures with their intervals; `chance` says whether requests come by chance."""
    sums, stratum = day.sums, day.places.stratum
    counts = np.bincount(day.places.strata)
    ended, served = sums[:, windows.SERVED] + sums[:, windows.REJECTED], sums[:, windows.SERVED]
    asked = max(float(counts @ (np.bincount(stratum, ended) / np.bincount(stratum))), 1.0)
    idle = float(counts.sum()) * day.places.tp * idle_watts(day.plant.gpu) * seconds / 3.6e6
    turned = float(counts @ (np.bincount(stratum, sums[:, windows.REJECTED]) / np.bincount(stratum)))
    others = max(
        0.0, float(day.timeline["rejected"].sum()) - turned
    )  # by no replica: none stood, or all were too small
    rows = []
    for figure, unit, values, per in (
        ("tokens_per_second", "tokens/s", sums[:, windows.TOKENS] / seconds, None),
        ("served", "requests", served, None),
        ("gpu_kwh", "kWh, of serving GPUs", day.joules / 3.6e6, None),
        ("good", "share", sums[:, windows.GOOD], ended),
        ("ttft", "s, mean", sums[:, windows.TTFT], served),
        ("itl", "s, mean", sums[:, windows.ITL], served),
        ("e2e", "s, mean", sums[:, windows.E2E], served),
    ):
        value, variance, freedom = total(values, stratum, counts)
        if per is not None:
            whole = total(per, stratum, counts)[0] + (others if figure == "good" else 0.0)
            if not whole:
                rows.append((figure, unit, math.nan, math.nan, math.nan))
                continue
            value /= whole
            _, variance, freedom = total((values - value * per) / whole, stratum, counts)
        elif chance:
            still = idle if figure == "gpu_kwh" else 0.0
            variance += (value - still) ** 2 / asked  # of the number of requests: Poisson's
        half = _quantile(confidence, freedom) * math.sqrt(variance)
        rows.append((figure, unit, value, value - half, value + half))
    return pl.DataFrame(rows, schema=("figure", "unit", "value", "low", "high"), orient="row")


def _quantile(confidence: float, freedom: float) -> float:
    """Return how many standard deviations Student's t keeps within, in so many of a hundred cases."""
    from scipy import stats

    return float(stats.t.ppf((1 + confidence) / 2, max(freedom, 1.0)))
