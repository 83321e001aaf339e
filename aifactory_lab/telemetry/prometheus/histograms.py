"""Quantiles and shares from cumulative histogram buckets, as Prometheus computes them.

A histogram knows how many observations were at most as large as each bound; what lies between two bounds is
interpolated, so an answer is right to within the bucket it falls in. Nothing here knows what was observed.

>>> buckets = Buckets.of({0.01: 10, 0.02: 30, 0.05: 40, float("inf"): 40})
>>> buckets.quantile(0.5), buckets.share_within(0.02)
(0.015, 0.75)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Buckets:
    """Observations by size.

    Attributes
    ----------
    bounds
        Upper bounds, ascending, the last one infinite.
    counts
        How many observations are at most as large as each bound.
    """

    bounds: NDArray[np.float64]
    counts: NDArray[np.float64]

    @classmethod
    def of(cls, counts: Mapping[float, float]) -> Self:
        """Return the buckets of counts by upper bound.

        Counts that fall from one bound to the next (a scrape of a histogram at work need not be consistent) are
        lifted, as Prometheus does (`ensureMonotonic` in promql/quantile.go).
        """
        bounds = sorted(counts)
        rising = np.maximum.accumulate(np.array([counts[bound] for bound in bounds], dtype=np.float64))
        return cls(np.array(bounds, dtype=np.float64), rising)

    @property
    def total(self) -> float:
        """All observations; 0 for a histogram whose last bound is finite, which cannot tell."""
        known = len(self.bounds) > 1 and np.isinf(self.bounds[-1])
        return float(self.counts[-1]) if known else 0.0

    def quantile(self, share: float) -> float | None:
        """Return the size below which `share` of the observations lie; `None` without observations.

        The rank ``share × total`` is looked up among the cumulative counts, and the place inside its bucket is
        ``lower + (upper - lower) × (rank - counts below) / counts inside``, the first bucket beginning at 0. In the
        last, unbounded bucket the highest finite bound is returned: the truth is that or more. Source:
        `bucketQuantile` in Prometheus' promql/quantile.go, and the documentation of `histogram_quantile`.
        """
        if self.total <= 0:
            return None
        rank = share * self.total
        place = int(np.searchsorted(self.counts, rank, side="left"))
        place = max(place, int(np.argmax(self.counts > 0)))  # rank 0 lies in the first bucket that holds anything
        if place >= len(self.bounds) - 1:
            return float(self.bounds[-2])
        if place == 0 and self.bounds[0] <= 0:
            return float(self.bounds[0])
        lower, below = (self.bounds[place - 1], self.counts[place - 1]) if place else (0.0, 0.0)
        return float(lower + (self.bounds[place] - lower) * (rank - below) / (self.counts[place] - below))

    def share_within(self, limit: float) -> float | None:
        """Return the share of the observations that are at most `limit`; `None` without observations."""
        return self.within(limit) / self.total if self.total > 0 else None

    def within(self, limit: float) -> float:
        """Return how many observations are at most `limit`, interpolated in the bucket that holds it.

        What lies above the highest finite bound is not counted, wherever the limit is: the least that is certain.
        """
        finite = np.isfinite(self.bounds)
        bounds, counts = self.bounds[finite], self.counts[finite]
        if not len(bounds):
            return 0.0
        if bounds[0] > 0:
            bounds, counts = np.append(0.0, bounds), np.append(0.0, counts)
        return float(np.interp(limit, bounds, counts, left=0.0))
