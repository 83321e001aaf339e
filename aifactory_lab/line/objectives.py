"""Objectives of an endpoint (SLO), and the verdict of a load test on them: met or missed, and by how much.

A line says what it wants; what was found is what its load test wrote down. This module measures nothing.

>>> print(Verdict("decisions", "p99 latency", 50.0, 64.0, "ms"))
decisions: p99 latency 64 ms, wanted at most 50 ms: missed by 14 ms (28 %)
>>> print(Verdict("tokens", "tokens per second", 500.0, 750.0, "tokens/s", at_most=False))
tokens: tokens per second 750 tokens/s, wanted at least 500 tokens/s: met, 250 tokens/s (50 %) to spare
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """One objective, and whether it was met.

    Attributes
    ----------
    line
        ``"decisions"`` or ``"tokens"``.
    what, unit
        The figure in words, and its unit.
    wanted, found
        The limit, and what the load test found; NaN if no request was answered, which misses every limit.
    at_most
        Whether the limit is the most that is allowed, or the least.
    """

    line: str
    what: str
    wanted: float
    found: float
    unit: str
    at_most: bool = True

    @property
    def met(self) -> bool:
        """Whether the limit was kept."""
        return self.found <= self.wanted if self.at_most else self.found >= self.wanted

    @property
    def spare(self) -> float:
        """How far the figure is on the right side of the limit, in its unit; negative if it was missed."""
        return self.wanted - self.found if self.at_most else self.found - self.wanted

    def __str__(self) -> str:
        bound = "at most" if self.at_most else "at least"
        if math.isnan(self.found):
            return f"{self.line}: {self.what}: missed, for no request was answered ({bound} {self._say(self.wanted)})"
        share = f" ({abs(self.spare) / self.wanted:.0%})".replace("%", " %") if self.wanted else ""
        by = f"{self._say(abs(self.spare))}{share}"
        spare = f"met, {by} to spare" if self.spare else "met"
        words = spare if self.met else f"missed by {by}"
        return f"{self.line}: {self.what} {self._say(self.found)}, wanted {bound} {self._say(self.wanted)}: {words}"

    def _say(self, value: float) -> str:
        number = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        return f"{number} {self.unit}".rstrip()
