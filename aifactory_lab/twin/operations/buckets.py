"""Percentiles of seconds that were only counted, in buckets 1 % wide: half a per cent off at most.

>>> counts = np.zeros(windows.BUCKETS)
>>> for seconds in (0.1, 0.2, 0.4):
...     counts[windows.bucket(seconds)] += 1
>>> abs(percentile(counts, 0.5) / 0.2 - 1) < 0.01
True
"""

import math

import numpy as np

from aifactory_lab.twin.operations import windows
from aifactory_lab.twin.operations.places import Reals


def percentile(counts: Reals, share: float) -> float:
    """Return the seconds that a share of those counted do not exceed, 0 to 1; NaN where nothing was counted.

    Within a bucket they are taken to lie evenly by their logarithm.
    """
    total = float(counts.sum())
    if not total:
        return math.nan
    below = np.cumsum(counts)
    wanted = share * total
    place = min(int(np.searchsorted(below, wanted)), len(counts) - 1)
    while not counts[place]:
        place += 1
    before = float(below[place] - counts[place])
    part = min(1.0, max(0.0, (wanted - before) / float(counts[place])))
    return float(windows.LEAST * windows.RATIO ** (place + part))
