"""The law of pre-training fitted to runs, with intervals, and a larger run predicted before it is trained.

The fit is that of Hoffmann et al. 2022 (arXiv 2203.15556, appendix D.3) with the corrections of Besiroglu et al. 2024
(arXiv 2404.10102); `objective` says how. Intervals are from a bootstrap over the runs. This module trains nothing.

>>> from aifactory_lab.laws.law import EPOCH
>>> sizes, data = np.meshgrid(np.geomspace(1e8, 1e10, 5), np.geomspace(1e9, 1e11, 5))
>>> points = {"parameters": sizes.ravel(), "tokens": data.ravel(), "loss": EPOCH.loss(sizes, data).ravel()}
>>> str(fit(pl.DataFrame(points), replicates=0).law) == str(EPOCH)
True
"""

from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from aifactory_lab.errors import TwinError
from aifactory_lab.laws import runs as tables
from aifactory_lab.laws.law import EPOCH, HOFFMANN, Law
from aifactory_lab.laws.objective import DELTA, Problem

__all__ = ["EPOCH", "HOFFMANN", "Fit", "Forecast", "Law", "fit", "lack"]

Numbers = NDArray[np.float64]
NAMES = ("E", "A", "B", "alpha", "beta")
REPLICATES = 200
SHARE = 0.9


@dataclass(frozen=True)
class Forecast:
    """A loss that was predicted.

    Attributes
    ----------
    loss, low, high
        Nats per token, and the interval in which a run is to be expected.
    share
        Of such intervals that should hold.
    beyond
        How many times beyond the runs of the fit; 1 or less is not extrapolated. See `Fit.beyond`.
    words
        What may be believed of it.
    """

    loss: float
    low: float
    high: float
    share: float
    beyond: float
    words: str

    def __str__(self) -> str:
        return (
            f"{self.loss:.3f} nats per token, {self.share:.0%} between {self.low:.3f} and {self.high:.3f}: {self.words}"
        )


@dataclass(frozen=True)
class Fit:
    """A law that was fitted.

    Attributes
    ----------
    law
        With the constants that fit best.
    runs
        What it was fitted to.
    constants
        Those of the bootstrap, (replicates, 5), in the order of `NAMES`.
    objective
        Sum of Huber's losses at the minimum, in units of δ².
    """

    law: Law
    runs: pl.DataFrame
    constants: Numbers = field(repr=False)
    objective: float

    @cached_property
    def residuals(self) -> Numbers:
        """Logarithm of measured ÷ fitted, run by run."""
        n, d, loss = _columns(self.runs)
        return np.asarray(np.log(loss / self.law.loss(n, d)))

    @property
    def rms(self) -> float:
        """Root mean square of the residuals: 0.01 is one per cent of the loss."""
        return float(np.sqrt(np.mean(self.residuals**2)))

    def intervals(self, share: float = SHARE) -> pl.DataFrame:
        """Return the constants: ``constant``, ``value``, ``low``, ``high``, and ``determined``.

        A constant is called determined if the interval's ends are within a factor of two. A small sweep seldom
        determines the floor: it never comes near it.
        """
        low, high = np.quantile(self._replicated(), _ends(share), axis=0)
        values = [getattr(self.law, name) for name in NAMES]
        found = pl.DataFrame({"constant": NAMES, "value": values, "low": low, "high": high})
        return found.with_columns((pl.col("high") < 2 * pl.col("low")).alias("determined"))

    def predict(self, parameters: float, tokens: float, *, share: float = SHARE, seed: int = 0) -> Forecast:
        """Predict the loss of a run.

        The interval holds the spread of the bootstrap's laws and that of single runs about them, the residuals drawn
        anew and widened for the five constants that were spent on them.

        Raises
        ------
        TwinError
            If a size is not positive, or the fit has no replicates.
        """
        draws = np.random.default_rng(seed)
        size = len(self._replicated())
        laws = np.array([float(Law(*row).loss(parameters, tokens)) for row in self._replicated()])
        count = len(self.residuals)
        spread = self.residuals * np.sqrt(count / max(1, count - len(NAMES)))
        low, high = np.quantile(laws * np.exp(draws.choice(spread, size)), _ends(share))
        loss = float(self.law.loss(parameters, tokens))
        beyond, words = self.beyond(parameters, tokens), self.words(parameters, tokens)
        return Forecast(loss, min(float(low), loss), max(float(high), loss), share, beyond, words)

    def beyond(self, parameters: float, tokens: float) -> float:
        """Return how many times beyond the runs: in operations, parameters or tokens, in which it goes furthest.

        Above the largest or below the smallest: a model that is smaller than any run is extrapolated, too.
        """
        return self._furthest(parameters, tokens)[0]

    def words(self, parameters: float, tokens: float) -> str:
        """Say what may be believed of a prediction for this size and so many tokens."""
        factor, way, what, span = self._furthest(parameters, tokens)
        if factor <= 1:
            return "within the runs of the fit"
        where = f"{factor:.3g} times {way} runs whose {what} span a factor of {span:.3g}"
        if factor <= np.sqrt(span):
            return f"{where}; a backtest says how good that is"
        return f"{where}: further than they can vouch for, and the interval knows nothing of a law that bends"

    def _furthest(self, parameters: float, tokens: float) -> tuple[float, str, str, float]:
        n, d, _ = _columns(self.runs)
        asked = {"operations": parameters * tokens, "parameters": parameters, "tokens": tokens}
        found = []
        for name, seen in {"operations": n * d, "parameters": n, "tokens": d}.items():
            least, most = float(seen.min()), float(seen.max())
            found += [
                (asked[name] / most, "beyond", name, most / least),
                (least / asked[name], "below", name, most / least),
            ]
        return max(found)

    def _replicated(self) -> Numbers:
        if not len(self.constants):
            msg = "this fit has no replicates, so no intervals"
            raise TwinError(msg, mend=f"laws.chinchilla.fit(runs, replicates={REPLICATES})")
        return self.constants


def fit(runs: pl.DataFrame, *, replicates: int = REPLICATES, delta: float = DELTA, seed: int = 0) -> Fit:
    """Fit the law.

    Parameters
    ----------
    runs
        As `runs.frame`: parameters, tokens, loss.
    replicates
        Of the bootstrap; 0 for none.
    delta
        Huber's δ, of the logarithm of the loss: what lies further off pulls no harder.
    seed
        Of the bootstrap.

    Raises
    ------
    TwinError
        If there are fewer than six different runs, or they are of fewer than three sizes or budgets.
    """
    runs = tables.frame(runs)
    _enough(runs)
    problem = Problem(*_columns(runs), delta)
    draws = np.random.default_rng(seed)
    # Five numbers need no second thread, and threads that wait for each other made this fifty times slower (measured).
    # The limit is put on what is loaded, so SciPy, which brings a BLAS of its own, is loaded before.
    import_module("scipy.optimize")
    with threadpool_limits(1):
        best = problem.best()
        rows = [problem.again(draws).follow(best[0])[0] for _ in range(replicates)]
    constants = np.array([problem.constants(row) for row in rows]).reshape(-1, len(NAMES))
    return Fit(Law(*problem.constants(best[0])), runs, constants, best[1])


def _columns(runs: pl.DataFrame) -> tuple[Numbers, Numbers, Numbers]:
    n, d, loss = (runs[name].to_numpy().astype(np.float64) for name in ("parameters", "tokens", "loss"))
    return n, d, loss


def lack(runs: pl.DataFrame) -> str:
    """Return what runs lack to determine five constants; empty if nothing."""
    sizes, budgets = runs["parameters"].n_unique(), runs["tokens"].n_unique()
    few = runs.height <= len(NAMES) or min(sizes, budgets) < 3
    return f"{runs.height} runs of {sizes} sizes and {budgets} budgets" if few else ""


def _enough(runs: pl.DataFrame) -> None:
    if short := lack(runs):
        msg = f"{short} do not determine five constants: a law needs six runs, three sizes, three budgets"
        raise TwinError(
            msg, mend="laws.sweep.run(laws.sweep.grid(depths=(1, 2, 3), tokens=(50_000, 100_000, 200_000)), …)"
        )


def _ends(share: float) -> tuple[float, float]:
    return (1 - share) / 2, (1 + share) / 2
