"""Before against after on the same items: a paired difference with its interval, and how far two texts agree.

Items of one group share an author and a style, so whole groups are drawn (a block bootstrap); before and after are
drawn together, which is what makes a small difference visible (Koehn 2004, "Statistical significance tests for machine
translation evaluation"). This module does not know what was measured.

>>> str(compare([2.0, 4.0, 3.0], [1.0, 3.0, 2.0]))
'3.000 → 2.000 (-1.000 [-1.000, -1.000])'
>>> round(overlap("Return the size.", "Return the whole size."), 3)
0.857
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aifactory_lab.errors import DataError
from aifactory_lab.train.evaluation import LEVEL, Interval

REPLICATES = 1000
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """A mean before and after, and the change, each with its 95 % interval.

    Attributes
    ----------
    items, groups
        How many were measured; how many groups (files, documents) they come from, which are what was drawn.
    """

    before: Interval
    after: Interval
    change: Interval
    items: int
    groups: int

    @property
    def clear(self) -> bool:
        """Whether the interval of the change leaves zero out."""
        return self.change.low > 0 or self.change.high < 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the comparison that `to_dict` described."""
        before, after, change = (Interval(**values[name]) for name in ("before", "after", "change"))
        return cls(before, after, change, int(values["items"]), int(values["groups"]))

    def __str__(self) -> str:
        change = f"{self.change.value:+.3f} [{self.change.low:+.3f}, {self.change.high:+.3f}]"
        return f"{self.before.value:.3f} → {self.after.value:.3f} ({change})"


def compare(
    before: ArrayLike,
    after: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Comparison:
    """Compare two measurements of the same items.

    Parameters
    ----------
    before, after
        Totals of each item, (n,): nats of an answer, or a score.
    weights
        What each total is divided by, (n,): its tokens, its bytes. The means are then Σ totals ÷ Σ weights; by
        default every item weighs 1.
    groups
        A label per item, (n,); by default each item is its own.

    Raises
    ------
    DataError
        If the shapes differ, or nothing was measured.
    """
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    heavy = np.ones_like(first) if weights is None else np.asarray(weights, dtype=np.float64)
    if first.shape != second.shape or first.shape != heavy.shape or first.ndim != 1 or not len(first):
        msg = f"measurements of shapes {first.shape} and {second.shape}, weighted by {heavy.shape}, cannot be compared"
        raise DataError(msg)
    code = np.arange(len(first)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    sums: Floats = np.stack([np.bincount(code, weights=part) for part in (first, second, heavy)], axis=1)  # (groups, 3)
    found = _means(np.vstack([sums.sum(0), _draw(sums, replicates, seed)]))
    low, high = np.quantile(found[1:] if replicates else found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    was, now, change = (Interval(float(found[0, n]), float(low[n]), float(high[n])) for n in range(3))
    return Comparison(was, now, change, items=len(first), groups=len(sums))


def overlap(answer: str, truth: str) -> float:
    """Return ROUGE-L, F-measure, of an answer: 1 when it says the truth word by word, 0 when it shares none.

    The longest common subsequence of words, as a share of both texts (Lin 2004, "ROUGE: a package for automatic
    evaluation of summaries"); words are letters and digits in lower case, as in Google's `rouge-score`.

    Examples
    --------
    >>> overlap("close the file", "Close the file.")
    1.0
    """
    ours, theirs = _words(answer), _words(truth)
    common = _common(ours, theirs)
    return 2 * common / (len(ours) + len(theirs)) if common else 0.0


def _draw(sums: Floats, replicates: int, seed: int) -> Floats:
    """Return the sums of groups drawn with replacement: (replicates, 3)."""
    random, count = np.random.default_rng(seed), len(sums)
    drawn = random.multinomial(count, np.full(count, 1 / count), size=replicates)
    return np.asarray(drawn @ sums)


def _means(sums: Floats) -> Floats:
    """Return before, after and change of rows of (before, after, weight)."""
    first, second = sums[:, 0] / sums[:, 2], sums[:, 1] / sums[:, 2]
    return np.stack([first, second, second - first], axis=1)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _common(ours: list[str], theirs: list[str]) -> int:
    """Return the length of the longest common subsequence (Wagner & Fischer 1974), one row at a time."""
    row = [0] * (len(theirs) + 1)
    for word in ours:
        diagonal = 0
        for place, other in enumerate(theirs, 1):
            above = row[place]
            row[place] = diagonal + 1 if word == other else max(above, row[place - 1])
            diagonal = above
    return row[-1]
