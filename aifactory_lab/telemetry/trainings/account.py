"""A training as boards and terminals tell it: a smoothed loss, curves thinned to what a screen shows, facts in words.

Boards do no maths, so it is done here, the same for a board, a figure and a terminal. This module reads no file.

>>> smoothed([8.0, 6.0, 4.0], half_life=1.0).round(2).tolist()
[8.0, 6.67, 5.14]
>>> thinned(np.arange(1000), most=5).tolist()
[0, 250, 500, 749, 999]
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.telemetry.metrics import PREFIXES
from aifactory_lab.telemetry.trainings.entries import FACTS, Score, Step
from aifactory_lab.telemetry.trainings.training import Follower

HELD_OUT = "bits_per_byte"  # the score that boards put beside its baselines
HALF_LIFE, LEAST_LINES = 0.02, 5.0  # of the smoothed loss: a share of the steps planned, and lines of the log
MOST_POINTS = 300
MOST_SAMPLES = 24
MOST_LETTERS = 1_200


def smoothed(values: Sequence[float], half_life: float) -> NDArray[np.float64]:
    """Return the exponentially weighted mean of what came so far, without the bias to its beginning.

    Parameters
    ----------
    half_life
        Values after which the weight of one is halved; those that are not finite are passed over.

    Notes
    -----
    The weights are those of Kingma & Ba 2015, §3 (bias correction), and of TensorBoard's smoothing.
    """
    import polars as pl

    series = pl.Series(values, dtype=pl.Float64, strict=False)
    known = pl.when(series.is_finite()).then(series)
    mean = pl.select(known.ewm_mean(half_life=half_life, adjust=True, ignore_nulls=True).forward_fill())
    found: NDArray[np.float64] = mean.to_series().cast(pl.Float64).to_numpy()
    return found


def half_life(steps: Sequence[Step]) -> float:
    """Return the half-life, in lines of the log, that a training of this length is smoothed with."""
    if len(steps) < 2:
        return LEAST_LINES
    spacing = (steps[-1].step - steps[0].step) / (len(steps) - 1)
    return max(LEAST_LINES, HALF_LIFE * steps[-1].steps / spacing)


def thinned(values: NDArray[Any], most: int = MOST_POINTS) -> NDArray[Any]:
    """Return at most so many of the values, evenly, the first and the last among them."""
    if len(values) <= most:
        return values
    return values[np.linspace(0, len(values) - 1, most).round().astype(np.intp)]


def curves(steps: Sequence[Step]) -> dict[str, list[float | None]]:
    """Return tokens, loss, smoothed loss, tokens per second, MFU and learning rate, thinned; `None` where unknown."""
    columns: dict[str, Any] = {
        "tokens": [one.tokens for one in steps],
        "loss": [one.loss for one in steps],
        "smooth": smoothed([one.loss for one in steps], half_life(steps)),
        "rate": [one.tokens_rate for one in steps],
        "mfu": [one.mfu for one in steps],
        "learning_rate": [one.learning_rate for one in steps],
    }
    return {name: [_short(value) for value in thinned(_floats(column))] for name, column in columns.items()}


def words(log: Follower) -> dict[str, Any]:
    """Return everything about a training that changes slower than its readings, as JSON."""
    begun, steps = log.begun, list(log.steps)  # a copy: the sampler's thread may add to it meanwhile
    if begun is None:
        return {}
    last, (state, reason) = steps[-1] if steps else None, log.state()
    planned = begun.facts.get("tokens") or (last.tokens * last.steps // last.step if last and last.step else None)
    return {
        "title": begun.title,
        "path": str(log.path),
        "state": state,
        "reason": reason,
        "silent": round(log.stale()) if state == "running" else 0,
        "step": last.step if last else 0,
        "steps": last.steps if last else None,
        "tokens": last.tokens if last else 0,
        "planned": planned,
        "heard": round(log.heard, 1),
        "peak": flops(begun.facts.get("peak_flops")),
        "took": round(max(0.0, log.heard - begun.time), 1),
        "typical": {"rate": _median(one.tokens_rate for one in steps), "mfu": _median(one.mfu for one in steps)},
        "curves": curves(steps),
        "scores": scores(log),
        "standing": standing(log),
        "baselines": [[name.replace("_", " "), _short(one.value)] for name, one in log.baselines.items()],
        "samples": [
            {"step": one.step, "tokens": log.tokens_at(one.step), "text": one.text[:MOST_LETTERS]}
            for one in log.samples[-MOST_SAMPLES:]
        ],
    }


def scores(log: Follower) -> list[dict[str, Any]]:
    """Return every score over tokens, the held-out bits per byte first."""
    names = dict.fromkeys(one.name for one in log.scores)
    ordered = sorted(names, key=lambda name: name != HELD_OUT)
    return [_score(name, [one for one in log.scores if one.name == name], log) for name in ordered]


def _score(name: str, found: Sequence[Score], log: Follower) -> dict[str, Any]:
    label = "held-out bits per byte" if name == HELD_OUT else name.replace("_", " ")
    tokens = [log.tokens_at(one.step or 0) for one in found]
    return {"name": name, "label": label, "tokens": tokens, "values": [_short(one.value) for one in found]}


def standing(log: Follower) -> str:
    """Return how the held-out bits per byte stand beside the baselines: ``"below gzip 1.92, above xz 1.66"``."""
    found = next((one.value for one in reversed(log.scores) if one.name == HELD_OUT), None)
    ordered = sorted(log.baselines.values(), key=lambda one: -one.value)
    if found is None:
        return baselines(ordered)
    beaten = baselines([one for one in ordered if found < one.value])
    others = baselines([one for one in ordered if not found < one.value])
    return "; ".join(f"{word} {names}" for word, names in (("below", beaten), ("above", others)) if names)


def baselines(found: Sequence[Score]) -> str:
    """Return scores in words: ``"gzip 1.92, xz 1.66"``."""
    return ", ".join(f"{one.name.replace('_', ' ')} {one.value:.3g}" for one in found)


def facts(given: Mapping[str, Any]) -> dict[str, str]:
    """Return a training's facts in words, those that people ask for first before the others."""
    known = {label: given[name] for name, label in FACTS.items() if given.get(name) not in (None, "")}
    more = {name.replace("_", " "): value for name, value in given.items() if name not in FACTS}
    return {label: _said(label, value) for label, value in (known | more).items()}


def flops(rate: Any) -> str:
    """Return FLOP/s as people say them, nothing if it is no number.

    >>> flops(1.9e11)
    '190 GFLOP/s'
    """
    if not isinstance(rate, int | float) or not math.isfinite(rate):
        return ""
    size, prefix = next(((size, prefix) for size, prefix in PREFIXES if rate >= size), (1.0, ""))
    return f"{rate / size:.3g} {prefix}FLOP/s"


def _said(label: str, value: Any) -> str:
    if label == FACTS["peak_flops"]:
        return flops(value) or str(value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return _short(float(np.median(known))) if known else None


def _floats(values: Any) -> NDArray[np.float64]:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _short(value: float) -> float | None:
    """Return five digits that matter, for the wire; `None` for what is no number."""
    short = float(f"{value:.5g}")
    return short if math.isfinite(short) else None
