"""Robust least squares with intervals: a value, and between which bounds eight of ten such estimates would lie.

Soft-L1 loss, so that a disturbed measurement counts little; intervals from the curvature at the solution and Student's
t (Seber & Wild 2003, "Nonlinear Regression", section 5.1). What is estimated is not known here.

>>> line = np.column_stack([np.ones(20), np.arange(20.0)])
>>> solved = robust(lambda values: line @ values, 3 + 2 * np.arange(20.0), [1.0, 1.0])
>>> [round(float(one), 6) for one in solved.values]
[3.0, 2.0]
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Reals = NDArray[np.float64]
LEVEL = 0.8  # of the intervals: eight of ten
ENDS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
ROBUST = 0.15  # errors beyond this, relative to what was measured, count linearly
AT_A_BOUND = 1e-6


@dataclass(frozen=True)
class Estimate:
    """A value and the interval around it; both ends are NaN where the measurements cannot say, as at a bound.

    Examples
    --------
    >>> print(Estimate(0.01234567, 0.011, 0.0139))
    0.01235 (0.011 to 0.0139)
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4g} ({self.low:.3g} to {self.high:.3g})"


@dataclass(frozen=True)
class Solved:
    """A solution: values, their covariance, the residuals, and how many measurements are left over to judge by."""

    values: Reals
    covariance: Reals
    residuals: Reals
    freedom: int

    def estimates(self, *, upper: ArrayLike = np.inf) -> list[Estimate]:
        """Return each value with its interval, not below 0 nor above `upper`."""
        from scipy.stats import t

        wide = float(t.ppf(0.5 + LEVEL / 2, max(1, self.freedom)))
        ends = wide * np.sqrt(np.diag(self.covariance))
        ends[ends == 0] = np.nan
        low, high = np.maximum(self.values - ends, 0.0), np.minimum(self.values + ends, upper)
        return [Estimate(*(float(one) for one in row)) for row in zip(self.values, low, high, strict=True)]

    def draws(self, count: int, *, upper: ArrayLike = np.inf, seed: int = 0) -> Reals:
        """Return values as they might have been, not below 0: a multivariate Student's t, (count, values)."""
        random = np.random.default_rng(seed)
        freedom = max(1, self.freedom)
        normal = random.multivariate_normal(np.zeros(len(self.values)), self.covariance, size=count, method="eigh")
        wide = np.sqrt(freedom / random.chisquare(freedom, size=(count, 1)))
        return np.clip(self.values + normal * wide, 0.0, upper)


def robust(
    predict: Callable[[Reals], Reals],
    target: ArrayLike,
    start: Sequence[float] | Reals,
    *,
    upper: ArrayLike = np.inf,
    scale: ArrayLike | None = None,
) -> Solved:
    """Minimise the soft-L1 loss of predict(values) - target; values are 0 or more.

    Parameters
    ----------
    predict
        From values to predictions, in the unit of `target`; both should be relative or logarithms.
    upper
        Highest values.
    scale
        Size of a step in each value; by default where it starts.

    Notes
    -----
    What ends at a bound has no interval and takes no part in the others'.
    """
    from scipy.optimize import least_squares

    aim, first = np.asarray(target, np.float64), np.asarray(start, np.float64)
    unit = np.maximum(first, 1e-300) if scale is None else np.asarray(scale, np.float64)
    most = np.broadcast_to(np.asarray(upper, np.float64), first.shape) / unit
    inside = np.clip(first / unit, 1e-3, np.where(np.isfinite(most), most - 1e-3, np.inf))
    solved = least_squares(
        lambda factors: predict(factors * unit) - aim, inside, bounds=(0, most), loss="soft_l1", f_scale=ROBUST
    )
    freedom = len(aim) - len(first)
    variance = 2 * solved.cost / max(1, freedom)
    free = (solved.x > AT_A_BOUND) & (solved.x < most - AT_A_BOUND)
    covariance = np.zeros((len(first), len(first)))
    if free.any():
        covariance[np.ix_(free, free)] = variance * np.linalg.pinv(solved.jac[:, free].T @ solved.jac[:, free])
    values = np.where(solved.x > AT_A_BOUND, solved.x, 0.0) * unit
    residuals = predict(values) - aim
    return Solved(values, covariance * np.outer(unit, unit), residuals, freedom)
