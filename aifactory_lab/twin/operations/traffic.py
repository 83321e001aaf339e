"""Requests that come to a plant over a day, made window by window: a curve of the day, or a real trace again and again.

Arrivals of a curve know nothing of each other (a Poisson process whose rate follows the hour); lengths are drawn in
pairs from a trace, or from lognormals as wide as those of Azure's conversations. What serves them is not known here.

>>> office = day(requests_per_second=500)
>>> [round(float(office.rate(hour * 3600))) for hour in (3, 9, 15)]
[250, 500, 750]
>>> came = office.between(0.0, 60.0, np.random.default_rng(0))
>>> len(came.times) > 15_000, bool((np.diff(came.times) >= 0).all())
(True, True)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aifactory_lab.errors import TwinError
from aifactory_lab.twin.traces import Trace

Reals = NDArray[np.float64]
Whole = NDArray[np.int64]
DAY = 86_400.0
# Standard deviations of the logarithms of the lengths in Azure's trace of conversations, 2023 (19,366 requests).
SPREAD_ISL, SPREAD_OSL = 0.985, 0.859
PAIRS = 2**16  # drawn once, by a seed of their own, so that all windows and all plants meet the same mixture
# By day the plant is asked three times as much as by night, most at 15 h. An assumption: public traces are of an hour.
SWING, PEAK_HOUR = 0.5, 15.0
POINT = 60.0  # seconds within which a curve's rate is taken as a straight line


class Requests(NamedTuple):
    """What comes in a window: seconds, ascending, and tokens of prompts and answers."""

    times: Reals
    isl: Whole
    osl: Whole


class Traffic(Protocol):
    """Requests over time."""

    @property
    def note(self) -> str:
        """What it is."""

    @property
    def requests_per_second(self) -> float:
        """Requests per second, on average."""

    def between(self, begin: float, end: float, generator: np.random.Generator) -> Requests:
        """Return what comes in a window."""

    def lengths(self, count: int, generator: np.random.Generator) -> tuple[Whole, Whole]:
        """Return the tokens of so many requests' prompts and answers."""


@dataclass(frozen=True)
class Curve:
    """A daily curve, which begins again every day; made by `day` and `steady`.

    Attributes
    ----------
    requests_per_second
        On average over a day.
    hours
        The rate at equal distances over the day, from 0 h on, in proportion; straight lines lie between.
    isl, osl
        Pairs of lengths that requests are drawn from, in tokens.
    note
        What it is.
    """

    requests_per_second: float
    hours: Reals
    isl: Whole
    osl: Whole
    note: str = ""

    def rate(self, seconds: ArrayLike) -> Reals:
        """Return the requests per second at a moment, in seconds since midnight."""
        knots = np.append(self.hours, self.hours[0]) * (self.requests_per_second / self.hours.mean())
        places = np.mod(np.asarray(seconds, np.float64), DAY) / DAY * len(self.hours)
        return np.asarray(np.interp(places, np.arange(len(knots)), knots), np.float64)

    def expected(self, begin: float, end: float) -> tuple[Reals, Reals]:
        """Return moments of a window, and how many requests are expected from its begin to each of them."""
        moments = np.linspace(begin, end, 1 + max(1, math.ceil((end - begin) / POINT)))
        rates = self.rate(moments)
        steps = np.diff(moments) * (rates[1:] + rates[:-1]) / 2
        return moments, np.concatenate([[0.0], np.cumsum(steps)])

    def between(self, begin: float, end: float, generator: np.random.Generator) -> Requests:
        """Return what comes in a window: a Poisson process, whose rate follows the curve."""
        moments, expected = self.expected(begin, end)
        count = int(generator.poisson(expected[-1]))
        gaps = np.cumsum(generator.standard_exponential(count + 1))  # sorted uniforms, without sorting
        times = np.interp(gaps[:-1] / gaps[-1] * expected[-1], expected, moments)
        return Requests(times, *self.lengths(count, generator))

    def lengths(self, count: int, generator: np.random.Generator) -> tuple[Whole, Whole]:
        """Return the tokens of so many requests' prompts and answers."""
        drawn = generator.integers(0, len(self.isl), count, dtype=np.int32)
        return self.isl[drawn], self.osl[drawn]


@dataclass(frozen=True)
class Replay:
    """A trace that begins again when it has ended, faster or slower than it was; made by `replay`.

    Attributes
    ----------
    trace
        The trace.
    pace
        How many of its seconds pass in one.
    """

    trace: Trace
    pace: float

    @property
    def note(self) -> str:
        """What it is."""
        return f"{self.trace.note or 'a trace'}, again and again, pace × {self.pace:.3g}"

    @property
    def requests_per_second(self) -> float:
        """Requests per second, on average."""
        return len(self.trace) / self.length

    @property
    def length(self) -> float:
        """Seconds from one begin to the next: the last arrival, and one mean gap."""
        gap = self.trace.seconds / max(1, len(self.trace) - 1) or 1.0
        return (self.trace.seconds + gap) / self.pace

    def between(self, begin: float, end: float, generator: np.random.Generator) -> Requests:
        """Return what comes in a window; nothing of it is drawn."""
        del generator
        rounds = range(int(begin // self.length), int(end // self.length) + 1)
        parts = [self._part(turn, begin, end) for turn in rounds]
        times, isl, osl = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Requests(times, isl, osl)

    def _part(self, turn: int, begin: float, end: float) -> Requests:
        shift = turn * self.length
        first, last = np.searchsorted(self.trace.times, [(begin - shift) * self.pace, (end - shift) * self.pace])
        kept = slice(int(first), int(last))
        return Requests(self.trace.times[kept] / self.pace + shift, self.trace.isl[kept], self.trace.osl[kept])

    def lengths(self, count: int, generator: np.random.Generator) -> tuple[Whole, Whole]:
        """Return the tokens of so many requests' prompts and answers, drawn from the trace."""
        drawn = generator.integers(0, len(self.trace), count)
        return self.trace.isl[drawn], self.trace.osl[drawn]


def day(
    requests_per_second: float,
    *,
    shape: str | Sequence[float] = "office",
    lengths: Trace | None = None,
    isl: float = 1024,
    osl: float = 256,
) -> Curve:
    """Return traffic that follows the hour.

    Parameters
    ----------
    requests_per_second
        On average over the day.
    shape
        ``"office"`` (three times as much at 15 h as at 3 h), ``"flat"``, or rates at equal distances over a day, from
        midnight on, in proportion: 24 numbers for 24 hours.
    lengths
        A trace whose requests' lengths are drawn from, prompt and answer together: ``traces.mooncake()``, ….
    isl, osl
        Without a trace: mean tokens of prompts and of answers, of lognormals as wide as Azure's conversations.

    Raises
    ------
    TwinError
        If a number cannot be, or there is no such shape.
    """
    _positive("requests_per_second", requests_per_second)
    hours, said = _shape(shape)
    if lengths is not None:
        read, written, drawn = lengths.isl, lengths.osl, f"lengths of {lengths.note or 'a trace'}"
    else:
        generator = np.random.default_rng(0)
        read, written = _lognormal("isl", isl, SPREAD_ISL, generator), _lognormal("osl", osl, SPREAD_OSL, generator)
        drawn = f"lognormal lengths, on average {isl:g} in and {osl:g} out"
    return Curve(
        float(requests_per_second), hours, read, written, f"{requests_per_second:g} requests/s {said}, {drawn}"
    )


def steady(requests_per_second: float, *, lengths: Trace | None = None, isl: float = 1024, osl: float = 256) -> Curve:
    """Return traffic whose rate never changes; see `day`."""
    return day(requests_per_second, shape="flat", lengths=lengths, isl=isl, osl=osl)


def replay(trace: Trace, *, requests_per_second: float) -> Replay:
    """Return a whole trace again and again, so fast that so many requests come per second on average.

    Raises
    ------
    TwinError
        If the rate is not positive.
    """
    _positive("requests_per_second", requests_per_second)
    return Replay(trace, requests_per_second / Replay(trace, 1.0).requests_per_second)


def _shape(shape: str | Sequence[float]) -> tuple[Reals, str]:
    known = {"office": "over an office day", "flat": "all the time"}
    if isinstance(shape, str):
        if shape not in known:
            msg = f"no shape {shape!r}; there are: {', '.join(known)}"
            raise TwinError(msg, mend='shape="office", or 24 numbers')
        swing = SWING if shape == "office" else 0.0
        hours = 1 + swing * np.cos(2 * np.pi * (np.arange(24) - PEAK_HOUR) / 24)
        return hours, known[shape]
    found = np.asarray(shape, np.float64)
    if found.ndim != 1 or not len(found) or not (np.isfinite(found) & (found >= 0)).all() or not found.any():
        msg = f"shape={shape!r} is not a curve: rates are 0 or more, and not all 0"
        raise TwinError(msg, mend='shape="office", or 24 numbers')
    return found, f"over a curve of {len(found)} points"


def _lognormal(name: str, mean: float, spread: float, generator: np.random.Generator) -> Whole:
    """Draw whole tokens from 1, on average as asked."""
    _positive(name, mean)
    drawn = np.exp(spread * generator.standard_normal(PAIRS))
    found: Whole = np.maximum(1, np.rint(drawn * (mean / drawn.mean()))).astype(np.int64)
    return found


def _positive(name: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0):
        msg = f"{name}={value!r} must be positive"
        raise TwinError(msg, mend=f"{name}=100")
