"""Counters over time: how much each grew, across restarts of whoever counts, and how fast.

A counter only rises; when it falls, its process began anew, and what it shows has grown since then. A series that
appears later than its neighbours began at zero, since a client library makes it with its first event. What cannot
be known yet (one look gives no rate) is `None`, never 0. It does not know what is counted.

>>> growth = Growth(window=30.0)
>>> for second, value in enumerate([100.0, 110.0, 5.0]):  # restarted before the third look
...     growth.add(float(second), {("requests", ()): value})
>>> growth.span(at_least=2.0).total("requests")
15.0
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from aifactory_lab.telemetry.prometheus.histograms import Buckets

Labels: TypeAlias = tuple[tuple[str, str], ...]
Series: TypeAlias = tuple[str, Labels]
Passes: TypeAlias = Callable[[dict[str, str]], bool]


@dataclass(frozen=True)
class Span:
    """What grew between two looks.

    Attributes
    ----------
    seconds
        Real time between them.
    grown
        By how much each series grew, by name and labels.
    """

    seconds: float
    grown: Mapping[str, Mapping[Labels, float]]

    def total(self, name: str, passes: Passes | None = None) -> float | None:
        """Return the growth of all series of a name, or of those whose labels pass; `None` if none is there."""
        series = self.grown.get(name, {})
        return summed(value for labels, value in series.items() if passes is None or passes(dict(labels)))

    def buckets(self, name: str) -> Buckets | None:
        """Return what a histogram observed, from its ``…_bucket`` series added up; `None` if there are none."""
        counts: dict[float, float] = {}
        for labels, value in self.grown.get(name, {}).items():
            bound = dict(labels).get("le", "")
            try:
                counts[float(bound)] = counts.get(float(bound), 0.0) + value
            except ValueError:  # a bucket that does not say which
                continue
        return Buckets.of(counts) if counts else None


def summed(values: Iterable[float]) -> float | None:
    """Return the sum, `None` if there is nothing to add or it is beyond all floats."""
    known = list(values)
    try:
        total = math.fsum(known)
    except (OverflowError, ValueError):  # the latter: infinities of both signs
        return None
    return total if known and math.isfinite(total) else None


class Growth:
    """Counters that belong together, remembered for a while.

    Parameters
    ----------
    window
        Seconds that looks are kept. After a longer silence the next look is a first look again.
    """

    def __init__(self, window: float) -> None:
        self.window = window
        self._shown: dict[Series, float] = {}
        self._grown: dict[Series, float] = {}
        self._looks: deque[tuple[float, dict[Series, float]]] = deque()

    def add(self, time: float, shown: Mapping[Series, float]) -> None:
        """Note what the counters show at a moment (monotonic seconds); values that are no number are passed over."""
        first = not self._shown
        for series, value in shown.items():
            if not math.isfinite(value):
                continue
            before = self._shown.get(series, value if first else 0.0)
            step = value - before if value >= before else value
            self._grown[series] = self._grown.get(series, 0.0) + step
            self._shown[series] = value
        self._looks.append((time, {series: self._grown[series] for series in shown if series in self._grown}))
        while time - self._looks[0][0] > self.window:
            self._looks.popleft()

    def span(self, *, at_least: float | None = None) -> Span | None:
        """Return the growth since the newest look that is `at_least` so many seconds old, by default the oldest.

        `None` if there is no such look.
        """
        if len(self._looks) < 2:
            return None
        now, grown = self._looks[-1]
        earlier = self._looks[0] if at_least is None else next(self._older(now - at_least), None)
        if earlier is None or now <= earlier[0]:
            return None
        return Span(now - earlier[0], _difference(grown, earlier[1]))

    def _older(self, time: float) -> Iterator[tuple[float, dict[Series, float]]]:
        return (look for look in reversed(self._looks) if look[0] <= time)


def _difference(now: Mapping[Series, float], before: Mapping[Series, float]) -> dict[str, dict[Labels, float]]:
    grown: dict[str, dict[Labels, float]] = {}
    for series, value in now.items():
        name, labels = series
        grown.setdefault(name, {})[labels] = value - before.get(series, 0.0)
    return grown
